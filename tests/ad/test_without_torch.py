"""detrun without torch: everything else works, and functions that need torch name the extra to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.modules["torch"] = None  # importing it now raises ImportError, as if it were not installed
import detrun

async def main(params):
    buffer = detrun.Buffer([params["x"], 2.0])
    buffer[:] = detrun.unpack(detrun.pack(buffer.tolist()))
    return buffer[0] * buffer[1]

print(detrun.gradient(main, {"x": 3.0}).grads["x"], detrun.gradient(main, {"x": 3.0}, window=1).grads["x"])
for use in (lambda: detrun.to_tensor([1.0]), lambda: detrun.unpack(TENSOR)):
    try:
        use()
    except detrun.UsageError as error:
        print(error)
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_without_torch_only_tensors_are_missing_and_the_extra_is_named():
    torch = pytest.importorskip("torch")  # to make the message that the other process cannot read
    import detrun

    lines = run(f"TENSOR = {detrun.pack(torch.ones(2))!r}\n{PROGRAM}")
    assert lines[0] == "2.0 2.0"
    assert len(lines) == 3
    assert all("pip install 'detrun[torch]'" in line for line in lines[1:])


def test_importing_detrun_does_not_import_torch():
    assert run("import sys, detrun; print('torch' in sys.modules, 'numpy' in sys.modules)") == ["False False"]
