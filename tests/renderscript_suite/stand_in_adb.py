"""A stand-in for adb: a folder is the phone's storage, programs run in qemu's emulator of a 64-bit Arm processor.

It understands what the transport says: `devices`, `-s SERIAL push`, `-s SERIAL shell`. What goes wrong is read from the
file `fault` beside it: "full" (the storage), "unplugged N" (after N bytes of a program's output), "unauthorized".
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

SERIAL = "STANDIN1"
HERE = Path(sys.argv[0]).resolve().parent
STORAGE = HERE / "storage"
PHONE_FOLDER = "/data/local/tmp"
PROPERTIES = {
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.manufacturer": "Stand",
    "ro.product.model": "In",
    "ro.build.version.release": "16",
}


def fault() -> list[str]:
    file = HERE / "fault"
    return file.read_text().split() if file.exists() else [""]


def push(source: str, target: str) -> int:
    data = Path(source).read_bytes()
    path = Path(target.replace(PHONE_FOLDER, str(STORAGE)))
    with (HERE / "pushed").open("a") as log:
        log.write(f"{path.name}\n")
    if fault()[0] == "full":
        path.write_bytes(data[: len(data) // 2])
        print(f"adb: error: failed to copy '{source}' to '{target}': remote write failed: No space left on device",
              file=sys.stderr)  # fmt: skip
        return 1
    path.write_bytes(data)
    return 0


def program(path: str) -> int:
    """Run a program with this process's input and output, until it ends or the phone is unplugged."""
    child = subprocess.Popen(
        ["qemu-aarch64", path.replace(PHONE_FOLDER, str(STORAGE))], stdin=sys.stdin.buffer, stdout=subprocess.PIPE
    )
    assert child.stdout
    left = int(fault()[1]) if fault()[0] == "unplugged" else None
    while piece := child.stdout.read1(1 << 16):
        sent = piece if left is None else piece[:left]
        sys.stdout.buffer.write(sent)
        sys.stdout.buffer.flush()
        if left is not None:
            left -= len(sent)
            if left == 0:
                child.kill()
                print(f"error: device '{SERIAL}' not found", file=sys.stderr)
                return 1
    return child.wait()


def shell(command: str) -> int:
    if command == "getprop":
        print("\n".join(f"[{name}]: [{value}]" for name, value in PROPERTIES.items()))
        return 0
    return subprocess.run(["sh", "-c", command.replace(PHONE_FOLDER, str(STORAGE))], check=False).returncode


def main(arguments: list[str]) -> int:
    if arguments == ["devices"]:
        state = fault()[0] if fault()[0] == "unauthorized" else "device"
        print(f"List of devices attached\n{SERIAL}\t{state}\n")
        return 0
    if arguments[:2] != ["-s", SERIAL]:
        print(f"error: device '{arguments[1]}' not found", file=sys.stderr)
        return 1
    match arguments[2:]:
        case ["push", source, target]:
            return push(source, target)
        case ["shell", "-T", path]:
            return program(path)
        case ["shell", command]:
            return shell(command)
    print(f"adb: unknown command {arguments[2]}", file=sys.stderr)
    return 1


def install(folder: Path) -> Path:
    """Put the stand-in into a folder as the program `adb` and return the folder, for the PATH."""
    (folder / "storage").mkdir()
    adb = folder / "adb"
    adb.write_text(f"#!{sys.executable}\n{Path(__file__).read_text()}")
    adb.chmod(0o755)
    return folder


def pushed(folder: Path) -> list[str]:
    """Return the names of the files that were copied to the phone."""
    log = folder / "pushed"
    return log.read_text().split() if log.exists() else []


def stored(folder: Path) -> list[str]:
    """Return the names of the files in the phone's storage."""
    return sorted(file.name for file in (folder / "storage").iterdir())


def wipe(folder: Path) -> None:
    """Empty the phone's storage."""
    shutil.rmtree(folder / "storage")
    (folder / "storage").mkdir()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
