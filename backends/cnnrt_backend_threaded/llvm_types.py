"""LLVM's types as kernels use them, and llvmlite's module for writing code (`ir`). Importing this imports llvmlite."""

from __future__ import annotations

from llvmlite import ir

I64 = ir.IntType(64)
I32 = ir.IntType(32)
I8 = ir.IntType(8)
BOOL = ir.IntType(1)
FLOAT = ir.FloatType()
DOUBLE = ir.DoubleType()
VOID = ir.VoidType()
WORDS = ir.PointerType(I64)
FLOATS = ir.PointerType(FLOAT)
BYTES = ir.PointerType(I8)
KERNEL = ir.FunctionType(VOID, [WORDS, I64, I64, I64])

__all__ = ["BOOL", "BYTES", "DOUBLE", "FLOAT", "FLOATS", "I8", "I32", "I64", "KERNEL", "VOID", "WORDS", "ir"]
