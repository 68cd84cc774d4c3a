"""trio's private names occur in `trio_host` alone, attributes included, and its self-check names every one of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from detrun_scheduler.asyncio_host import private as of_asyncio
from detrun_scheduler.trio_host.check import NAMES, PROPERTIES, SINCE, check_trio, members_of, owner_of

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "scheduler" / "detrun_scheduler" / "trio_host"
# asyncio has private names that are trio's, too; `tests/scheduler/asyncio_host` looks after these.
ASYNCIO_ROOM = ROOM.with_name("asyncio_host")
NAMES_OF_ASYNCIO = {name.removesuffix("()") for names in of_asyncio.NAMES.values() for name in names}
# Code that is checked. Tests may look at what they test; nothing that runs without them may.
PLACES = [ROOT / name for name in ("scheduler", "recorder", "detrun", "scenarios", "benchmarks")]

# Classes of trio whose documented names have no underscore.
PUBLIC_CLASSES: list[Any] = [
    trio.lowlevel.Task,
    trio.CancelScope,
    trio.Nursery,
    trio.MemorySendChannel,
    trio.MemoryReceiveChannel,
    trio.testing.MockClock,
]
# Classes and modules of trio that are private as a whole, and so are all of their names.
PRIVATE_OWNERS: list[Any] = [owner for name in NAMES if (owner := owner_of(name)) not in (*PUBLIC_CLASSES, None)]

# `threading` and `ThreadPoolExecutor` number their threads by a `_counter`, as tasks have one; `threads/` sets it back.
# `ssl` makes its sockets by a `_create`, as trio does its tasks; `world/sockets` has a subclass of them.
NOT_OF_TRIO = {"_counter", "_create"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names() -> set[str]:
    """Names with an underscore of trio's classes and their instances, and of the modules that the room looks into."""
    owners = [*PUBLIC_CLASSES, *(owner for owner in PRIVATE_OWNERS if isinstance(owner, type))]
    found = {name for owner in owners for name in members_of(owner) if is_private(name)}
    return found | {name for name in listed() if is_private(name)}


def listed() -> set[str]:
    """Every name of the self-check's table."""
    return {name.removesuffix("()") for names in (*NAMES.values(), *PROPERTIES.values()) for name in names}


def names_in(source: str, own: bool = False) -> Iterator[tuple[str, ast.expr, bool]]:
    """Each attribute and each part of a text in ``source``, its node, and whether it is a text.

    Attributes of a class's own ``self`` come only with ``own``, names of modules and classes in `NAMES` never.
    """
    tree = ast.parse(source)
    of_self = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.ClassDef)
        for node in ast.walk(outer)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (own or id(node) not in of_self):
            yield node.attr, node, False
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in NAMES:
            for part in node.value.split("."):
                yield part, node, True


def place_of(node: ast.expr) -> str:
    return f"line {node.lineno}: {ast.unparse(node)}"


def uses_of(names: set[str], source: str) -> list[str]:
    if names.isdisjoint(re.findall(r"\w+", source)):
        return []  # saves the time to parse it
    return [place_of(node) for name, node, _ in names_in(source) if name in names]


# Outside the room.


def test_no_private_name_of_trio_is_used_outside_the_room() -> None:
    names = private_names() - NOT_OF_TRIO
    found = {
        str(path.relative_to(ROOT)): uses
        for place in PLACES
        for path in sorted(place.rglob("*.py"))
        if ROOM not in path.parents
        and (uses := uses_of(names - (NAMES_OF_ASYNCIO if ASYNCIO_ROOM in path.parents else set()), path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "def blocked(task):\n    return task._next_send_fn is None",
        "def mark(self):\n    touch(self._state)",  # a function that is put into trio's class
        "class Watch:\n    def look(self, nursery):\n        return nursery._closed",
        "getattr(status, '_children')",
        "wrappers = {'_nested_child_finished': wrap}",
        "RENAMED = {'Nursery._nested_child_finished': 'Nursery.__aexit__'}",
        "trio.MemorySendChannel._state",
        "threads._thread_counter",
    ],
)
def test_a_planted_use_is_found(source: str) -> None:
    assert uses_of(private_names() - NOT_OF_TRIO, source)


@pytest.mark.parametrize(
    "source",
    [
        "class Door:\n    def close(self):\n        self._closed = True",
        "task.name",
        "# task._next_send_fn",
        "x.__class__",
    ],
)
def test_own_attributes_public_names_and_comments_are_no_uses(source: str) -> None:
    assert uses_of(private_names() - NOT_OF_TRIO, source) == []


# Inside it: the self-check.


def room() -> list[ast.Module]:
    return [ast.parse(path.read_text()) for path in sorted(ROOM.glob("*.py")) if path.name != "check.py"]


def defined_in_room() -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for tree in room() for node in ast.walk(tree) if isinstance(node, kinds)}


def unlisted(source: str, table: set[str], own_names: set[str]) -> list[str]:
    """Attributes in ``source`` that belong to trio's private parts by their names and are not in ``table``."""
    of_private_classes = {
        name
        for owner in PRIVATE_OWNERS
        if isinstance(owner, type)
        for base in owner.__mro__
        if base.__module__.startswith("trio")
        for name in (*vars(base), *vars(base).get("__annotations__", ()))
        if not name.startswith("__")
    }
    of_private_modules = {
        name for owner in PRIVATE_OWNERS if not isinstance(owner, type) for name in vars(owner) if is_private(name)
    }
    found = []
    private = private_names() | of_private_modules
    for name, node, is_text in names_in(source, own=True):
        if is_text:
            is_trios = name in private
        else:
            is_trios = (is_private(name) and name not in own_names) or name in of_private_classes
        if is_trios and name not in table:
            found.append(place_of(node))
    return found


def test_the_self_check_names_every_private_name_that_the_room_uses() -> None:
    found = {
        path.name: uses
        for path in sorted(ROOM.glob("*.py"))
        if path.name != "check.py" and (uses := unlisted(path.read_text(), listed(), defined_in_room()))
    }
    assert found == {}


def test_the_self_check_names_every_private_module_and_what_is_taken_from_it() -> None:
    missing = []
    for tree in room():
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("trio"):
                continue
            for alias in node.names:
                dotted = f"{node.module}.{alias.name}"
                if dotted in sys.modules:
                    modules[alias.asname or alias.name] = dotted
                elif "._" in str(node.module) and not {alias.name, f"{alias.name}()"} & {
                    *NAMES.get(str(node.module), ())
                }:
                    missing.append(dotted)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                dotted = modules[node.value.id]
                if "._" in dotted and not {node.attr, f"{node.attr}()"} & {*NAMES.get(dotted, ())}:
                    missing.append(f"{dotted}.{node.attr}")
    assert missing == []


@pytest.mark.parametrize(
    "source",
    [
        "task._cancel_shield",
        "runner.guest_tick_scheduled",
        "self._ki_protected",
        "{'_call_without_ki_protection'}",
    ],
)
def test_a_name_that_the_table_lacks_is_found(source: str) -> None:
    assert unlisted(source, listed(), defined_in_room())


def remove(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Take ``name`` out of a module, or out of a class and its instances."""
    for base in getattr(owner, "__mro__", (owner,)):
        if name in vars(base):
            monkeypatch.delattr(base, name)
        if name in vars(base).get("__annotations__", ()):
            monkeypatch.delitem(base.__annotations__, name)
        for beginning in ("__init__", "__aenter__"):
            initializer = vars(base).get(beginning)
            if name in getattr(getattr(initializer, "__code__", None), "co_names", ()):
                code = initializer.__code__
                renamed = tuple("renamed" if one == name else one for one in code.co_names)
                monkeypatch.setattr(initializer, "__code__", code.replace(co_names=renamed))
    if name in vars(type(owner)):
        monkeypatch.delattr(type(owner), name)


@pytest.mark.parametrize(
    ("dotted", "name"), [(dotted, name) for dotted, names in (*NAMES.items(), *PROPERTIES.items()) for name in names]
)
def test_a_trio_that_lacks_a_name_is_refused_with_it(dotted: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    version = tuple(int(part) for part in trio.__version__.split(".")[:2])
    if version < SINCE.get(f"{dotted}.{name}", version):
        pytest.skip(f"trio {trio.__version__} is older than this name")
    owner = owner_of(dotted)
    with monkeypatch.context() as removing:
        remove(removing, owner, name.removesuffix("()"))
        with pytest.raises(
            ImportError, match=rf"private names changed: .*\b{dotted.rpartition('.')[2]}\.{re.escape(name)}"
        ):
            check_trio()
    check_trio()


def test_a_method_that_became_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio.Nursery, "_child_finished", None)
    with pytest.raises(ImportError, match=r"Nursery\._child_finished\(\)"):
        check_trio()


def test_a_setter_that_stores_what_it_is_given_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def assign(scope: Any, deadline: float) -> None: ...

    monkeypatch.setattr(trio.CancelScope, "deadline", property(trio.CancelScope.deadline.fget, assign))  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match=r"CancelScope\.deadline"):
        check_trio()


def test_the_check_does_not_import_pytest() -> None:
    program = "import sys, detrun_scheduler.trio_host.host; assert not {'pytest', 'trio.testing'} & {*sys.modules}"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("module", ["private", "host", "graveyard"])
def test_importing_any_file_of_the_room_checks_first(module: str) -> None:
    program = f"import trio._core._run as run\ndel run.GLOBAL_RUN_CONTEXT\nimport detrun_scheduler.trio_host.{module}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "ImportError: detrun cannot host trio" in result.stderr
    assert "_run.GLOBAL_RUN_CONTEXT" in result.stderr
