"""``python -m detrun``: the command line, for the interpreter that runs it."""

from __future__ import annotations

from detrun.cli import main

if __name__ == "__main__":
    main()
