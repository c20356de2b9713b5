"""A process that compiles for another: modules come in by standard input, images go out by standard output.

LLVM takes 100 MiB and more, which this process gives back when it ends. A message is, in 32-bit little-endian sizes:

    request: size of the description, size of the text; {"target": {...}, "names": [...]} as JSON; LLVM's assembly
    answer:  size of the image's file (`code_image.py`), 0 for a module that could not be compiled; the file
"""

from __future__ import annotations

import json
import struct
import sys
from typing import BinaryIO

from cnnrt_backend_threaded.code_image import to_file
from cnnrt_backend_threaded.processor_target import Target

REQUEST = struct.Struct("<II")
ANSWER = struct.Struct("<I")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until their end."""
    from cnnrt_backend_threaded.compiler import compile_module

    while head := requests.read(REQUEST.size):
        described, length = REQUEST.unpack(head)
        description = json.loads(requests.read(described))
        text = requests.read(length).decode()
        try:
            file = to_file(compile_module(text, Target(**description["target"]), description["names"]), "")
        except Exception:  # whoever asked compiles it, and gets the error where it can be told
            file = b""
        answers.write(ANSWER.pack(len(file)) + file)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
