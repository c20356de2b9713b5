"""Batteries: what Linux's power_supply class shows in /sys/class/power_supply while a device runs on them.

Documentation/ABI/testing/sysfs-class-power of the kernel describes the files: microvolts, microamperes, microwatts,
and micro-watt-hours or micro-ampere-hours. The power is taken where a driver tells it and added up over time; gauges
bring it up to date every second or so, some only every half minute. The charge that is left moves in far larger steps
and is taken where there is nothing better.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from cnnrt.errors import MeterError
from cnnrt.meter import EnergyCounter, Meter
from cnnrt_meters.sysfs import number_in, text_in

POWER_SUPPLY = "sys/class/power_supply"
WATT_HOUR = 3600.0
"""Joules."""
Clock = Callable[[], float]


@attrs.frozen
class Battery:
    """The folder of one battery."""

    folder: Path

    @property
    def discharging(self) -> bool:
        """Whether it gives energy; otherwise what it shows is not what the device takes."""
        return text_in(self.folder / "status").lower() == "discharging"

    def has(self, *names: str) -> bool:
        """Tell whether all these files can be read as numbers."""
        try:
            for name in names:
                number_in(self.folder / name)
        except MeterError:
            return False
        return True

    @property
    def tells_power(self) -> bool:
        """Whether it shows the power of the moment, or voltage and current."""
        return self.has("power_now") or self.has("voltage_now", "current_now")

    @property
    def tells_energy(self) -> bool:
        """Whether it shows what is left in it."""
        return self.has("energy_now") or self.has("charge_now", "voltage_now")

    def watts(self) -> float:
        """Return the power of the moment; drivers differ in the sign of what flows out."""
        if self.has("power_now"):
            return abs(number_in(self.folder / "power_now")) / 1e6
        return abs(self._microvolts() * number_in(self.folder / "current_now")) / 1e12

    def joules_left(self) -> float:
        """Return the energy that is left."""
        if self.has("energy_now"):
            return number_in(self.folder / "energy_now") * WATT_HOUR / 1e6
        return self._microvolts() * number_in(self.folder / "charge_now") * WATT_HOUR / 1e12

    def _microvolts(self) -> int:
        return number_in(self.folder / "voltage_now")


class BatteryMeter(Meter):
    """Adds up what all batteries of the device give. `system` is where /sys is looked for, `clock` gives seconds."""

    name = "battery"
    description = "energy that the whole device takes from its battery; only while it runs on it"
    window_seconds = 2.0

    def __init__(self, system: Path = Path("/"), clock: Clock = time.monotonic) -> None:
        self._folder = system / POWER_SUPPLY
        self._clock = clock

    def problem(self) -> str:
        """Return what is missing, empty if the device runs on a battery that tells what it gives."""
        try:
            self.open()
        except MeterError as error:
            return str(error)
        return ""

    def open(self) -> EnergyCounter:
        """Return a counter of all batteries together."""
        batteries = self._batteries()
        for battery in batteries:
            if not (battery.tells_power or battery.tells_energy):
                raise MeterError(
                    f"battery {battery.folder} does not tell what it gives: expected power_now, or voltage_now and "
                    f"current_now, or energy_now, or voltage_now and charge_now"
                )
        giving = [battery for battery in batteries if battery.discharging]
        if not giving:
            listed = ", ".join(f"{b.folder} has status {text_in(b.folder / 'status')!r}" for b in batteries)
            raise MeterError(f"no battery is discharging ({listed}): unplug the power supply")
        return _BatteryCounter(giving, self._clock)

    def _batteries(self) -> Sequence[Battery]:
        if not self._folder.is_dir():
            missing = "" if sys.platform.startswith("linux") else ": this system is not Linux"
            raise MeterError(f"{self._folder} does not exist{missing}")
        found = [
            Battery(folder)
            for folder in sorted(self._folder.iterdir())
            if text_in(folder / "type").lower() == "battery"
            # Mice and headsets have batteries too: theirs are of scope "Device".
            and text_in(folder / "scope").lower() != "device"
        ]
        if not found:
            raise MeterError(f"{self._folder} has no battery")
        return found


class _BatteryCounter:
    """Joules that batteries gave since it was made."""

    def __init__(self, batteries: Sequence[Battery], clock: Clock) -> None:
        self._clock = clock
        self._powered = [b for b in batteries if b.tells_power]
        self._drained = [b for b in batteries if not b.tells_power]
        self._time = clock()
        self._watts = self._power()
        self._left = self._energy()
        self._joules = 0.0

    def joules(self) -> float:
        """Return the joules so far; between two calls the power counts as having changed evenly."""
        for battery in (*self._powered, *self._drained):
            if not battery.discharging:
                raise MeterError(f"battery {battery.folder} stopped discharging: keep the power supply unplugged")
        now, watts, left = self._clock(), self._power(), self._energy()
        self._joules += (watts + self._watts) / 2 * (now - self._time) + max(0.0, self._left - left)
        self._time, self._watts, self._left = now, watts, min(left, self._left)
        return self._joules

    def _power(self) -> float:
        return sum(battery.watts() for battery in self._powered)

    def _energy(self) -> float:
        return sum(battery.joules_left() for battery in self._drained)
