"""RAPL: the energy counters of x86 processors, as Linux's powercap shows them in /sys/class/powercap.

RAPL is the "running average power limit" of Intel's Software Developer's Manual, volume 3, section 16.10; AMD's
processors from Zen on have the counters too. Documentation/power/powercap/powercap.rst of the kernel describes the
files. A zone `intel-rapl:N` is a package or the whole platform (psys); `intel-rapl:N:M` are parts of a package, which
are not added to it. The counters are shown in microjoules, in steps of about 61, and move every millisecond.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from cnnrt.errors import MeterError
from cnnrt.meter import EnergyCounter, Meter
from cnnrt_meters.sysfs import number_in, text_in

POWERCAP = "sys/class/powercap"
ZONE = re.compile(r"intel-rapl(?P<mapped>-mmio)?:(?P<number>\d+)")
"""Names of whole zones. Those of `intel-rapl-mmio` read the same counters in another way."""


@attrs.frozen
class Zone:
    """A counter: its folder, the name of what it counts ("package-0"), and the value after which it starts again."""

    folder: Path
    name: str

    @property
    def energy(self) -> Path:
        """The file with the microjoules."""
        return self.folder / "energy_uj"

    @property
    def range(self) -> int:
        """The microjoules at which the counter starts again at 0."""
        return number_in(self.folder / "max_energy_range_uj")


class RaplMeter(Meter):
    """Adds up the counters of all packages. `system` is where /sys is looked for."""

    name = "rapl"
    description = "energy of the processor packages, by RAPL: cores and caches, not memory, display or power supply"

    def __init__(self, system: Path = Path("/")) -> None:
        self._powercap = system / POWERCAP

    def problem(self) -> str:
        """Return what is missing, empty if the counters of all packages can be read."""
        try:
            self.open()
        except MeterError as error:
            return str(error)
        return ""

    def open(self) -> EnergyCounter:
        """Return a counter of all packages together."""
        zones = self._packages()
        try:
            return _PackageCounter(zones)
        except MeterError as error:
            locked = [str(zone.energy) for zone in zones if zone.energy.exists() and not _may_read(zone.energy)]
            if not locked:
                raise
            # Since Linux 5.10, against CVE-2020-8694: what others compute can be guessed from fine-grained readings.
            raise MeterError(
                f"{error}: RAPL counters are root's alone; run as root, or let everybody read them until the next "
                f"start with: sudo chmod a+r {' '.join(locked)}"
            ) from None

    def _packages(self) -> Sequence[Zone]:
        if not self._powercap.is_dir():
            if not sys.platform.startswith("linux"):
                raise MeterError("RAPL counters are read through Linux's powercap, which this system does not have")
            raise MeterError(
                f"{self._powercap} does not exist: the kernel shows no RAPL counters; virtual machines seldom have "
                f"them, elsewhere try: sudo modprobe intel_rapl_msr"
            )
        found: dict[str, Zone] = {}
        for folder in sorted(self._powercap.iterdir(), key=_order):
            name = text_in(folder / "name")
            if ZONE.fullmatch(folder.name) and name.startswith("package"):
                found.setdefault(name, Zone(folder, name))
        if not found:
            raise MeterError(
                f"{self._powercap} has no zone intel-rapl:N of a package: the kernel shows no RAPL counters; "
                f"virtual machines seldom have them, elsewhere try: sudo modprobe intel_rapl_msr"
            )
        return list(found.values())


class _PackageCounter:
    """Joules of several zones since it was made. A counter that fell has started again once."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        self._ranges = [zone.range for zone in zones]
        self._last = [number_in(zone.energy) for zone in zones]
        self._microjoules = 0

    def joules(self) -> float:
        """Return the joules so far; a package takes minutes at least to count its range once."""
        for index, zone in enumerate(self._zones):
            now = number_in(zone.energy)
            step = now - self._last[index]
            # The range is the largest value that the counter takes, as powercap has it.
            self._microjoules += step if step >= 0 else step + self._ranges[index] + 1
            self._last[index] = now
        return self._microjoules / 1e6


def _may_read(file: Path) -> bool:
    try:
        file.open("rb").close()
    except OSError:
        return False
    return True


def _order(folder: Path) -> tuple[bool, int, str]:
    """Sort zones by number, those of `intel-rapl-mmio` last."""
    match = ZONE.fullmatch(folder.name)
    return (bool(match and match["mapped"]), int(match["number"]) if match else 0, folder.name)
