"""Whether a program has finalizers of its own that the garbage collector would run: asked once in a campaign.

Looked at are the objects that were made since the campaign froze everything, and that a collection would visit. The
finalizers of the standard library, of trio and of detrun do not count: almost every program has some.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

from detrun_scheduler.frozen_heap import is_frozen
from detrun_scheduler.user_code import is_user_file


def has_finalizers() -> bool:
    """Whether some object made since the last freeze has a finalizer or a callback in code of the user's.

    False outside of `frozen_heap`, where there is no telling what is new.
    """
    if not is_frozen():
        return False
    if any(_is_users(callback) for callback in gc.callbacks):
        return True
    known: dict[type, bool] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if kind not in known:
            known[kind] = _is_users(getattr(kind, "__del__", None))
        if known[kind] or (isinstance(thing, weakref.ref) and _calls_back(thing)):
            return True
    return False


def _calls_back(reference: Any) -> bool:
    """A weak reference to an object of a class of the user's, or with a callback of the user's."""
    callback, referent = reference.__callback__, reference()
    if callback is None or referent is None or isinstance(referent, threading.Thread):
        return False
    module = sys.modules.get(type(referent).__module__)
    file = getattr(module, "__file__", None)
    return _is_users(callback) or (file is not None and is_user_file(file))


def _is_users(function: Any) -> bool:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and is_user_file(code.co_filename)
