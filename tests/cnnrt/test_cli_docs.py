"""docs/command-line.md tells of every command and option that there is, and of none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cnnrt.cli.commands import cnnrt

COMMON = {"--help", "--debug", "--json"}


def sections(repository: Path) -> dict[str, str]:
    """The page's sections by heading; what comes before the first is under the empty name."""
    parts = re.split(r"^## (\w+)$", (repository / "docs" / "command-line.md").read_text(encoding="utf-8"), flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def options(name: str) -> set[str]:
    """The options of a command and of its own subcommands."""
    context = click.Context(cnnrt)
    command = cnnrt.get_command(context, name)
    assert command is not None
    commands = [command]
    if isinstance(command, click.Group):
        commands += [c for n in command.list_commands(context) if (c := command.get_command(context, n)) is not None]
    params = [p for c in commands for p in c.params if isinstance(p, click.Option)]
    return {option for p in params for option in (*p.opts, *p.secondary_opts) if option.startswith("--")} - COMMON


def test_every_command_has_a_section(repository: Path) -> None:
    assert list(sections(repository))[1:] == list(cnnrt.subcommands)


@pytest.mark.parametrize("name", list(cnnrt.subcommands))
def test_every_option_is_told(repository: Path, name: str) -> None:
    page = sections(repository)
    told = set(re.findall(r"--[a-z][a-z-]*", page[""] + page[name]))
    assert options(name) <= told


@pytest.mark.parametrize("name", list(cnnrt.subcommands))
def test_every_option_told_exists(repository: Path, name: str) -> None:
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections(repository)[name]))
    assert told <= options(name) | COMMON
