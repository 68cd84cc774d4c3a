"""Every private name of asyncio that the room uses stands in its self-check, which fails loudly."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from detrun_scheduler.asyncio_host import private

ROOM = Path(private.__file__).parent
LISTED = {name.removesuffix("()") for names in private.NAMES.values() for name in names}


def private_attributes(source: str) -> set[str]:
    """Attributes with an underscore that ``source`` looks up, without those that it defines itself."""
    tree = ast.parse(source)
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    own |= {
        node.attr
        for node in attributes
        if isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"
    }
    used = {node.attr for node in attributes}
    return {name for name in used - own if name.startswith("_") and not name.startswith("__")}


def test_the_self_check_lists_every_private_name_that_the_room_uses() -> None:
    theirs = {"_getframe"}  # of sys
    found = {path.name: private_attributes(path.read_text()) - LISTED - theirs for path in ROOM.glob("*.py")}
    assert {name: unlisted for name, unlisted in found.items() if unlisted} == {}


def test_a_private_name_that_is_not_listed_is_seen() -> None:
    assert private_attributes("def look(loop):\n    return loop._ready, loop.time()") == {"_ready"}


def test_this_asyncio_has_all_of_them() -> None:
    assert private.missing_names() == []


def test_an_asyncio_that_lacks_one_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(private.NAMES, "asyncio.events.Handle", ("_run()", "_gone"))
    with pytest.raises(ImportError, match=r"private names of asyncio changed: Handle\._gone\. Use Python 3\.11 to"):
        private.check_asyncio()
