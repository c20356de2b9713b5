"""The built-in meters on made-up trees of /sys: what they count, and what they say is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cnnrt.errors import MeterError
from cnnrt.testing import MeterSuite
from cnnrt_meters.battery import BatteryMeter
from cnnrt_meters.rapl import RaplMeter

RANGE = 262143328850
"""What an Intel server shows as max_energy_range_uj."""
Files = Callable[..., Path]


@pytest.fixture
def system(tmp_path: Path) -> Files:
    """Writes files by path, with their folders, and returns the root of the tree."""

    def write(files: dict[str, object]) -> Path:
        for name, value in files.items():
            path = tmp_path / "sys/class" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        return tmp_path

    return write


def zone(folder: str, name: str, microjoules: int, most: int = RANGE) -> dict[str, object]:
    place = f"powercap/{folder}"
    return {f"{place}/name": name, f"{place}/energy_uj": microjoules, f"{place}/max_energy_range_uj": most}


def count(root: Path, folder: str, microjoules: int) -> None:
    (root / "sys/class/powercap" / folder / "energy_uj").write_text(f"{microjoules}\n")


class TestRaplAsAnyMeter(MeterSuite):
    @pytest.fixture(autouse=True)
    def _tree(self, system: Files) -> None:
        type(self).meter = RaplMeter(system(zone("intel-rapl:0", "package-0", 5)))


class TestBatteryAsAnyMeter(MeterSuite):
    @pytest.fixture(autouse=True)
    def _tree(self, system: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(BatteryMeter, "window_seconds", 0.02)
        monkeypatch.setattr(BatteryMeter, "read_seconds", 0.01)
        type(self).meter = BatteryMeter(system(battery(power_now=9_000_000)))


def test_rapl_counts_joules_from_when_it_was_opened(system: Files) -> None:
    root = system(zone("intel-rapl:0", "package-0", 7_000_000))
    meter = RaplMeter(root)
    assert meter.problem() == ""
    counter = meter.open()
    assert counter.joules() == 0
    count(root, "intel-rapl:0", 9_500_000)
    assert counter.joules() == 2.5
    assert meter.open().joules() == 0


def test_rapl_adds_up_packages_and_nothing_inside_or_around_them(system: Files) -> None:
    root = system(
        {
            **zone("intel-rapl:0", "package-0", 0),
            **zone("intel-rapl:0:0", "core", 0),
            **zone("intel-rapl:0:1", "dram", 0),
            **zone("intel-rapl:1", "package-1", 0),
            **zone("intel-rapl:2", "psys", 0),
            "powercap/intel-rapl/enabled": 1,
        }
    )
    counter = RaplMeter(root).open()
    for folder in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:0:1", "intel-rapl:1", "intel-rapl:2"):
        count(root, folder, 1_000_000)
    assert counter.joules() == 2.0


def test_rapl_counts_a_package_once_that_is_shown_twice(system: Files) -> None:
    root = system({**zone("intel-rapl-mmio:0", "package-0", 0), **zone("intel-rapl:0", "package-0", 0)})
    counter = RaplMeter(root).open()
    count(root, "intel-rapl-mmio:0", 5_000_000)
    count(root, "intel-rapl:0", 1_000_000)
    assert counter.joules() == 1.0
    (root / "sys/class/powercap/intel-rapl:0/name").write_text("psys\n")
    assert RaplMeter(root).problem() == "", "the mapped one will do where it is the only one"


def test_rapl_follows_a_counter_that_starts_again(system: Files) -> None:
    root = system({**zone("intel-rapl:0", "package-0", RANGE - 999_999), **zone("intel-rapl:1", "package-1", 0, 99)})
    counter = RaplMeter(root).open()
    count(root, "intel-rapl:0", 1_000_000)
    assert counter.joules() == pytest.approx(2.0)
    count(root, "intel-rapl:0", 3_000_000)
    assert counter.joules() == pytest.approx(4.0)
    for _ in range(3):
        count(root, "intel-rapl:1", 60)
        count(root, "intel-rapl:1", 60)
        counter.joules()
        count(root, "intel-rapl:1", 10)
        counter.joules()
    assert counter.joules() == pytest.approx(4.0 + (3 * 100 + 10) / 1e6), "three times around, each from 60 to 10"


def test_rapl_without_powercap_names_the_folder_and_what_to_try(tmp_path: Path) -> None:
    problem = RaplMeter(tmp_path).problem()
    assert "powercap" in problem
    assert str(tmp_path / "sys/class/powercap") in problem or os.name != "posix" or os.uname().sysname != "Linux"


def test_rapl_without_a_package_names_the_zone_that_is_missing(system: Files) -> None:
    problem = RaplMeter(system(zone("dtpm:0", "package-0", 0))).problem()
    assert "has no zone intel-rapl:N of a package" in problem
    assert "modprobe intel_rapl_msr" in problem


@pytest.mark.parametrize("missing", ["energy_uj", "max_energy_range_uj"])
def test_rapl_names_a_file_that_is_missing(system: Files, missing: str) -> None:
    root = system(zone("intel-rapl:0", "package-0", 0))
    (root / "sys/class/powercap/intel-rapl:0" / missing).unlink()
    assert f"intel-rapl:0/{missing} does not exist" in RaplMeter(root).problem()


@pytest.mark.parametrize("text", ["", "soon", "1.5", "9" * 40])
def test_rapl_names_a_file_that_holds_no_number(system: Files, text: str) -> None:
    root = system(zone("intel-rapl:0", "package-0", 0))
    (root / "sys/class/powercap/intel-rapl:0/energy_uj").write_text(text)
    assert "energy_uj holds" in RaplMeter(root).problem()


def test_rapl_that_only_root_may_read_says_how_to_change_that(system: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    root = system({**zone("intel-rapl:0", "package-0", 0), **zone("intel-rapl:1", "package-1", 0)})
    locked = root / "sys/class/powercap/intel-rapl:1/energy_uj"
    opened = Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no file refuses
    problem = RaplMeter(root).problem()
    assert f"{locked} may not be read by this user" in problem
    assert f"sudo chmod a+r {locked}" in problem
    assert "intel-rapl:0/energy_uj" not in problem, "that one can be read"
    with pytest.raises(MeterError, match="root's alone"):
        RaplMeter(root).open()


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def battery(name: str = "BAT0", status: str = "Discharging", kind: str = "Battery", **values: int) -> dict[str, object]:
    place = f"power_supply/{name}"
    return {f"{place}/type": kind, f"{place}/status": status, **{f"{place}/{key}": v for key, v in values.items()}}


def test_a_battery_that_tells_its_power_is_added_up_over_time(system: Files) -> None:
    clock = Clock()
    meter = BatteryMeter(system(battery(power_now=10_000_000, energy_now=1)), clock)
    assert meter.problem() == ""
    counter = meter.open()
    assert counter.joules() == 0
    clock.now += 2
    assert counter.joules() == 20
    system(battery(power_now=20_000_000))
    clock.now += 2
    assert counter.joules() == 50, "between two readings the power changes evenly"


@pytest.mark.parametrize("current", [1_500_000, -1_500_000])
def test_voltage_times_current_is_power_whatever_the_sign_of_what_flows_out(system: Files, current: int) -> None:
    clock = Clock()
    counter = BatteryMeter(system(battery(voltage_now=4_000_000, current_now=current)), clock).open()
    clock.now += 10
    assert counter.joules() == pytest.approx(60)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"energy_now": 50_000_000}, {"energy_now": 49_900_000}),
        ({"charge_now": 5_000_000, "voltage_now": 10_000_000}, {"charge_now": 4_990_000}),
    ],
)
def test_what_is_left_in_it_counts_where_no_power_is_told(
    system: Files, before: dict[str, int], after: dict[str, int]
) -> None:
    counter = BatteryMeter(system(battery(**before))).open()
    system(battery(**after))
    assert counter.joules() == pytest.approx(360), "a tenth of a watt-hour"
    system(battery(**before))
    assert counter.joules() == pytest.approx(360), "a gauge that corrects itself upwards gives nothing back"


def test_all_batteries_of_the_device_count_and_those_of_its_mouse_do_not(system: Files) -> None:
    mouse = {**battery("mouse", power_now=1_000_000), "power_supply/mouse/scope": "Device"}
    supply = battery("AC", kind="Mains", power_now=1_000_000)
    full = battery("BAT1", status="Full", power_now=0)
    clock = Clock()
    root = system({**battery(power_now=2_000_000), **battery("BAT2", energy_now=3_600_000), **mouse, **supply, **full})
    counter = BatteryMeter(root, clock).open()
    clock.now += 1
    system(battery("BAT2", energy_now=3_599_000))
    assert counter.joules() == pytest.approx(2 + 3.6)


def test_a_battery_that_does_not_discharge_is_named_with_its_status(system: Files) -> None:
    problem = BatteryMeter(system(battery(status="Charging", power_now=1))).problem()
    assert "BAT0 has status 'Charging'" in problem
    assert "unplug the power supply" in problem


def test_a_power_supply_that_is_plugged_in_meanwhile_is_noticed(system: Files) -> None:
    counter = BatteryMeter(system(battery(power_now=1))).open()
    system(battery(status="Charging", power_now=1))
    with pytest.raises(MeterError, match="BAT0 stopped discharging: keep the power supply unplugged"):
        counter.joules()


def test_a_battery_without_any_counter_says_what_was_expected(system: Files) -> None:
    problem = BatteryMeter(system(battery(voltage_now=1))).problem()
    assert "BAT0 does not tell what it gives: expected power_now" in problem


@pytest.mark.parametrize("files", [{}, {"power_supply/AC/type": "Mains"}])
def test_without_a_battery_the_folder_is_named(system: Files, files: dict[str, object]) -> None:
    problem = BatteryMeter(system(files)).problem()
    assert "power_supply" in problem
    assert ("has no battery" in problem) == bool(files)
