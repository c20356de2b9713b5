"""The scripts of the renderscript backend: legal RenderScript, compiled without a trace left in the process, kept."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cnnrt.cache_folder import cache_folder
from cnnrt.errors import CnnrtError
from cnnrt_backend_renderscript import compiler, library
from cnnrt_backend_renderscript.compiler import Compiler, find_compiler
from cnnrt_backend_renderscript.exports import read_exports
from cnnrt_backend_renderscript.library import Instance, built, script_libraries
from cnnrt_backend_renderscript.script import Script

PACKAGE = files("cnnrt_backend_renderscript")
NAMES = sorted(p.name.removesuffix(".rs") for p in (PACKAGE / "kernels").iterdir() if p.name.endswith(".rs"))
FRONT_END = shutil.which("clang-14")
FOUND = find_compiler()
needs_compiler = pytest.mark.skipif(isinstance(FOUND, str), reason=str(FOUND))
VARIANTS = [
    {"PIXELS": pixels, "CHANNELS": channels, "LANES": lanes, "INPUTS": inputs, "OUTPUTS": outputs}
    for pixels, channels, lanes, inputs, outputs in ((3, 16, 4, 8, 4), (6, 16, 8, 4, 4), (6, 32, 16, 4, 8))
]


@pytest.mark.skipif(FRONT_END is None, reason="clang-14, the last one with a front end for RenderScript, is not here")
@pytest.mark.parametrize("target", ["renderscript32-none-linux-android", "renderscript64-none-linux-android"])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_legal_renderscript(name: str, target: str) -> None:
    for defines in VARIANTS:
        command = [str(FRONT_END), "-x", "renderscript", "-target", target, "-fsyntax-only", "-Wall", "-Werror"]
        command += ["-Wno-unknown-pragmas", "-Wno-unused-function", "-include", str(PACKAGE / "runtime/renderscript.h")]
        command += [f"-D{key}={value}" for key, value in defines.items()]
        done = subprocess.run([*command, str(PACKAGE / f"kernels/{name}.rs")], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(FRONT_END is None, reason="clang-14, the last one with a front end for RenderScript, is not here")
def test_the_front_end_notices_what_is_no_renderscript(tmp_path: Path) -> None:
    """So that the test above cannot pass whatever the script says."""
    script = tmp_path / "wrong.rs"
    script.write_text("float __attribute__((kernel)) wrong(float v) { return rsNoSuchThing(v); }\n")
    command = [str(FRONT_END), "-x", "renderscript", "-target", "renderscript64-none-linux-android", "-fsyntax-only"]
    command += ["-Werror", "-include", str(PACKAGE / "runtime/renderscript.h"), str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "rsNoSuchThing" in done.stderr
    assert done.returncode != 0


@pytest.mark.parametrize("name", NAMES)
def test_each_exports_a_kernel_and_says_what_android_asks_for(name: str) -> None:
    source = Script(name).source
    assert read_exports(source, name).kernels
    assert "#pragma version(1)" in source
    assert "#pragma rs java_package_name(cnnrt)" in source


@needs_compiler
def test_denormals_survive_loading_every_library() -> None:
    """-ffast-math at the link sets a flag of the whole process by which they become 0."""
    assert isinstance(FOUND, Compiler)
    libraries = script_libraries([Script(name) for name in NAMES], FOUND)
    instances = [Instance(script, code) for script, code in libraries.items()]
    assert len(instances) == len(NAMES)
    smallest = np.array([2.0**-149], np.float32)
    assert (smallest * np.float32(1))[0] == 2.0**-149
    assert (smallest + smallest)[0] == 2.0**-148


@needs_compiler
def test_a_library_is_kept_and_a_damaged_one_is_built_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(FOUND, Compiler)
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    script = Script("kept", text="#pragma version(1)\nvoid __attribute__((kernel)) nothing(uint32_t x) {}\n")
    monkeypatch.setattr(library, "_built", {})
    first = script_libraries([script], FOUND)[script]
    (kept,) = (cache_folder("renderscript") or tmp_path).iterdir()

    broken = Compiler(("/no/such/compiler",), FOUND.version)
    monkeypatch.setattr(library, "_built", {})
    with pytest.raises(CnnrtError, match="cannot be compiled"):
        script_libraries([script], broken)  # another compiler is another key
    monkeypatch.setattr(Compiler, "build", lambda *_: pytest.fail("it was kept"))
    monkeypatch.setattr(library, "_built", {})
    assert script_libraries([script], FOUND)[script] == first

    monkeypatch.setattr(library, "_built", {})
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    monkeypatch.setattr(Compiler, "build", lambda *_: b"built anew")
    assert script_libraries([script], FOUND)[script] == b"built anew"


@needs_compiler
def test_what_does_not_compile_is_an_error_with_the_complaint() -> None:
    assert isinstance(FOUND, Compiler)
    script = Script("wrong", text="void __attribute__((kernel)) run(uint32_t x) { this is no C; }\n")
    with pytest.raises(CnnrtError, match=r"wrong\.rs cannot be compiled by .*clang(?s:.*)wrong\.rs:1"):
        script_libraries([script], FOUND)


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    assert 'pip install "cnnrt[renderscript]"' in str(find_compiler())


def test_compilers_are_looked_for_in_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def program(name: str, version: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{version}'\n")
        path.chmod(0o755)
        return path

    def found() -> str:
        answer = find_compiler()
        return answer if isinstance(answer, str) else answer.command[0]

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    no_clang = program("clang", "gcc version 12")
    older = program("clang-14", "clang version 14.0.6")
    assert found() == str(older)
    no_clang.unlink()
    newer = program("clang", "clang version 19.1.0")
    assert found() == str(newer)
    monkeypatch.setenv("CNNRT_CLANG", str(older))
    assert found() == str(older)
    monkeypatch.setenv("CNNRT_CLANG", "nowhere")
    assert found() == "CNNRT_CLANG names 'nowhere', which is no clang that runs here"


def test_what_is_built_depends_on_everything_that_has_a_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "_built", {})
    calls: list[str] = []
    monkeypatch.setattr(Compiler, "build", lambda self, *_: calls.append(self.version) or self.version.encode())
    one, other = Compiler(("clang",), "clang 1"), Compiler(("clang",), "clang 2")
    for _ in range(2):
        built([("a.c", "1")], ("-O3",), one, "a")
        built([("a.c", "2")], ("-O3",), one, "a")
        built([("a.c", "1")], ("-O2",), one, "a")
        built([("a.c", "1")], ("-O3",), other, "a")
    assert calls == ["clang 1", "clang 1", "clang 1", "clang 2"]


@pytest.mark.skipif(find_spec("ziglang") is None, reason="ziglang, 100 MB, is not installed")
def test_zig_compiles_scripts_and_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CNNRT_CLANG", raising=False)
    found = find_compiler()
    assert isinstance(found, Compiler)
    assert found.zig
    script = Script("elementwise")
    assert "sum" in Instance(script, script_libraries([script], found)[script]).loops
