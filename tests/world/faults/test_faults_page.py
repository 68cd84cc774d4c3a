"""`docs/faults.md` against the code: every fault has its row, what it models and its keys, and no row is left over."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from detrun import world as w
from detrun.world.disk.faults import KINDS
from detrun.world.faults.kinds import FAULT_KINDS, PlannedFault

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "faults.md").read_text()


def rows(header):
    """The rows of the table with this first column, as lists of cells."""
    lines = PAGE.splitlines()
    (start,) = [index for index, line in enumerate(lines) if line.startswith(header)]
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def missing_or_wrong(table):
    """The kinds that the first table describes otherwise than the code does."""
    wrong = [kind for kind, models, *_ in table if FAULT_KINDS.get(kind.strip("`"), PlannedFault).models != models]
    return wrong + [kind for kind in FAULT_KINDS if f"`{kind}`" not in [row[0] for row in table]]


def test_every_fault_has_its_row_and_says_what_it_models():
    assert missing_or_wrong(rows("| kind | what it models")) == []


def test_a_row_that_is_missing_or_wrong_is_noticed():
    table = rows("| kind | what it models")
    assert missing_or_wrong(table[1:]) == ["crash"]
    assert missing_or_wrong([["`crash`", "nothing much"], *table[1:]]) == ["`crash`"]
    assert missing_or_wrong([*table, ["`flood`", "water"]]) == ["`flood`"]


def test_every_kind_of_disk_fault_has_its_row():
    assert [row[0] for row in rows("| fault | at each")] == [f"`{kind}`" for kind in KINDS]


def test_the_keys_of_every_kind_are_those_of_the_code():
    common = {one.name for one in fields(PlannedFault)}
    documented = {}
    for kinds, keys in rows("| kind | keys"):
        for kind in re.findall(r"`(\w+)`", kinds):
            documented[kind] = set(re.findall(r"`(\w+)`", keys))
    assert documented == {kind: {one.name for one in fields(made)} - common for kind, made in FAULT_KINDS.items()}


def test_the_plans_on_the_page_are_plans():
    plans = [w.plan_from_toml(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)]
    assert [[fault.kind for fault in plan] for plan in plans] == [
        ["crash", "partition", "loss"],
        ["partition", "power_loss"],
    ]
