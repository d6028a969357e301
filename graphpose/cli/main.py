"""`graphpose`: finds the command, runs it, and turns what goes wrong into one line and an exit code.

Exit codes: 0 fine; 1 bad input (a file, a setting, a checkpoint); 2 not a valid command line; 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Mapping, Sequence
from typing import TextIO

from graphpose import __version__
from graphpose.cli.discovery import Command, commands
from graphpose.cli.parsing import UsageError, parse
from graphpose.errors import GraphposeError, unknown_name

__all__ = ["main"]

BAD_INPUT, BAD_USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
_FULL = ("out of memory", "allocate memory", "Storage size calculation overflowed")
_SMALLER = "use a smaller data.batch_size, data.frames or model"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: that of the process) and returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            try:
                return _dispatch(words)
            finally:
                sys.stdout.flush()  # here, where a reader that has gone away is no error
        except UsageError as error:
            return _fail(error, BAD_USAGE, debug)
        except (
            BrokenPipeError
        ):  # `graphpose skeleton list | head`: nobody reads on; keep Python from failing again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        except (GraphposeError, OSError) as error:
            return _fail(error, BAD_INPUT, debug)
        except OverflowError as error:
            return _fail(GraphposeError(f"a number is too large to be used ({error})"), BAD_INPUT, debug, cause=error)
        except RecursionError as error:
            return _fail(GraphposeError("a file is nested too deeply to be read"), BAD_INPUT, debug, cause=error)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            return _fail(GraphposeError(f"out of memory; {_SMALLER} ({error})"), BAD_INPUT, debug, cause=error)
        except KeyboardInterrupt as error:
            return _fail(error, INTERRUPTED, debug)


def _dispatch(words: list[str]) -> int:
    known = commands()
    if words[:1] == ["--version"]:
        print(f"graphpose {__version__}")
        return 0
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(known))
        return 0 if words else BAD_USAGE
    command = known.get(tuple(words[:2])) or known.get(tuple(words[:1]))
    if command is not None:
        return command.run(parse(command, words[len(command.words) :])) or 0
    group = {command.words: command for command in known.values() if command.words[0] == words[0]}
    if not group:
        raise UsageError(unknown_name("command", words[0], dict.fromkeys(command[0] for command in known)))
    if len(words) > 1 and words[1] not in ("-h", "--help"):
        raise UsageError(unknown_name(f"{words[0]} command", words[1], (command[1] for command in group)))
    print(_overview(group, words[0]))
    return 0 if len(words) > 1 else BAD_USAGE


def _overview(known: Mapping[tuple[str, ...], Command], group: str = "") -> str:
    """The help of the whole, or of one group of commands."""
    program = f"graphpose {group}".rstrip()
    summaries = {command.name.removeprefix(f"{group} "): command.summary for command in known.values()}
    width = max(map(len, summaries))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in summaries.items()]
    return "\n".join(
        [
            f"usage: {program} COMMAND [ARGUMENT ...]",
            "",
            "3D human pose from 2D keypoints, on any skeleton.",
            "",
            "commands:",
            *lines,
            "",
            f"`{program} COMMAND --help` explains a command, `graphpose --version` prints the version;",
            "with `--debug` an error shows its traceback.",
        ]
    )


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out, on the CPU or a GPU; torch says so in a RuntimeError (its subclass for GPUs included)."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _FULL)


def _fail(error: BaseException, code: int, debug: bool, *, cause: BaseException | None = None) -> int:
    if debug:
        traceback.print_exception(cause or error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    else:
        text = str(error) or "stopped"  # a plain KeyboardInterrupt says nothing
    print(f"graphpose: error: {' '.join(text.splitlines())}", file=sys.stderr)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"graphpose: warning: {' '.join(str(message).split())}", file=file or sys.stderr)
