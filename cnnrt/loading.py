"""From a NetFile on disk to its model: checked against the installed layers and what it `requires`."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path

from cnnrt.errors import NetFileError, Problem
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.vocabulary import vocabulary
from netfile_spec import NetFile, read_netfile
from netfile_spec.problems import quoted

# Names of distributions as packaging.python.org specifies them: the hint is a command that people copy.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


def load_netfile(path: str | Path, host: PluginHost | None = None, *, weights_follow: bool = False) -> NetFile:
    """Return the NetFile at `path`; raises NetFileError with all its problems.

    `weights_follow`: layers may leave out their `parameters_file` (a topology, whose weights come from elsewhere).

    A plugin that the NetFile requires and that is not installed, and a layer type that two plugins claim, are named
    first: they are the likely causes of layer types that nobody knows.
    """
    try:
        netfile = read_netfile(path, vocabulary(host, weights_follow=weights_follow))
    except NetFileError as error:
        try:
            bare = read_netfile(path)
        except NetFileError:
            foreign = _foreign_model(Path(path), host)
            raise (NetFileError(foreign, file=str(path)) if foreign else error) from None
        causes = [*_missing_plugins(bare), *_collisions(bare, host)]
        if not causes:
            raise
        raise NetFileError([*causes, *error.problems], file=str(path), source=bare.source) from None
    missing = _missing_plugins(netfile)
    if missing:
        raise NetFileError(missing, file=str(path), source=netfile.source)
    return netfile


def _foreign_model(path: Path, host: PluginHost | None) -> list[Problem]:
    """Return what to do with a model of another framework that was taken for a NetFile; empty: it is none."""
    if not path.is_file():
        return []
    able = [i.name for i in (host or plugin_host()).importers().values() if i.recognises([path])]
    if not able:
        return []
    message = f"this is no NetFile, but a file that is converted into one (by the importer {' or '.join(able)})"
    return [Problem(message, hint=f"cnnrt convert {shlex.quote(str(path))} -o DIR")]


def _collisions(netfile: NetFile, host: PluginHost | None) -> list[Problem]:
    claimed = (host or plugin_host()).layers().collisions
    places = {block.type.lower(): block.key_positions.get("type") for block in reversed(netfile.layers)}
    return [Problem(claimed[name], place) for name, place in places.items() if name in claimed]


def _missing_plugins(netfile: NetFile) -> list[Problem]:
    position = netfile.positions.get("requires")
    problems = []
    for distribution in dict.fromkeys(netfile.requires):
        if not _DISTRIBUTION.fullmatch(distribution):
            message = f"this NetFile requires {quoted(distribution)}, which is no name of a distribution"
            problems.append(Problem(message, position, expected="letters, digits, and . _ - between them"))
            continue
        try:
            metadata.distribution(distribution)
        except (metadata.PackageNotFoundError, ValueError):
            problems.append(
                Problem(
                    f"this NetFile requires the plugin {distribution!r}, which is not installed",
                    position,
                    hint=f"pip install {distribution} (a plugin is a program: only if you trust who made it)",
                )
            )
    return problems
