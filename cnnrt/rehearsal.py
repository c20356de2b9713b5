"""What takes much memory once happens in another process: compiling, verifying and measuring kernels.

Under a ceiling a Net lets a child prepare the same network first. What the child learns and makes (compiled code,
verifications, measurements, weights packed to be read in pieces) lies in the cache folder, where this process finds
it: compilers never enter it, and no kernel is tried with weights of its own beside those of the network.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from cnnrt.cache_folder import cache_folder
from cnnrt.child_python import child_command, child_environment, children_possible
from cnnrt.layer import Shape
from cnnrt.pinned import Pin
from cnnrt.settings import Settings
from netfile_spec import NetFile, format_netfile, parse_netfile

log = logging.getLogger("cnnrt")


def rehearse(
    netfile: NetFile, root: Path, settings: Settings, shapes: Mapping[str, Shape], wanted: Sequence[str]
) -> bool:
    """Let a child tune and verify what computing these values takes; tells whether it did.

    It does not where there is no cache folder to leave anything in, or where no child can be started.
    """
    if not children_possible() or cache_folder("tuning") is None:
        return False
    told = {
        "netfile": format_netfile(netfile),
        "root": str(root),
        "settings": attrs.asdict(attrs.evolve(settings, pinned={})),
        "pinned": {name: {**attrs.asdict(pin), "tuning": dict(pin.tuning)} for name, pin in settings.pinned.items()},
        "shapes": dict(shapes),
        "wanted": list(wanted),
    }
    try:
        done = subprocess.run(
            child_command("cnnrt.rehearsal"),
            env=child_environment(),
            input=json.dumps(told),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        log.debug("no process could be started to compile and verify kernels in: %s", error)
        return False
    if done.returncode:
        said = done.stderr.strip()[-2000:]
        log.debug("the process that was to compile and verify kernels failed (%d): %s", done.returncode, said)
    return not done.returncode


def main() -> None:
    """Be the child: read what to rehearse from standard input."""
    from cnnrt.graph_builder import build_graph
    from cnnrt.plugins import plugin_host
    from cnnrt.prepared_networks import PreparedNetworks
    from cnnrt.vocabulary import vocabulary

    told = json.load(sys.stdin)
    pinned = {name: Pin(**pin) for name, pin in told["pinned"].items()}
    settings = Settings(**{**told["settings"], "pinned": pinned})
    host, root = plugin_host(), Path(told["root"])
    netfile = parse_netfile(told["netfile"], vocabulary=vocabulary())
    graph = build_graph(netfile, root, host)
    network = PreparedNetworks(netfile, graph, root, settings, host)
    network.rehearse({name: tuple(shape) for name, shape in told["shapes"].items()}, told["wanted"])


if __name__ == "__main__":
    main()
