"""The command line: ``zweitblick read``, ``serve``, ``jobs`` and others; ``--help`` lists them.

Exit codes: 0 done, 2 wrong usage, 3 an error of `zweitblick.errors` (one line on standard error, nothing written),
70 a defect of ours (``EX_SOFTWARE`` of BSD's sysexits.h), 130 interrupted.
"""

import argparse
import gc
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import zweitblick
from zweitblick.cli import (
    audit,
    check,
    deidentify,
    jobs,
    keys,
    open_report,
    read,
    sample,
    seal,
    segment,
    serve,
    users,
    verify,
    work,
)
from zweitblick.core_dumps import forbid_core_dumps
from zweitblick.errors import ZweitblickError
from zweitblick.reading import POPULATION, RESEARCH_USE

COMMANDS = (
    *(read, segment, sample, deidentify),
    *(serve, work, jobs, check, users),
    *(keys, open_report, seal, audit, verify),
)

EXIT_REFUSED = 3
EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130


def process() -> NoReturn:
    """Run the process's command, and end the process with its exit code."""
    # Modules hold half a million objects for good. Python's searches for cycles went through all of them, several times
    # while a study is read and again at the end: a fifth of the time of a reading in a new process.
    gc.freeze()
    code = main()
    gc.freeze()
    sys.exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if None.
    """
    forbid_core_dumps()
    arguments = parser().parse_args(argv)
    try:
        with quiet(arguments.debug):
            arguments.run(arguments)
    except ZweitblickError as error:
        return _refused(f"error: {error.code}: {error}", EXIT_REFUSED, debug=arguments.debug)
    except KeyboardInterrupt:
        return _refused("error: interrupted: nothing was written", EXIT_INTERRUPTED, debug=arguments.debug)
    except Exception as error:  # noqa: BLE001 -- the edge: a traceback may hold patient data, so none is shown
        message = f"error: internal: {type(error).__name__}; a defect in zweitblick, --debug shows where"
        return _refused(message, EXIT_DEFECT, debug=arguments.debug)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; a parsed command has its function as ``run``."""
    top = argparse.ArgumentParser(
        prog="zweitblick",
        description=f"A second read for brain MRI. The model knows {POPULATION}. {RESEARCH_USE}",
    )
    top.add_argument("--version", action="version", version=f"zweitblick {zweitblick.__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show warnings and tracebacks; they may hold patient data")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands, shared)
    return top


@contextmanager
def quiet(debug: bool) -> Iterator[None]:  # noqa: FBT001 -- the parsed option itself
    """Keep libraries' warnings and log lines off the terminal: they quote header values.

    Parameters
    ----------
    debug
        Let them through.
    """
    if debug:
        yield
        return
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _refused(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(" ".join(message.split()) + "\n")
    return code
