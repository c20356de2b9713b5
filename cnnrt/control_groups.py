"""What a Linux control group (container, systemd slice, batch job) lets this process have: processor time and memory.

Both versions of the interface are read, as the kernel documents them (Documentation/admin-guide/cgroup-v1 and
cgroup-v2.rst): a limit anywhere between the process's group and the root of the hierarchy holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import attrs

NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as a number near 2^63; nothing above this is taken for a limit."""


@attrs.frozen
class GroupLimits:
    """Limits of the control group: `cpus` (processors' worth of time, 1.5 for example) and `memory` in bytes.

    `memory_used` belongs to the group that sets the limit, file caches that can be dropped not counted.
    None: there is no such limit.
    """

    cpus: float | None = None
    memory: int | None = None
    memory_used: int | None = None


@attrs.frozen
class _Hierarchy:
    """A mounted hierarchy: version 2, or one controller of version 1, and the process's group in it."""

    version: int
    mount: Path
    group: Path

    def groups(self) -> Iterator[Path]:
        """Yield the process's group and all those around it, up to the mount."""
        group = self.group
        while True:
            yield group
            if group == self.mount or self.mount not in group.parents:
                return
            group = group.parent


def read_group_limits(system: Path = Path("/")) -> GroupLimits:
    """Return the limits that hold for this process. `system` is where /proc and /sys are looked for."""
    cpus: list[float] = []
    memory: list[tuple[int, int | None]] = []
    for controller, found in _hierarchies(system):
        for group in found.groups():
            if controller == "cpu" and (share := _cpus(found.version, group)) is not None:
                cpus.append(share)
            if controller == "memory" and (limit := _memory(found.version, group)) is not None:
                memory.append((limit, _memory_used(found.version, group)))
    if not memory:
        return GroupLimits(cpus=min(cpus, default=None))
    # The group with the least left to take decides, which need not be the one with the lowest limit.
    limit, used = min(memory, key=lambda pair: pair[0] - (pair[1] or 0))
    return GroupLimits(min(cpus, default=None), limit, used)


def _hierarchies(system: Path) -> Iterator[tuple[str, _Hierarchy]]:
    """Yield, for the controllers of interest, where the process's group is mounted."""
    own = _own_groups(_text(system / "proc/self/cgroup"))
    for line in _text(system / "proc/self/mountinfo").splitlines():
        # 32 31 0:29 ROOT MOUNT OPTIONS [tags] - TYPE SOURCE SUPER_OPTIONS
        left, _, right = line.partition(" - ")
        place, kind = left.split(), right.split()
        if len(place) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mount = system / _unescaped(place[4]).lstrip("/")
        version = 2 if kind[0] == "cgroup2" else 1
        for controller in ("cpu", "memory"):
            if version == 2:
                group = own.get("")
            else:
                group = own.get(controller) if controller in kind[2].split(",") else None
            if group is not None:
                yield controller, _Hierarchy(version, mount, _inside(mount, _unescaped(place[3]), group))


def _own_groups(text: str) -> dict[str, str]:
    """Return the process's group by controller; version 2's is under the empty name."""
    groups = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        groups.update(dict.fromkeys(controllers.split(","), group))
    return groups


def _inside(mount: Path, root: str, group: str) -> Path:
    """Return the folder of `group` where only the part of the hierarchy below `root` is mounted, as in containers."""
    relative = PurePosixPath(group)
    if relative.is_relative_to(root) and ".." not in relative.parts:
        folder = mount / relative.relative_to(root)
        if folder.is_dir():
            return folder
    return mount


def _cpus(version: int, group: Path) -> float | None:
    if version == 2:
        quota, period = [*_text(group / "cpu.max").split(), "", ""][:2]
    else:
        quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    microseconds, of = _number(quota), _number(period)
    return microseconds / of if microseconds and of else None


def _memory(version: int, group: Path) -> int | None:
    limit = _number(_text(group / ("memory.max" if version == 2 else "memory.limit_in_bytes")).strip())
    return None if limit is None or limit >= NO_LIMIT else limit


def _memory_used(version: int, group: Path) -> int | None:
    used = _number(_text(group / ("memory.current" if version == 2 else "memory.usage_in_bytes")).strip())
    if used is None:
        return None
    droppable = "inactive_file" if version == 2 else "total_inactive_file"
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == droppable:
            return max(0, used - (_number(value) or 0))
    return used


def _number(text: str) -> int | None:
    """Return a count, None for "max", -1 and what is not there: there is no limit then."""
    return int(text) if text.isascii() and text.isdigit() else None


def _unescaped(text: str) -> str:
    """Return a path of mountinfo, which writes blanks as octal numbers."""
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
