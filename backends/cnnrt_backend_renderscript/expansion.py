"""The C text that a script is compiled as: the API's header, the script, and behind it the loops around its kernels.

The loops stand in the kernel's own text, so that the compiler draws the kernel into them, and no vector is handed to a
function in another file (how that is done differs between compilers). Symbols carry the script's id: scripts linked
into one program do not meet.
"""

from __future__ import annotations

import functools

from cnnrt_backend_renderscript.exports import COORDINATES, Exports, KernelSignature, read_exports
from cnnrt_backend_renderscript.script import Script, runtime_text


@functools.lru_cache(maxsize=256)
def expand(script: Script, *, checked: bool = False) -> str:
    """Return the whole text of a script; `checked`: with every access checked against its allocation."""
    exports = read_exports(script.source, f"{script.name}.rs")
    defines = [f"#define {name} {value}" for name, value in script.defines.items()]
    return "\n".join(
        (
            "#define RS_CHECKED" if checked else "",
            runtime_text("renderscript.h"),
            runtime_text("launch.h"),
            *defines,
            *_renamed(script, exports),
            f'#line 1 "{script.name}.rs"',
            script.source,
            '#line 1 "the loops around its kernels"',
            *(_loop(kernel) for kernel in exports.kernels),
            _table(script, exports, checked),
        )
    )


def _renamed(script: Script, exports: Exports) -> list[str]:
    names = [g.name for g in exports.globals] + [k.name for k in exports.kernels]
    return [f"#pragma redefine_extname {name} {script.id}__{name}" for name in names]


def _loop(kernel: KernelSignature) -> str:
    lines = [
        f"static void {kernel.name}_loop(const struct rs_walk *walk, uint32_t first, uint32_t last, uint32_t y, "
        "uint32_t z) {",
        "    const long row = ((long)z * walk->dim_y + y) * walk->dim_x;",
        *(f"    const {t} *in{i} = (const {t} *)walk->in[{i}] + row;" for i, t in enumerate(kernel.inputs)),
    ]
    if kernel.output:
        lines.append(f"    {kernel.output} *out = ({kernel.output} *)walk->out + row;")
    inputs = iter(range(len(kernel.inputs)))
    arguments = []
    for parameter in kernel.parameters:
        if parameter in COORDINATES:
            arguments.append(parameter)
        elif parameter == "in":
            arguments.append(f"&in{next(inputs)}[x]" if kernel.pointers else f"in{next(inputs)}[x]")
        else:
            arguments.append("&out[x]" if parameter == "out" else "0")
    call = f"{kernel.name}({', '.join(arguments)})"
    stored = f"out[x] = {call}" if kernel.output and not kernel.pointers else call
    return "\n".join(
        (*lines, f"    for (uint32_t x = first; x < last; x++) {stored};", "    (void)row, (void)y, (void)z;", "}")
    )


def _table(script: Script, exports: Exports, checked: bool) -> str:
    variables = "".join(f'    {{"{g.name}", &{g.name}, sizeof {g.name}}},\n' for g in exports.globals)
    kernels = "".join(f'    {{"{k.name}", {k.name}_loop}},\n' for k in exports.kernels)
    fault = "&rs_fault.count" if checked else "0"
    return (
        f"static const struct rs_global rs_globals[] = {{\n{variables}    {{0, 0, 0}}}};\n"
        f"static const struct rs_kernel rs_kernels[] = {{\n{kernels}    {{0, 0}}}};\n"
        f'__attribute__((visibility("default"))) const struct rs_script rs_script_{script.id} = {{\n'
        f"    rs_globals, rs_kernels, {fault}, {len(exports.globals)}, {len(exports.kernels)}}};\n"
    )
