"""The process that `memory_trial.py` measures: it says where it is, a line of JSON each, and waits to be told to go on.

NumPy and the inputs are there at "bare", the code of the backend at "base", the network has run at "done".
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
import zlib
from typing import Any

import numpy as np


def say(place: str, **facts: Any) -> None:
    """Say where this process is, and wait."""
    print(json.dumps({"at": place, **facts}), flush=True)
    sys.stdin.readline()


def values(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return numbers between -1 and 1, the same for a shape; NumPy's generators would load code of their own."""
    flat = np.arange(math.prod(shape), dtype=np.float32)
    np.sin(flat, out=flat)
    return flat.reshape(shape)


def run(told: dict[str, Any]) -> dict[str, Any]:
    """Make the network and let it compute; return what there is to tell."""
    inputs = {name: values(tuple(shape)) for name, shape in told["shapes"].items()}
    small = values((1, *told["one_item"]))
    say("bare")

    import attrs

    from cnnrt import CnnrtError, Net
    from cnnrt.errors import MemoryCeilingWarning

    options = told["options"]
    base = Net(told["one_layer"], **{**options, "allocated_ram": None, "root_directory": None})
    base.compute(small)
    base.close()
    say("base")

    warnings.simplefilter("ignore", MemoryCeilingWarning)
    checksum = 0
    times = []
    try:
        with Net(told["netfile"], **options) as net:
            for _ in range(told["calls"]):
                started = time.perf_counter()
                results = net.compute(inputs)
                times.append((time.perf_counter() - started) * 1e3)
            for result in results.values() if isinstance(results, dict) else [results]:
                checksum = zlib.crc32(result.tobytes(), checksum)
            planned = {**attrs.asdict(net.plan.memory), "peak": net.plan.memory.peak}
    except CnnrtError as error:
        return {"refused": str(error)}
    return {"milliseconds": times, "checksum": checksum, "planned": planned}


if __name__ == "__main__":
    answer = run(json.loads(sys.argv[1]))
    say("done", **answer)
