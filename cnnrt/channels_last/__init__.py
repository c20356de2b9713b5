"""What importers of channels-last frameworks (TensorFlow, TFLite, Keras) share: their axes turned into NetFiles' axes.

These frameworks keep images as (batch, rows, columns, channels), a NetFile as (batch, channels, rows, columns). An
importer calls the rules here in the order of its own graph, in the source's axes; they make the layers in NetFile
axes.

    values.py        Flow: a computed value, its shape in the source's axes, and the order in which its axes lie here
    constants.py     Constant: numbers of the model, read when they are asked for; arithmetic between them
    network.py       Network: the layers made so far
    axis_order.py    values brought into another order of axes, only where something depends on it
    shape_numbers.py sizes of values, while a graph computes with them
    reshaping.py     reshape, transpose, squeeze
    windows.py       convolutions and poolings; SAME padding made explicit
    dense.py         products with matrices; flattened images are met by permuting the matrix
    arithmetic.py    sums, products and limits, with constants and between values
    activations.py   layers that work value by value
    regions.py       concatenation, padding, slices, reductions, softmax
    strided.py       slices with masks
    spaced.py        convolutions with gaps that are written as three operators
    graph_rules.py   rules that graphs of TensorFlow and TFLite share
    operands.py      all of these for operands that may be constants, or sizes that a graph computes with
    joining.py       layers that become a part of the layer before: biases, chains of factors, limits, pads
    finishing.py     the network as an ImportedModel
"""
