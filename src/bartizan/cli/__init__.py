"""The command line: a table of commands and one small file per command. Parses, prints, decides the exit code, nothing else."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `bartizan`. Exit codes: 0 nothing beyond tolerance, 1 findings beyond tolerance, 2 could not do what was asked."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from bartizan import __version__

        sys.stdout.write(f"bartizan {__version__}\n")
        return
    from bartizan.cli.app import run

    sys.exit(run(sys.argv[1:]))
