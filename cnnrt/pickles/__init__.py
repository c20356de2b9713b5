"""Pickles of other frameworks, read as data: a reader of our own that never imports, calls or builds what a file names.

reader.py        a pickle of protocols 0 to 5, Python 2 and 3, to plain values, opcode after opcode
opcodes.py       what each opcode does
stack_machine.py what they do it on: bytes, a stack, a memo
stand_ins.py     what stands for the globals that a file names: records of ours, made from a table
numpy_globals.py the table of NumPy's arrays and of the plain containers
arrays.py        PickledArray: an array as the file describes it, made only when it is asked for
"""

from __future__ import annotations

from cnnrt.pickles.arrays import PickledArray
from cnnrt.pickles.numpy_globals import NUMPY_GLOBALS
from cnnrt.pickles.reader import Unpickled, read_pickle
from cnnrt.pickles.stack_machine import Persistent
from cnnrt.pickles.stand_ins import Global, Globals, PickleFault, Record, opaque

__all__ = [
    "NUMPY_GLOBALS",
    "Global",
    "Globals",
    "Persistent",
    "PickleFault",
    "PickledArray",
    "Record",
    "Unpickled",
    "opaque",
    "read_pickle",
]
