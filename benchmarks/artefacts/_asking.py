"""Asks one scanner about many files, with its own command line, and prints the exit code of each: run inside the scanner's environment.

Reads a line with the entry point (`module:function`), a line with the arguments (a JSON list, `{}` for the file), and a line for each file.
Every file is asked in a fork of a process that has imported the scanner once, so that its start is not counted.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time

SECONDS = 60


def _child(function: object, arguments: list[str]) -> None:
    signal.alarm(SECONDS)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    sys.argv = arguments
    code = 70
    try:
        code = function() or 0  # type: ignore[operator]
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        os._exit(code if isinstance(code, int) else 0)


def main() -> int:
    """Print `code<TAB>seconds<TAB>file` for each file; the code is -1 where the scanner crashed or took too long."""
    entry, arguments, *files = sys.stdin.read().splitlines()
    module, _, name = entry.partition(":")
    function = getattr(importlib.import_module(module), name)
    for file in files:
        begun = time.perf_counter()
        process = os.fork()
        if not process:
            _child(function, [name, *(part.replace("{}", file) for part in json.loads(arguments))])
        status = os.waitpid(process, 0)[1]
        code = os.waitstatus_to_exitcode(status)
        print(code if code >= 0 and code != 70 else -1, f"{time.perf_counter() - begun:.4f}", file, sep="\t", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
