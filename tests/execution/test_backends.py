"""Whose async function a program is, where nothing has imported asyncio yet."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import detrun

assert "asyncio" not in sys.modules

async def main():
    import asyncio

    await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))
    return asyncio.get_running_loop().time()

print(detrun.record(main).result)
"""


def test_a_program_that_imports_asyncio_inside_its_functions_is_run_by_asyncio() -> None:
    path = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "2.0\n", done.stderr
