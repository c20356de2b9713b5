"""The command line: `cnnrt COMMAND ...`, the same as `python -m cnnrt COMMAND ...`.

    commands.py       the list of commands; each is imported when it is called
    command_line.py   what all share: exit codes, errors and warnings on stderr, --debug, examples in --help
    NAME.py           the command of that name

Answers go to stdout; notes, progress, warnings and errors to stderr. NumPy and rich are imported inside the commands,
so that `cnnrt --help` answers at once.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""The exit code of what was interrupted, as shells have it."""


def main() -> None:
    """Run the command line on the process's arguments and leave with its exit code."""
    try:
        from cnnrt.cli.commands import cnnrt
    except KeyboardInterrupt:  # from here on, the command line itself takes it
        sys.stderr.write("\nerror: interrupted\n")
        sys.exit(INTERRUPTED)
    cnnrt(prog_name="cnnrt")
