"""`FaultPlan`: the faults that a run is to meet, as data that can be written down, read back, compared and shrunk.

A plan is a tuple of faults (`detrun.world.faults.kinds`). In a file it is TOML, one table a fault::

    [[fault]]
    kind = "crash"
    node = "replica-*"
    between = [1.0, 5.0]
    down_seconds = 2.0

    [[fault]]
    kind = "partition"
    shape = "halves"
    at = 8.0
    lasts_seconds = 3.0

Every error names the file, the fault by its place and kind, and the key. Keys that no fault of the kind has are
refused: a mistyped key would be a fault that silently does less than was meant.

Each fault has a name that no other in its plan has, given once and kept: a plan without one of its faults calls the
others what it called them before, and a run draws the same times and victims for them.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from detrun.world.faults.kinds import FAULT_KINDS, FaultPlanError, PlannedFault


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of a run, in no particular order: each says by itself when it happens."""

    faults: tuple[PlannedFault, ...] = ()

    def __post_init__(self) -> None:
        taken = {fault.name for fault in self.faults if fault.name}
        named = []
        for fault in self.faults:
            if not isinstance(fault, PlannedFault):
                raise FaultPlanError(
                    f"{fault!r} is not a planned fault; give a fault of detrun.world, such as detrun.world.Crash"
                )
            if not fault.name:
                index = 0
                while f"{fault.kind}[{index}]" in taken:
                    index += 1
                fault = replace(fault, name=f"{fault.kind}[{index}]")
                taken.add(fault.name)
            named.append(fault)
        names = [fault.name for fault in named]
        for name in names:
            if names.count(name) > 1:
                raise FaultPlanError(f"two faults are called {name!r}; draws are keyed by it, so give each its own")
        object.__setattr__(self, "faults", tuple(named))

    def __len__(self) -> int:
        return len(self.faults)

    def __iter__(self) -> Iterator[PlannedFault]:
        return iter(self.faults)

    def __getitem__(self, index: int) -> PlannedFault:
        return self.faults[index]

    def without(self, *indices: int) -> FaultPlan:
        """The plan without the faults at these places."""
        left_out = {range(len(self.faults))[index] for index in indices}
        return FaultPlan(tuple(fault for index, fault in enumerate(self.faults) if index not in left_out))

    def only(self, indices: Iterable[int]) -> FaultPlan:
        """The plan with nothing but the faults at these places, in their order."""
        kept = {range(len(self.faults))[index] for index in indices}
        return FaultPlan(tuple(fault for index, fault in enumerate(self.faults) if index in kept))

    def replaced(self, index: int, **changes: Any) -> FaultPlan:
        """The plan with one fault changed."""
        faults = list(self.faults)
        faults[index] = replace(faults[index], **changes)
        return FaultPlan(tuple(faults))

    def ordered(self) -> FaultPlan:
        """The same faults by the earliest time at which each may happen, then by name: one order for equal plans."""
        return FaultPlan(tuple(sorted(self.faults, key=lambda fault: (fault.earliest, fault.latest, fault.name))))

    def document(self) -> dict[str, Any]:
        """As plain data; `plan_of` reads it."""
        return {"fault": [fault.document() for fault in self.faults]}

    def to_toml(self) -> str:
        """As the text of a TOML file; `load_plan` reads it."""
        blocks = []
        for fault in self.faults:
            # JSON's texts, numbers, truth values and lists are TOML's, too.
            lines = [f"{key} = {json.dumps(value)}" for key, value in fault.document().items()]
            blocks.append("\n".join(["[[fault]]", *lines]))
        return "\n\n".join(blocks) + "\n" if blocks else ""


def load_plan(path: str | os.PathLike[str]) -> FaultPlan:
    """The plan in a TOML file.

    Raises:
        FaultPlanError: there is no such file, it is not TOML, or not a plan.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise FaultPlanError(f"cannot read the fault plan {name}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FaultPlanError(f"{name} is not TOML: {error}") from error
    return plan_of(document, name)


def plan_from_toml(text: str, source: str = "fault plan") -> FaultPlan:
    """The plan in a text; errors call it ``source``.

    Raises:
        FaultPlanError: as `load_plan`.
    """
    try:
        return plan_of(tomllib.loads(text), source)
    except tomllib.TOMLDecodeError as error:
        raise FaultPlanError(f"{source} is not TOML: {error}") from error


def plan_of(document: Mapping[str, Any], source: str = "fault plan") -> FaultPlan:
    """The plan in plain data, ``{"fault": [{"kind": …}, …]}``.

    Raises:
        FaultPlanError: it is not a plan; the message names fault and key.
    """
    for key in document:
        if key != "fault":
            raise FaultPlanError(f"{source}: unknown key {key!r}; a plan is a list of [[fault]] tables")
    tables = document.get("fault", [])
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise FaultPlanError(f"{source}: 'fault' is not a list of tables; write [[fault]], with two brackets, for each")
    faults = tuple(_fault_of(table, f"{source}: fault {index + 1}") for index, table in enumerate(tables))
    try:
        return FaultPlan(faults)
    except FaultPlanError as error:
        raise FaultPlanError(f"{source}: {error}") from error


def _fault_of(table: Mapping[str, Any], where: str) -> PlannedFault:
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in FAULT_KINDS:
        what = "has no 'kind'" if kind is None else f"has the unknown kind {kind!r}{_nearest(kind, FAULT_KINDS)}"
        raise FaultPlanError(f"{where} {what}; the kinds are {', '.join(FAULT_KINDS)}")
    maker = FAULT_KINDS[kind]
    known = {one.name: one for one in fields(maker)}
    for key in table:
        if key != "kind" and key not in known:
            raise FaultPlanError(
                f"{where} ({kind}): unknown key {key!r}{_nearest(key, known)}; the keys are {', '.join(known)}"
            )
    required = [name for name, one in known.items() if one.default is one.default_factory]  # both MISSING
    for name in required:
        if name not in table:
            raise FaultPlanError(f"{where} ({kind}): {name!r} is missing")
    try:
        return maker(**{key: value for key, value in table.items() if key != "kind"})
    except FaultPlanError as error:
        raise FaultPlanError(f"{where}: {error}") from error


def _nearest(word: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
