"""The meters that ship with cnnrt: what Linux tells in /sys of the energy that processors take and batteries give.

rapl.py       the counters of the processor's packages
battery.py    what a discharging battery gives, which is what the whole device takes
"""

from __future__ import annotations

from cnnrt.hookspecs import hookimpl
from cnnrt.meter import Meter

plugin_api = 1


@hookimpl
def cnnrt_meters() -> list[Meter]:
    """Return the meters; each looks for its counters when it is asked."""
    from cnnrt_meters.battery import BatteryMeter
    from cnnrt_meters.rapl import RaplMeter

    return [RaplMeter(), BatteryMeter()]
