"""`KeyedState`: one event's view of the state of a keyed machine, which notes the keys that the event touches.

A keyed state is a dict whose keys name independent things: accounts, nodes, orders. `apply` gets it as a mutable
mapping, reads and assigns keys, and returns it. Nothing changes until `commit`, so an `apply` that raises leaves the
state as it was. What is touched is noted per key:

- reading a key, or asking whether it exists, *reads* it;
- assigning or deleting a key *writes* it;
- iterating, and ``len``, read the set of keys, which is `STRUCTURE`; making or deleting a key writes it.

Only assignment changes a state. What is read out is the reader's own copy, and what is assigned is copied: a list
that was changed in place under its key would be a write out of sight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from detrun.ad import trees
from detrun_scheduler.errors import UsageError


class _Structure:
    def __repr__(self) -> str:
        return "STRUCTURE"


STRUCTURE: Final = _Structure()
_DELETED: Final = object()

Refusal = Callable[[Any], Exception]


class KeyedState(MutableMapping[Any, Any]):
    """One event's view of ``content``; dicts stand for ordered sets, since the order of a set is hidden state.

    Args:
        content: the state before the event. Changed by `commit` alone.
        allowed: the keys that may be touched; None allows every key.
        refusal: makes the exception for a key that is not allowed.
    """

    __slots__ = ("_allowed", "_content", "_refusal", "_written", "read", "wrote")

    def __init__(
        self, content: dict[Any, Any], allowed: Mapping[Any, None] | None = None, refusal: Refusal | None = None
    ) -> None:
        self._content = content
        self._allowed = allowed
        self._refusal = refusal
        self._written: dict[Any, Any] = {}
        self.read: dict[Any, None] = {}
        self.wrote: dict[Any, None] = {}

    def __getitem__(self, key: Any) -> Any:
        written = self._written
        if key in written:
            found = written[key]
            if found is _DELETED:
                raise KeyError(key)
        else:
            if self._allowed is not None:
                self._check(key)
            self.read[key] = None
            found = self._content[key]
        return trees.copy(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        if self._allowed is not None:
            self._check(key)
        if key not in self._content:
            self.wrote[STRUCTURE] = None
        self._written[key] = trees.copy(value)
        self.wrote[key] = None

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise KeyError(key)
        self._written[key] = _DELETED
        self.wrote[key] = None
        self.wrote[STRUCTURE] = None

    def __contains__(self, key: object) -> bool:
        if key in self._written:
            return self._written[key] is not _DELETED
        if self._allowed is not None:
            self._check(key)
        self.read[key] = None
        return key in self._content

    def __iter__(self) -> Iterator[Any]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __repr__(self) -> str:
        return f"<KeyedState: read {list(self.read)!r}, wrote {list(self.wrote)!r}>"

    def commit(self) -> None:
        """Carry out what was assigned and deleted."""
        content = self._content
        for key, value in self._written.items():
            if value is _DELETED:
                content.pop(key, None)
            else:
                content[key] = value

    def replace_by(self, state: Mapping[Any, Any]) -> None:
        """`apply` returned another mapping: that is the whole new state. Costs its size, and reads the set of keys."""
        for key in self._keys():
            if key not in state:
                del self[key]
        for key, value in state.items():
            self[key] = value

    def _keys(self) -> list[Any]:
        if self._allowed is not None:
            self._check(STRUCTURE)
        self.read[STRUCTURE] = None
        written = self._written
        kept = [key for key in self._content if written.get(key) is not _DELETED]
        made = [key for key, value in written.items() if key not in self._content and value is not _DELETED]
        return kept + made

    def _check(self, key: Any) -> None:
        assert self._allowed is not None
        if key not in self._allowed:
            assert self._refusal is not None
            raise self._refusal(key)


def commit_returned(view: KeyedState, returned: object) -> None:
    """Take what `apply` returned: the view that it was given, or a whole new mapping.

    Raises:
        UsageError: it returned something else, most likely nothing.
    """
    if returned is not view:
        if not isinstance(returned, Mapping):
            raise UsageError(f"apply returned {returned!r}; a keyed machine's apply must return the state it was given")
        view.replace_by(returned)
    view.commit()
