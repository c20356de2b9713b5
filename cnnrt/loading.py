"""From a NetFile on disk to its model: checked against the installed layers and what it `requires`."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from cnnrt.errors import NetFileError, Problem
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.vocabulary import vocabulary
from netfile_spec import NetFile, read_netfile


def load_netfile(path: str | Path, host: PluginHost | None = None) -> NetFile:
    """Return the NetFile at `path`; raises NetFileError with all its problems.

    A plugin that the NetFile requires and that is not installed, and a layer type that two plugins claim, are named
    first: they are the likely causes of layer types that nobody knows.
    """
    try:
        netfile = read_netfile(path, vocabulary(host))
    except NetFileError as error:
        try:
            bare = read_netfile(path)
        except NetFileError:
            raise error from None
        causes = [*_missing_plugins(bare), *_collisions(bare, host)]
        if not causes:
            raise
        raise NetFileError([*causes, *error.problems], file=str(path), source=bare.source) from None
    missing = _missing_plugins(netfile)
    if missing:
        raise NetFileError(missing, file=str(path), source=netfile.source)
    return netfile


def _collisions(netfile: NetFile, host: PluginHost | None) -> list[Problem]:
    claimed = (host or plugin_host()).layers().collisions
    places = {block.type.lower(): block.key_positions.get("type") for block in reversed(netfile.layers)}
    return [Problem(claimed[name], place) for name, place in places.items() if name in claimed]


def _missing_plugins(netfile: NetFile) -> list[Problem]:
    problems = []
    for distribution in netfile.requires:
        try:
            metadata.distribution(distribution)
        except (metadata.PackageNotFoundError, ValueError):
            problems.append(
                Problem(
                    f"this NetFile requires the plugin {distribution!r}, which is not installed",
                    netfile.positions.get("requires"),
                    hint=f"pip install {distribution}",
                )
            )
    return problems
