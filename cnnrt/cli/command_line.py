"""What all commands share: exit codes, errors and warnings on stderr, --debug, examples in --help.

A command leaves with 0 when it is done, 1 when something is wrong with a model, an input or the machine (`error: ...`
says what, where, and what to do), 2 when the command line was not understood, 130 when it was interrupted. Faults of
the program itself are let through, with Python's traceback.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

import click

from cnnrt.cli import INTERRUPTED
from cnnrt.cli.narrow_encodings import tolerate_narrow_encodings

FAILED, MISUSED = 1, 2
EXIT_CODES = {
    0: "done",
    FAILED: "an error: it says what is wrong, where, and what to do",
    MISUSED: "the command line was not understood",
    INTERRUPTED: "interrupted",
}


class Choices:
    """What the user chose for the whole run, whichever command reads it."""

    def __init__(self) -> None:
        self.debug = False


def _choose_debug(context: click.Context, parameter: click.Parameter, chosen: bool) -> None:
    if chosen:
        context.ensure_object(Choices).debug = True


class _Explained(click.Command):
    """A command with --debug, and examples and exit codes at the end of its help.

    `examples`: command lines, one on each line. `exit_codes`: what this command's own codes mean.
    """

    def __init__(
        self, *args: Any, examples: str = "", exit_codes: Mapping[int, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.examples = textwrap.dedent(examples).strip().splitlines()
        self.exit_codes = {**EXIT_CODES, **(exit_codes or {})}
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_choose_debug,
                help="Show tracebacks of errors.",
            )
        )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in self.exit_codes.items()])


class Command(_Explained):
    """A command of `cnnrt`."""


class CommandLine(_Explained, click.Group):
    """The command `cnnrt` itself. `subcommands`: where each is, as "module:name", in the order of the help."""

    def __init__(self, *args: Any, subcommands: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subcommands = subcommands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self.subcommands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None where there is none of that name."""
        if cmd_name not in self.subcommands:
            return None
        module, _, name = self.subcommands[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; an unknown one is an error with the nearest known."""
        name = args[0]
        if name not in self.subcommands and not name.startswith("-"):
            from netfile_spec.problems import closest  # where all is well, the command line does without

            near = closest(name, self.subcommands)
            hint = f"did you mean {near!r}?" if near else f"commands: {', '.join(self.subcommands)}"
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and leave with its exit code."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        choices = extra.setdefault("obj", Choices())
        work = functools.partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        tolerate_narrow_encodings()
        with _warnings_on_stderr(), _log_on_stderr():
            code = self._exit_code(work, choices)
        sys.exit(_flushed(code))

    @staticmethod
    def _exit_code(work: Callable[[], Any], choices: Choices) -> int:
        """Do the work and return the exit code, with the error told on stderr."""
        try:
            result = work()
        except click.UsageError as error:
            tell("error", error.format_message())
            if error.ctx is not None:
                click.echo(f"try: {error.ctx.command_path} --help", err=True)
            return MISUSED
        except click.Abort:
            tell("error", "interrupted")
            return INTERRUPTED
        except click.ClickException as error:
            tell("error", error.format_message())
            return error.exit_code
        except Exception as error:
            if choices.debug or not _is_users(error):
                raise
            tell("error", _sentence(error))
            return FAILED
        return result if isinstance(result, int) else 0


def tell(what: str, message: str) -> None:
    """Write `what: message` to stderr, where `what` is "error", "warning" or "note"; one that is full is no error."""
    colour = {"error": "red", "warning": "yellow"}.get(what)
    plain = "NO_COLOR" in os.environ or colour is None
    shown = what if plain else click.style(what, fg=colour, bold=True)
    with suppress(OSError):
        click.echo(f"{shown}: {printable(message)}", err=True)


def printable(text: str) -> str:
    """Return text without control characters, which a model's names and labels could send to the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _is_users(error: Exception) -> bool:
    """Tell whether an error is about the user's files, input or machine; any other is a fault of the program."""
    from cnnrt.errors import CnnrtError

    return isinstance(error, CnnrtError | OSError | MemoryError)


def _sentence(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"out of memory: {error or 'no details'}; a smaller batch takes less"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    problems = getattr(error, "problems", ())
    return f"{error}\n{len(problems)} problems" if len(problems) > 1 else str(error)


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Show each of cnnrt's warnings once, as `warning: ...`; other warnings as Python does."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        otherwise = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            from cnnrt.errors import CnnrtWarning

            if not issubclass(category, CnnrtWarning):
                otherwise(message, category, filename, lineno, file, line)
            elif str(message) not in told:
                told.add(str(message))
                tell("warning", str(message))

        warnings.showwarning = show
        yield


class _Telling(logging.Handler):
    """Shows what the library logs as the command line shows its own warnings and errors."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message to stderr."""
        tell("error" if record.levelno >= logging.ERROR else "warning", record.getMessage())


@contextmanager
def _log_on_stderr() -> Iterator[None]:
    """Show what the library logs at WARNING and above; where a program set up logging itself, as it wants."""
    log = logging.getLogger("cnnrt")
    if log.hasHandlers():
        yield
        return
    handler = _Telling(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _flushed(code: int) -> int:
    """Return the exit code after writing what is left of stdout; a pipe that nobody reads is no reason to complain.

    What is left of stderr and cannot be written is no error either.
    """
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except OSError:
            _write_nowhere(sys.stderr)
    if sys.stdout is None:  # it was closed before Python started
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _write_nowhere(sys.stdout)
        return code or FAILED
    return code


def _write_nowhere(stream: TextIO) -> None:
    """Have Python flush a stream at exit, as it does, without an error."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
