"""Tuning: what kernels were measured to take on this device, remembered, and used instead of the cost model.

key.py           what a measurement holds for: device, sources, search space, threads, layer, shapes
measurement.py   kernels timed against each other; a winner is faster by more than the noise
record.py        the outcome, as it is remembered
tasks.py         what is to be measured: layers, and for each the kernels and variants that are worth a try
budget.py        how layers share the time
tuner.py         in what order, within what time and memory
knowledge.py     what placement asks: measured choices, quarantined kernels
store.py         facts on disk; a broken, full or foreign store is never more than a warning
turn.py          one process of the machine measures at a time
packs.py         measurements as JSON, from one machine to its like
"""
