"""Commands that set up the environments of benchmarks: what they complained about, in a line."""

from __future__ import annotations

import subprocess


def complaint_of(command: list[str], seconds: float) -> str:
    """Run a command for at most so many seconds; why it failed, empty if all went well.

    Of what it wrote that is pip's own word for the reason, a line that begins with ``ERROR``, or else the last line.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")]
    lines = errors or (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
