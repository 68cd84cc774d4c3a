"""Evaluations of gradients and losses, each made once: a log that a minimization goes on from after any end.

An optimizer is a function of what it was told. So what is kept is what was evaluated, one line of JSON an evaluation,
written and synced before it is used; going on means to run the optimizer again, which finds its first numbers kept. A
line that was cut short (kill -9, a full disk) is dropped. The first line says what decides the minimization, so that a
log of another one is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from detrun_scheduler.errors import UsageError

FORMAT = "detrun minimization, format 1"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was evaluated at some parameters.

    Attributes:
        what: ``"gradient"`` or ``"held-out"``.
        number: which seeds it has, of those of its sort.
        at: the parameters.
        asked: samples that it was to have.
        value: the mean loss, with its standard error.
        grads, std_error: by parameter; empty for held-out losses.
        samples: that it is the mean of.
        radii: by parameter, how far half of some runs go the same way; empty unless a trust region asks.
        losses: of held-out seeds, each.
        runs, steps: that it took.
        warnings: of the gradient.
    """

    what: str
    number: int
    at: Mapping[str, float]
    asked: int
    value: float
    value_std_error: float
    samples: int
    grads: Mapping[str, float] = field(default_factory=dict)
    std_error: Mapping[str, float] = field(default_factory=dict)
    radii: Mapping[str, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    runs: int = 0
    steps: int = 0
    warnings: list[str] = field(default_factory=list)


def _key(what: str, number: int, at: Mapping[str, float], asked: int) -> tuple[object, ...]:
    return (what, number, asked, *sorted(at.items()))


class EvaluationLog:
    """Evaluations by what they are of; those that are kept in a file are not made again.

    Args:
        path: of the file; None keeps nothing.
        deciding: everything that decides the evaluations, by ``repr``.
    """

    def __init__(self, path: str | os.PathLike[str] | None, deciding: object) -> None:
        self.path = None if path is None else Path(path)
        self.first_line = json.dumps({"format": FORMAT, "deciding": repr(deciding)})
        self.kept = {_key(one.what, one.number, one.at, one.asked): one for one in self._read()}

    def evaluate(
        self, what: str, number: int, at: Mapping[str, float], asked: int, make: Callable[[], Evaluation]
    ) -> Evaluation:
        """An evaluation: as kept, or made now and kept.

        Args:
            what, number, at, asked: fields of the evaluation.
        """
        key = _key(what, number, at, asked)
        if key not in self.kept:
            self.kept[key] = made = make()
            if self.path is not None:
                self._write(json.dumps(asdict(made)) + "\n", "a")
        return self.kept[key]

    def _read(self) -> list[Evaluation]:
        if self.path is None:
            return []
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            self._write(self.first_line + "\n", "w")
            return []
        except OSError as error:
            raise UsageError(f"minimize: cannot read {self.path}: {error.strerror}; name another checkpoint") from error
        lines = content.split(b"\n")[:-1]  # what follows the last end of a line was cut short
        if not lines:
            self._write(self.first_line + "\n", "w")
            return []
        if lines[0].decode("utf-8", "replace") != self.first_line:
            raise UsageError(
                f"{self.path} is not the checkpoint of this minimization: the program, its start, the kind, the "
                "optimizer or an option differs; delete it, or name another checkpoint"
            )
        found = []
        for number, line in enumerate(lines[1:], 2):
            try:
                found.append(Evaluation(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{self.path} is damaged in line {number}; delete it from there on") from error
        whole = sum(len(line) + 1 for line in lines)
        if whole < len(content):
            os.truncate(self.path, whole)
        return found

    def _write(self, text: str, mode: str) -> None:
        assert self.path is not None
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(
                f"minimize: cannot write {self.path}: {error.strerror}; name another checkpoint"
            ) from error
