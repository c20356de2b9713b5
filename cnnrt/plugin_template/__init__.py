"""Begins a plugin: a small, complete distribution of one kind, written from the templates beside this file.

Texts hold the words that `PluginName.words` lists, as $name or ${name}; paths hold MODULE and SNAKE.
"""

from __future__ import annotations

import keyword
import re
import shutil
import string
import tempfile
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

import attrs

from cnnrt import __version__
from cnnrt.errors import CnnrtError, InputError
from cnnrt.hookspecs import PLUGIN_API

Kind = Literal["layer", "backend", "importer", "meter"]

PREFIXES: Mapping[str, str] = {
    "layer": "cnnrt",
    "backend": "cnnrt-backend",
    "importer": "cnnrt-import",
    "meter": "cnnrt-meter",
}
"""What the distribution of each kind is called, before its own name."""
SUMMARIES: Mapping[str, str] = {
    "layer": "The layer $Name for cnnrt.",
    "backend": "The backend $name for cnnrt.",
    "importer": "An importer of *.$name files for cnnrt.",
    "meter": "The meter $name for cnnrt.",
}
LONGEST_NAME = 40
RESERVED = {"backend": ("parallel", "core")}
"""Names that cnnrt itself gives a meaning to, by kind."""
SUFFIX = ".template"


@attrs.frozen
class PluginName:
    """A name in all its spellings: `soft-shrink`, `soft_shrink`, `SoftShrink`, and those made from them."""

    kind: Kind
    dashed: str

    @property
    def snake(self) -> str:
        """With underscores, for modules."""
        return self.dashed.replace("-", "_")

    @property
    def camel(self) -> str:
        """In one word, for classes and layer types."""
        return "".join(word[0].upper() + word[1:] for word in self.dashed.split("-"))

    @property
    def distribution(self) -> str:
        """What pip installs."""
        return f"{PREFIXES[self.kind]}-{self.dashed}"

    @property
    def module(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    @property
    def words(self) -> dict[str, str]:
        """What the templates say, by name."""
        words = {
            "name": self.dashed,
            "snake": self.snake,
            "Name": self.camel,
            "distribution": self.distribution,
            "module": self.module,
            "plugin_api": str(PLUGIN_API),
            "cnnrt_version": __version__,
        }
        return {**words, "summary": string.Template(SUMMARIES[self.kind]).substitute(words)}


def plugin_name(kind: Kind, name: str) -> PluginName:
    """Return the name of a new plugin, given as `soft-shrink`, `SoftShrink` or `soft_shrink`.

    The prefix that distributions of this kind have may be part of it, and is left out. Raises InputError for what
    cannot be a name.
    """
    dashed = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).replace("_", "-").lower()
    dashed = dashed.removeprefix(f"{PREFIXES[kind]}-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", dashed):
        raise InputError(
            f"{name!r} is no name for a {kind}: expected letters and digits, the first a letter, with single dashes "
            f"between words, as in soft-shrink"
        )
    if len(dashed) > LONGEST_NAME:
        raise InputError(f"{name!r} is too long for a name: {len(dashed)} characters, at most {LONGEST_NAME}")
    found = PluginName(kind, dashed)
    if dashed in RESERVED.get(kind, ()) or keyword.iskeyword(found.camel):
        raise InputError(f"{name!r} cannot be the name of a {kind}: it has another meaning; choose another name")
    return found


def write_plugin(name: PluginName, folder: Path) -> list[Path]:
    """Write the distribution into `folder`, whole or not at all, and return its files, relative to it.

    The folder must not exist or be empty: InputError otherwise. CnnrtError where it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder; choose another one with -o")
    texts = rendered(name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            for path, text in texts.items():
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_text(text, encoding="utf-8")
            beside.chmod(0o755)  # temporary folders are private
            if folder.exists():
                folder.rmdir()
            beside.rename(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise CnnrtError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return list(texts)


def rendered(name: PluginName) -> dict[Path, str]:
    """Return the texts of a new distribution by path."""
    root = resources.files(__name__) / name.kind
    return {
        Path(path.replace("MODULE", name.module).replace("SNAKE", name.snake).removesuffix(SUFFIX)): string.Template(
            template.read_text(encoding="utf-8")
        ).substitute(name.words)
        for path, template in sorted(_templates(root).items())
    }


def _templates(folder: Traversable, under: str = "") -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found |= _templates(entry, f"{under}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            found[under + entry.name] = entry
    return found
