"""From LLVM's intermediate representation to a code image. The only module beside `target.py` that loads LLVM."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from llvmlite import binding

from cnnrt_backend_threaded.code_image import CodeImage
from cnnrt_backend_threaded.elf_object import read_object
from cnnrt_backend_threaded.linker import link
from cnnrt_backend_threaded.processor_target import Target


def compile_module(text: str, target: Target, names: Sequence[str]) -> CodeImage:
    """Compile a module for a target, which need not be the host, to an image with the named functions as entries.

    Raises RuntimeError for a module that LLVM refuses, ObjectFileError for one that cannot be an image.
    """
    return link(read_object(_machine(target).emit_object(_parsed(text))), names)


def assembly(text: str, target: Target) -> str:
    """Return a module as the target's assembly language, for whoever wants to read it."""
    return str(_machine(target).emit_assembly(_parsed(text)))


def _parsed(text: str) -> Any:
    module = binding.parse_assembly(text)
    module.verify()
    return module


@functools.cache
def _machine(target: Target) -> Any:
    """Return LLVM's code generator for a target."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    chosen = binding.Target.from_triple(target.triple)
    return chosen.create_target_machine(cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small")
