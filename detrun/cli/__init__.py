"""The command line: ``detrun`` and ``python -m detrun``. `docs/command-line.md` is its contract.

One file a command; what they share is beside them: `application` (the group, and how every failure becomes a message
and an exit code), `options`, `parameters`, `page` (terminal, plain text or JSON), `failures`, `progress`.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line with the process's arguments; ends the process with the exit code."""
    from detrun.cli.application import application

    application(prog_name="detrun")
