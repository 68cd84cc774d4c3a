"""`Parts`: the classes that a training is put together from; a planted bug replaces one of them."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.training.loading.loader import Loader
from detrun_scenarios.training.parameter_server.cells import Cells
from detrun_scenarios.training.parameter_server.checkpoints import Checkpoints
from detrun_scenarios.training.parameter_server.sessions import Sessions
from detrun_scenarios.training.ring.barrier import Barrier


@dataclass(frozen=True, slots=True)
class Parts:
    """See the module."""

    loader: type[Loader] = Loader
    cells: type[Cells] = Cells
    sessions: type[Sessions] = Sessions
    checkpoints: type[Checkpoints] = Checkpoints
    barrier: type[Barrier] = Barrier


RIGHT = Parts()
