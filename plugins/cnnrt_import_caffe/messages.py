"""Caffe's message types, as far as this importer reads them, built at run time: no protoc, no generated code.

Names, numbers, types and defaults are facts of Caffe's file format (`caffe.proto` of BVLC Caffe; sections
NetParameter, LayerParameter, V1LayerParameter, V0LayerParameter). Fields that change nothing in inference
are left out on purpose: readers skip what a description lacks, so that forks may add what they like.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# One line for each field: number, name, type; `*` repeated, `*packed` repeated and written packed; `= default`.
# A type in braces is an enumeration of its own, its names in the order of their numbers from 0.
_MESSAGES = {
    "BlobShape": "1 dim *packed int64",
    "BlobProto": """
        7 shape BlobShape
        5 data *packed float
        8 double_data *packed double
        1 num int64
        2 channels int64
        3 height int64
        4 width int64""",
    "NetParameter": """
        1 name string
        3 input *string
        8 input_shape *BlobShape
        4 input_dim *int64
        6 state NetState
        100 layer *LayerParameter
        2 layers *V1LayerParameter""",
    "NetState": """
        1 phase {TRAIN TEST}
        2 level int64
        3 stage *string""",
    "NetStateRule": """
        1 phase {TRAIN TEST}
        2 min_level int64
        3 max_level int64
        4 stage *string
        5 not_stage *string""",
    "ParamSpec": "1 name string",
    "LayerParameter": """
        1 name string
        2 type string
        3 bottom *string
        4 top *string
        6 param *ParamSpec
        7 blobs *BlobProto
        8 include *NetStateRule
        9 exclude *NetStateRule
        100 transform_param TransformationParameter
        103 argmax_param ArgMaxParameter
        104 concat_param ConcatParameter
        106 convolution_param ConvolutionParameter
        107 data_param DataParameter
        108 dropout_param DropoutParameter
        109 dummy_data_param DummyDataParameter
        110 eltwise_param EltwiseParameter
        111 exp_param ExpParameter
        115 image_data_param ImageDataParameter
        117 inner_product_param InnerProductParameter
        118 lrn_param LRNParameter
        119 memory_data_param MemoryDataParameter
        120 mvn_param MVNParameter
        121 pooling_param PoolingParameter
        122 power_param PowerParameter
        123 relu_param ReLUParameter
        125 softmax_param SoftmaxParameter
        126 slice_param SliceParameter
        129 window_data_param DataParameter
        131 prelu_param PReLUParameter
        133 reshape_param ReshapeParameter
        134 log_param ExpParameter
        135 flatten_param FlattenParameter
        136 reduction_param ReductionParameter
        139 batch_norm_param BatchNormParameter
        140 elu_param ELUParameter
        141 bias_param BiasParameter
        142 scale_param ScaleParameter
        143 input_param InputParameter
        144 crop_param CropParameter
        147 swish_param SwishParameter
        148 clip_param ClipParameter
        202 permute_param PermuteParameter
        203 prior_box_param PriorBoxParameter
        204 detection_output_param DetectionOutputParameter
        206 norm_param NormalizeParameter
        8266711 roi_pooling_param ROIPoolingParameter
        1147 interp_param InterpParameter
        1148 upsample_param UpsampleParameter
        1149 shuffle_channel_param ShuffleChannelParameter""",
    "V1LayerParameter": """
        1 layer V0LayerParameter
        2 bottom *string
        3 top *string
        4 name string
        5 type {NONE ACCURACY BNLL CONCAT CONVOLUTION DATA DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT
            IM2COL IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID
            SOFTMAX SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS
            MEMORY_DATA ARGMAX THRESHOLD DUMMY_DATA SLICE MVN ABSVAL SILENCE CONTRASTIVE_LOSS EXP DECONVOLUTION}
        6 blobs *BlobProto
        1001 param *string
        32 include *NetStateRule
        33 exclude *NetStateRule
        23 argmax_param ArgMaxParameter
        9 concat_param ConcatParameter
        10 convolution_param ConvolutionParameter
        11 data_param DataParameter
        12 dropout_param DropoutParameter
        26 dummy_data_param DummyDataParameter
        24 eltwise_param EltwiseParameter
        41 exp_param ExpParameter
        15 image_data_param ImageDataParameter
        17 inner_product_param InnerProductParameter
        18 lrn_param LRNParameter
        22 memory_data_param MemoryDataParameter
        34 mvn_param MVNParameter
        19 pooling_param PoolingParameter
        21 power_param PowerParameter
        31 slice_param SliceParameter
        20 window_data_param DataParameter
        30 relu_param ReLUParameter
        39 softmax_param SoftmaxParameter
        36 transform_param TransformationParameter""",
    "V0LayerParameter": """
        1 name string
        2 type string
        3 num_output uint32
        4 biasterm bool = true
        7 pad uint32
        8 kernelsize uint32
        9 group uint32 = 1
        10 stride uint32 = 1
        11 pool {MAX AVE STOCHASTIC}
        12 dropout_ratio float = 0.5
        13 local_size uint32 = 5
        14 alpha float = 1
        15 beta float = 0.75
        22 k float = 1
        17 scale float = 1
        18 meanfile string
        20 cropsize uint32
        50 blobs *BlobProto
        62 new_height int32
        63 new_width int32
        65 concat_dim uint32 = 1""",
    "TransformationParameter": """
        1 scale float = 1
        3 crop_size uint32
        4 mean_file string
        5 mean_value *float
        6 force_color bool
        7 force_gray bool""",
    # DataParameter and WindowDataParameter have the same numbers for the old preprocessing fields.
    "DataParameter": """
        2 scale float = 1
        3 mean_file string
        5 crop_size uint32""",
    "ImageDataParameter": """
        2 scale float = 1
        3 mean_file string
        5 crop_size uint32
        9 new_height uint32
        10 new_width uint32
        11 is_color bool = true""",
    "MemoryDataParameter": """
        2 channels uint32
        3 height uint32
        4 width uint32""",
    "DummyDataParameter": """
        6 shape *BlobShape
        2 num *uint32
        3 channels *uint32
        4 height *uint32
        5 width *uint32""",
    "InputParameter": "1 shape *BlobShape",
    "ConvolutionParameter": """
        1 num_output uint32
        2 bias_term bool = true
        3 pad *uint32
        4 kernel_size *uint32
        6 stride *uint32
        18 dilation *uint32
        9 pad_h uint32
        10 pad_w uint32
        11 kernel_h uint32
        12 kernel_w uint32
        13 stride_h uint32
        14 stride_w uint32
        5 group uint32 = 1
        16 axis int32 = 1""",
    # Pad, kernel and stride are single values in most Caffes, repeated in some; repeated reads both.
    # ceil_mode is a fork's spelling of round_mode, met in prototxt only: forks disagree about its number.
    "PoolingParameter": """
        1 pool {MAX AVE STOCHASTIC}
        4 pad *uint32
        9 pad_h uint32
        10 pad_w uint32
        2 kernel_size *uint32
        5 kernel_h uint32
        6 kernel_w uint32
        3 stride *uint32
        7 stride_h uint32
        8 stride_w uint32
        12 global_pooling bool
        13 round_mode {CEIL FLOOR}
        1013 ceil_mode bool = true""",
    "LRNParameter": """
        1 local_size uint32 = 5
        2 alpha float = 1
        3 beta float = 0.75
        4 norm_region {ACROSS_CHANNELS WITHIN_CHANNEL}
        5 k float = 1""",
    "InnerProductParameter": """
        1 num_output uint32
        2 bias_term bool = true
        5 axis int32 = 1
        6 transpose bool""",
    "ReLUParameter": "1 negative_slope float",
    "SoftmaxParameter": "2 axis int32 = 1",
    "ConcatParameter": """
        1 concat_dim uint32 = 1
        2 axis int32 = 1""",
    "DropoutParameter": """
        1 dropout_ratio float = 0.5
        2 scale_train bool = true""",
    "FlattenParameter": """
        1 axis int32 = 1
        2 end_axis int32 = -1""",
    "EltwiseParameter": """
        1 operation {PROD SUM MAX} = SUM
        2 coeff *float""",
    "ArgMaxParameter": """
        1 out_max_val bool
        2 top_k uint32 = 1
        3 axis int32""",
    "BatchNormParameter": """
        1 use_global_stats bool
        2 moving_average_fraction float
        3 eps float = 1e-5""",
    "BiasParameter": """
        1 axis int32 = 1
        2 num_axes int32 = 1""",
    "ClipParameter": """
        1 min float
        2 max float""",
    "CropParameter": """
        1 axis int32 = 2
        2 offset *uint32""",
    "ELUParameter": "1 alpha float = 1",
    # LogParameter has the same fields.
    "ExpParameter": """
        1 base float = -1
        2 scale float = 1
        3 shift float""",
    "MVNParameter": """
        1 normalize_variance bool = true
        2 across_channels bool
        3 eps float = 1e-9""",
    "PReLUParameter": "2 channel_shared bool",
    "PowerParameter": """
        1 power float = 1
        2 scale float = 1
        3 shift float""",
    # Numbered from 1 in Caffe.
    "ReductionParameter": """
        1 operation {NO_REDUCTION SUM ASUM SUMSQ MEAN} = SUM
        2 axis int32
        3 coeff float = 1""",
    "ReshapeParameter": """
        1 shape BlobShape
        2 axis int32
        3 num_axes int32 = -1""",
    "ScaleParameter": """
        1 axis int32 = 1
        2 num_axes int32 = 1
        4 bias_term bool""",
    "SliceParameter": """
        1 slice_dim uint32 = 1
        2 slice_point *uint32
        3 axis int32 = 1""",
    "SwishParameter": "1 beta float = 1",
    # From here on layers of forks; where forks disagree about a block's number, it is met in prototxt only.
    "PermuteParameter": "1 order *uint32",
    "PriorBoxParameter": """
        1 min_size *float
        2 max_size *float
        3 aspect_ratio *float
        4 flip bool = true
        5 clip bool
        6 variance *float
        7 img_size uint32
        8 img_h uint32
        9 img_w uint32
        10 step float
        11 step_h float
        12 step_w float
        13 offset float = 0.5""",
    "NonMaximumSuppressionParameter": """
        1 nms_threshold float = 0.3
        2 top_k int32
        3 eta float = 1""",
    "DetectionOutputParameter": """
        1 num_classes uint32
        2 share_location bool = true
        3 background_label_id int32
        4 nms_param NonMaximumSuppressionParameter
        6 code_type {NO_CODE CORNER CENTER_SIZE CORNER_SIZE} = CORNER
        7 keep_top_k int32 = -1
        8 variance_encoded_in_target bool
        9 confidence_threshold float""",
    "NormalizeParameter": """
        1 across_spatial bool = true
        3 channel_shared bool = true
        4 eps float = 1e-10""",
    "ROIPoolingParameter": """
        1 pooled_h uint32
        2 pooled_w uint32
        3 spatial_scale float = 1""",
    "InterpParameter": """
        1 height int32
        2 width int32
        3 zoom_factor int32 = 1
        4 shrink_factor int32 = 1
        5 pad_beg int32
        6 pad_end int32""",
    "UpsampleParameter": """
        1 scale uint32 = 2
        2 scale_h uint32
        3 scale_w uint32
        4 pad_out_h bool
        5 pad_out_w bool
        6 upsample_h uint32
        7 upsample_w uint32""",
    "ShuffleChannelParameter": "1 group uint32 = 1",
}

_PACKAGE = "cnnrt.import_caffe"
_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _Field.TYPE_BOOL,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
}


def message_class(name: str) -> Any:
    """Return the class of a message type ("NetParameter", "BlobProto", ...); KeyError for a name not described."""
    return _classes()[name]


@functools.cache
def _classes() -> dict[str, Any]:
    # A pool of our own: another package of this process may have registered its caffe.proto in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="cnnrt/import_caffe.proto", package=_PACKAGE, syntax="proto2")
    for name, lines in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in _joined(lines):
            _add_field(message, line)
    return file


def _joined(lines: str) -> list[str]:
    """Return one string for each field; an enumeration may run over several lines."""
    fields: list[str] = []
    for line in lines.strip().splitlines():
        if line.strip()[0].isdigit():
            fields.append(line.strip())
        else:
            fields[-1] += " " + line.strip()
    return fields


def _add_field(message: descriptor_pb2.DescriptorProto, line: str) -> None:
    line, _, default = line.partition(" = ")
    number, name, kind = line.split(maxsplit=2)
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind.startswith("*"):
        field.label = _Field.LABEL_REPEATED
        kind = kind[1:]
    if kind.startswith("packed "):
        field.options.packed = True
        kind = kind.removeprefix("packed ")
    if kind.startswith("{"):
        enum = message.enum_type.add(name="".join(part.capitalize() for part in name.split("_")))
        for value, value_name in enumerate(kind.strip("{}").split()):
            enum.value.add(name=value_name, number=value)
        field.type = _Field.TYPE_ENUM
        field.type_name = f".{_PACKAGE}.{message.name}.{enum.name}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    if default:
        field.default_value = default
