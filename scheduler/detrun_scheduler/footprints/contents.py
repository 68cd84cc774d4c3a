"""Reads and changes of what lists, dictionaries, sets and deques hold, for explanations.

`accesses.py` sees attributes and elements. Here the methods of built-in containers count, too, and what the language
does with a whole container: ``len``, ``in``, iteration, truth, slices, copies. CPython makes each of these at once, so
they are no data races, but their order decides what a program does.

Each access marks up to three places, so that two accesses conflict exactly if they do not commute: an element, the
*contents*, and the *shape*. A changed element commutes with another changed element and not with a reader of the whole;
a change of the whole (``append``, ``clear``) commutes with nothing.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Hashable
from types import FrameType, FunctionType
from typing import Any, Protocol

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.footprints.accesses import AccessListener, AccessObserver, stable
from detrun_scheduler.footprints.footprints import COMMUTE, READ, WRITE
from detrun_scheduler.footprints.recipes import follow, instance_of, is_missing
from detrun_scheduler.footprints.symbolic_execution import Access, accesses_of, contents_of
from detrun_scheduler.user_code import is_user_file

_CONTAINERS = (list, dict, set, deque, bytearray)
_WHOLE_READERS = frozenset(
    (
        *("copy", "count", "index", "items", "keys", "values", "union", "difference", "intersection"),
        *("symmetric_difference", "issubset", "issuperset", "isdisjoint", "__len__", "__iter__", "join"),
        *("most_common", "elements", "total"),
    )
)
_MEMBER_READERS = frozenset(("get", "__getitem__", "__contains__"))
# Of dictionaries and sets these touch one member; of lists and deques they move the others.
_MEMBER_CHANGERS = frozenset(("pop", "setdefault", "__setitem__", "__delitem__", "add", "discard", "remove"))
_WHOLE_CHANGERS = frozenset(
    (
        *("append", "appendleft", "extend", "extendleft", "insert", "popleft", "popitem", "clear", "sort"),
        *("reverse", "rotate", "update", "move_to_end", "difference_update", "intersection_update"),
        *("symmetric_difference_update", "subtract", "pop", "remove", "__iadd__", "__delitem__", "__setitem__"),
        *("__ior__"),
    )
)
# What a view of a dictionary reads when it is made: nothing. Iterating over it reads all.
_VIEWS = frozenset(("items", "keys", "values"))


class ContentsListener(AccessListener, Protocol):
    """What is told of contents, too, just before the access takes effect."""

    def marked(self, key: Hashable, label: str, mode: int, line: str) -> None:
        """The running task is about to touch a place of a container in this way; see `footprints.py` for modes."""


class ContentsObserver(AccessObserver):
    """Finds what instructions do to attributes, elements and whole containers, and tells a listener."""

    listener: ContentsListener

    def __init__(self, listener: ContentsListener) -> None:
        super().__init__(listener)
        # By frame and instruction: what the loop there iterates over. Its iterator is on a stack that we do not see.
        self.iterated: dict[tuple[int, int], tuple[Any, Access]] = {}

    def label_of(self, owner: Any) -> str:
        """See `AccessObserver.label_of`. What can be held weakly is, so that finalizers run when they would have."""
        number = address_of(owner)
        found = self.objects.get(number)
        if found is not None:
            return found[1]
        label = super().label_of(owner)
        try:
            kept: Any = weakref.ref(owner, lambda _: self.objects.pop(number, None))
        except TypeError:
            kept = owner
        self.objects[number] = kept, label
        return label

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """See `AccessObserver.about_to_run`."""
        access = accesses_of(frame.f_code).get(offset)
        if access is not None:
            if access.kind == "element":
                self._element(access, frame)
            else:
                super().about_to_run(frame, offset)
        content = contents_of(frame.f_code).get(offset)
        if content is not None:
            self._content(content, frame, offset)

    def _element(self, access: Access, frame: FrameType) -> None:
        owner = follow(access.owner, frame)
        if not is_container(owner) or _overridden(owner, "__setitem__" if access.is_write else "__getitem__"):
            return
        key = follow(access.name, frame)
        if is_missing(key) or not _is_key(key):
            self._whole(owner, access, frame, access.is_write)
        else:
            self._member(owner, key, access, frame, access.is_write)

    def _content(self, access: Access, frame: FrameType, offset: int) -> None:
        if access.kind == "iteration":
            found = self.iterated.get((address_of(frame), offset))
            if found is not None:
                self._whole(*found, frame, False)
            return
        owner = follow(access.owner, frame)
        if not is_container(owner):
            return
        if access.kind == "whole":
            self._whole(owner, access, frame, access.is_write)
            following = offset + 2  # GET_ITER has no cache; an iteration comes next
            if (next_one := contents_of(frame.f_code).get(following)) and next_one.kind == "iteration":
                self.iterated[address_of(frame), following] = owner, access
        elif access.kind == "member":
            self._member_or_whole(owner, follow(access.name, frame), access, frame, False)
        else:
            self._method(owner, access, frame)

    def _method(self, owner: Any, access: Access, frame: FrameType) -> None:
        method = access.name[1]  # type: ignore[index]
        if _overridden(owner, method) or method in _VIEWS:
            return
        by_member = isinstance(owner, dict | set | frozenset)
        if by_member and method in (_MEMBER_READERS | _MEMBER_CHANGERS) and access.argument is not None:
            argument = follow(access.argument, frame)
            self._member_or_whole(owner, argument, access, frame, method in _MEMBER_CHANGERS)
        elif method in _WHOLE_READERS or method in _MEMBER_READERS:
            self._whole(owner, access, frame, False)
        elif method in _WHOLE_CHANGERS or method in _MEMBER_CHANGERS:
            self._whole(owner, access, frame, True)

    def _member_or_whole(self, owner: Any, member: Any, access: Access, frame: FrameType, is_write: bool) -> None:
        if is_missing(member) or not isinstance(owner, dict | set) or not _is_key(member):
            self._whole(owner, access, frame, is_write)
        else:
            self._member(owner, member, access, frame, is_write)

    def _member(self, owner: Any, member: Any, access: Access, frame: FrameType, is_write: bool) -> None:
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        instance = instance_of(access.owner, frame)
        if not is_missing(instance) and type(member) is str:
            self._attribute(instance, member, is_write, where)
            return
        label = self.label_of(owner)
        shown = self.shown_as(label, access.owner, frame)
        key = stable(member)
        element = f"{shown}[{key}]"
        self.listener.marked((label, key), element, WRITE if is_write else READ, where)
        if is_write:
            self.listener.marked((label, "contents", None), shown, COMMUTE, where)
        self.listener.marked((label, "shape", None), shown, READ, where)

    def _whole(self, owner: Any, access: Access, frame: FrameType, is_write: bool) -> None:
        label = self.label_of(owner)
        shown = self.shown_as(label, access.owner, frame)
        where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        for part in ("contents", "shape"):
            self.listener.marked((label, part, None), shown, WRITE if is_write else READ, where)


def is_container(thing: Any) -> bool:
    """Whether it is a built-in container that can change, or of a class derived from one."""
    return issubclass(type(thing), _CONTAINERS)


def _is_key(thing: Any) -> bool:
    """Whether it is a key in whose name there is no address, or stands for an object of the program."""
    return type(thing) is not slice and type(thing).__hash__ is not None


def _overridden(owner: Any, *methods: str) -> bool:
    """Whether the program's own code stands in for a method; that code is seen itself."""
    for base in type(owner).__mro__:
        for method in methods:
            found = vars(base).get(method)
            if found is not None:
                return isinstance(found, FunctionType) and is_user_file(found.__code__.co_filename)
    return False
