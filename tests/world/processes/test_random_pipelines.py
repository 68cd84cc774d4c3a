"""Random small pipelines of processes give what the same functions give one after the other, under any schedule."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import detrun
from tests.examples import examples
from tests.world.processes.on_a_node import PYTHON

# Each as the code of a filter from standard input to standard output, and as a function of text.
STAGES: dict[str, tuple[str, Any]] = {
    "upper": ("for line in sys.stdin: print(line.upper(), end='', flush=True)", str.upper),
    "reverse": ("print(sys.stdin.read()[::-1], end='')", lambda text: text[::-1]),
    "double": (
        "for line in sys.stdin: time.sleep(0.1); sys.stdout.write(line * 2)",
        lambda text: "".join(line * 2 for line in text.splitlines(keepends=True)),
    ),
    "first": ("print(sys.stdin.readline(), end='')", lambda text: "".join(text.splitlines(keepends=True)[:1])),
    "count": ("print(len(sys.stdin.read()))", lambda text: f"{len(text)}\n"),
}


@examples(20)
@given(
    stages=st.lists(st.sampled_from(sorted(STAGES)), min_size=1, max_size=4),
    text=st.text("ab\n", max_size=20),
    width=st.sampled_from([1, 9_000]),
    seed=st.integers(0, 2**16),
)
def test_a_pipeline_gives_what_its_stages_give(stages: list[str], text: str, width: int, seed: int) -> None:
    given_text = text.replace("a", "a" * width)

    def program(found: list[str]) -> None:
        children: list[subprocess.Popen[str]] = []
        source: Any = subprocess.PIPE
        for name in stages:
            code = f"import sys, time\n{STAGES[name][0]}"
            child = subprocess.Popen([PYTHON, "-c", code], stdin=source, stdout=subprocess.PIPE, stderr=-3, text=True)
            if children:
                source.close()
            source = child.stdout
            children.append(child)
        first, last = children[0], children[-1]
        if first is last:
            found.append(first.communicate(given_text)[0])
        else:
            assert first.stdin is not None
            with suppress(BrokenPipeError):
                first.stdin.write(given_text)
                first.stdin.close()
            found.append(last.communicate()[0])
        for child in children:
            child.wait()

    async def main() -> list[str]:
        found: list[str] = []
        async with detrun.World() as world:
            world.node("a").start(program, found)
            await world.node("a").ended()
        return found

    run = detrun.record(main, seed=seed)
    assert run.result == [reduce(lambda value, name: STAGES[name][1](value), stages, given_text)]
    assert detrun.replay(main, recording=run.recording).digest == run.digest
