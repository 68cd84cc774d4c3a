"""The user's source files: reports show these of a stack, and leave out the others as plumbing.

A file is plumbing if it belongs to trio or to detrun's own packages (wherever these are imported from: a checkout, an
editable install, a wheel), to the standard library, or to one of the libraries that only carry calls on or compute
(``CARRIERS``). Everything else is user code, a package in ``site-packages`` too: programs are installed there. Names in
angle brackets (``<stdin>``, ``<string>``) are user code; the frozen part of the standard library is not.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from functools import cache
from importlib.util import find_spec
from types import CodeType, FrameType

# Top-level names below site-packages that run other people's functions, or compute: no line of theirs explains a
# program. Of a copied tensor the reader wants to see who sends it.
CARRIERS = frozenset(
    {"_pytest", "anyio", "attr", "attrs", "click", "greenlet", "hypothesis", "outcome", "pluggy", "pytest"}
    | {"numpy", "pytest_timeout", "pytest_trio", "sniffio", "sortedcontainers", "torch"}
)
DETRUN_PACKAGES = ("detrun", "detrun_scheduler", "detrun_recorder", "detrun_pytest")
OWN_PACKAGES = ("trio", *DETRUN_PACKAGES)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


@cache
def _roots(packages: tuple[str, ...]) -> tuple[str, ...]:
    # Looked up and not imported: the scheduler knows none of its siblings, which may be absent.
    roots = set()
    for package in packages:
        spec = find_spec(package)
        for root in spec.submodule_search_locations or () if spec is not None else ():
            roots |= {os.path.abspath(root) + os.sep, os.path.realpath(root) + os.sep}
    return tuple(sorted(roots))


@cache
def know_own_files() -> None:
    """Look up where our packages are, before code of a node runs, whose paths mean files on a disk of its own."""
    for packages in (OWN_PACKAGES, DETRUN_PACKAGES):
        _roots(packages)


@cache
def is_user_file(filename: str) -> bool:
    """Whether code compiled from ``filename`` (a ``co_filename``) is the user's."""
    if filename.startswith("<"):
        return not filename.startswith("<frozen")
    path = os.path.abspath(filename)
    if path.startswith(_roots(OWN_PACKAGES)):
        return False
    installed = installed_package(path)
    return installed not in CARRIERS if installed else not path.startswith(_STANDARD_LIBRARY)


@cache
def is_detrun_file(path: str) -> bool:
    """Whether the file with this absolute path belongs to detrun itself."""
    return path.startswith(_roots(DETRUN_PACKAGES))


@cache
def is_own_file(filename: str) -> bool:
    """Whether code compiled from ``filename`` (a ``co_filename``) is trio's or detrun's."""
    return os.path.abspath(filename).startswith(_roots(OWN_PACKAGES))


@cache
def is_library_file(filename: str) -> bool:
    """Whether code compiled from ``filename`` (a ``co_filename``) is of the standard library or installed."""
    if filename.startswith("<"):
        return filename.startswith("<frozen")
    return (bool(installed_package(filename)) or not is_user_file(filename)) and not is_own_file(filename)


def installed_package(path: str) -> str:
    """The top-level package or module below ``site-packages`` that holds the file of this absolute path, or ``""``."""
    for marker in _INSTALLED:
        _, found, below = path.rpartition(marker)
        if found:
            return below.partition(os.sep)[0].removesuffix(".py")
    return ""


@cache
def standard_module(path: str) -> str:
    """The top-level module of the standard library that the file with this absolute path is in, or ``""``."""
    if not path.startswith(_STANDARD_LIBRARY) or installed_package(path):
        return ""
    return path.removeprefix(_STANDARD_LIBRARY).partition(os.sep)[0].removesuffix(".py")


def innermost_user_frame(frames: Iterable[FrameType]) -> FrameType | None:
    """The last of ``frames``, given outermost first, that is user code."""
    found = None
    for frame in frames:
        if is_user_file(frame.f_code.co_filename):
            found = frame
    return found


def line_at(code: CodeType, offset: int) -> int | None:
    """The line of the instruction at ``offset``, in bytes; None if it has none."""
    return next((line for begin, end, line in code.co_lines() if begin <= offset < end), None)


def is_within(frame: FrameType | None, codes: Collection[CodeType]) -> bool:
    """Whether ``frame`` or one that called it runs one of these functions."""
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False
