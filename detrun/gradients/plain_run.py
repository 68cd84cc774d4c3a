"""The same program on plain numbers, to which a run with `Value`s is held.

Code that looks at types (``isinstance(x, float)``, ``type(x) is float``, ``match``) tells a `Value` from a float, and
may go another way with Values than `detrun.record` went. A gradient of a recording finds that out, since the digest
covers every step and every number. For a new run the program is run once more, on plain numbers, and the digests are
compared. That happens in a forked process, which neither prints nor leaves anything behind in this one, and by default
once for each program: what a program asks of types is written in its code. It takes the time of the plain run and of a
fork.

Digests that differ although steps are as many and losses are equal up to rounding are a warning: numpy adds plain
floats pairwise and Values one by one. Any other difference is a `DivergenceError` that names the first step.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Mapping
from math import isclose
from types import CodeType
from typing import Any

import outcome

from detrun.ad.tensor_parameters import TensorParameters
from detrun.ad.torch_bridge import is_tensor
from detrun.ad.value import primal_of
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main, function_of
from detrun.gradients.loss import loss_of
from detrun.gradients.result import Gradient
from detrun.races.watch import replayed_run
from detrun_recorder.snapshots import can_fork, in_fork, silence
from detrun_scheduler.errors import DetrunError, DivergenceError, text_of

RELATIVE = 1e-9  # rounding may make the losses differ by so much
PROGRAMS_MAX = 10_000

# Programs that were compared already, by the address of their code, which is held here so that it stays theirs.
_compared: dict[int, CodeType] = {}


def is_due(main: Main, verify: bool | None) -> bool:
    """Whether the run is to be compared; ``None`` is once for each program, where a process can be forked safely."""
    if verify is not None:
        return verify and can_fork()
    code = _code_of(main)
    if code is None or id(code) in _compared or not can_fork():
        return False
    if threading.active_count() > 1 or "torch" in sys.modules:
        return False  # a lock that another thread holds would be held for ever in the fork, and torch has threads
    if len(_compared) >= PROGRAMS_MAX:
        _compared.clear()
    _compared[id(code)] = code
    return True


def _code_of(main: Main) -> CodeType | None:
    code = getattr(function_of(main), "__code__", None)
    return code if isinstance(code, CodeType) else None


class PlainRun:
    """The run of ``main`` as `detrun.record` makes it, on numbers and not on Values.

    Attributes:
        digest: of it; empty if the program failed.
        steps, loss: of it.
        error: what failed, in words.
    """

    def __init__(
        self, main: Main, numbers: Mapping[str, float], tensors: TensorParameters, execution: NewRun, options: Options
    ) -> None:
        self._again = main, numbers, tensors, execution, options
        self.digest, self.steps, self.loss, self.error = in_fork(self._run)

    def _run(self) -> tuple[str, int, float, str]:
        main, numbers, tensors, execution, options = self._again
        silence()
        finished = execution.execute(main, (_plain(numbers, tensors),), options)
        try:
            loss = primal_of(loss_of(main, finished.outcome))
        except BaseException as error:
            return "", finished.steps, 0.0, f"raises {type(error).__name__}: {text_of(error)}"
        return finished.digest, finished.steps, loss, ""

    def compare(self, found: Gradient, with_values: Any) -> None:
        """Hold a gradient to this run; ``with_values`` is the scope that makes its run again.

        Raises:
            DivergenceError: the program does something else with Values.
        """
        if found.digest == self.digest:
            return
        close = isclose(found.value, self.loss, rel_tol=RELATIVE, abs_tol=RELATIVE)
        if not self.error and found.recording.steps == self.steps and close:
            found.warnings.append(
                f"with Values the program computes other last bits ({found.value!r}) than on plain numbers "
                f"({self.loss!r}), so a recording of the latter cannot be differentiated"
            )
            return
        returned = self.error or f"returns {self.loss!r}"
        raise DivergenceError(
            f"with Values the program returns {found.value!r}; on plain numbers, as detrun.record runs it, it "
            f"{returned}.\n{self._first_difference(with_values)}  Values are no floats: isinstance(x, float), "
            "type(x) is float and match tell them apart. Ask for (float, detrun.Value) there, or pass verify=False to "
            "differentiate what the program does with Values"
        )

    def _first_difference(self, with_values: Any) -> str:
        try:
            in_fork(lambda: self._replayed(with_values))
        except DivergenceError as error:
            lines = str(error).splitlines()
            return "".join(f"{line}\n" for line in lines if not line.strip().startswith(("possible cause", "next:")))
        except DetrunError:
            pass
        return ""

    def _replayed(self, with_values: Any) -> None:
        main, numbers, tensors, execution, options = self._again
        silence()
        plain = execution.execute(main, (_plain(numbers, tensors),), options)
        if isinstance(plain.outcome, outcome.Value):
            replayed_run(plain.recording).execute(main, (), options.of_replays(), with_values)


def _plain(numbers: Mapping[str, float], tensors: TensorParameters) -> dict[str, Any]:
    return {**numbers, **{name: _own(one) for name, one in tensors.given.items()}}


def _own(parameter: Any) -> Any:
    """A tensor or module as the program would get it, without marks of a gradient."""
    return parameter.detach().clone().requires_grad_() if is_tensor(parameter) else copy.deepcopy(parameter)
