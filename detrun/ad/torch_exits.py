"""Ways out of torch that lose a Value, listed as detachments of the calling line.

While a run is differentiated and has made tensors of Values, these methods of torch's tensors say so when the tensor
carries a derivative: ``item``, ``tolist``, ``numpy``, ``detach``, ``__float__``, ``__array__``, pickling
(``torch.save``), and `torch.nn.Parameter` made of one. A call by torch itself is torch's affair and not listed; nor is
what a program computes from tensors alone under ``torch.no_grad``, which asks for just that.

The methods are replaced on `torch.Tensor` when the first such tensor is made, and put back when the run ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from detrun.ad import notes, state
from detrun.ad.source_lines import MACHINERY_PACKAGES

NAMES = ("item", "tolist", "numpy", "detach", "__float__", "__array__", "__reduce_ex__")

_replaced: dict[str, Any] = {}  # what stood under each name in the class itself; None where it was inherited


def watch() -> None:
    """List the exits from here on, until `unwatch`, in runs that are differentiated."""
    if _replaced or not state.noting:
        return
    torch = sys.modules["torch"]
    state.at_end = unwatch
    for name in NAMES:
        _replaced[name] = vars(torch.Tensor).get(name)
        setattr(torch.Tensor, name, _listing(getattr(torch.Tensor, name)))
    made = torch.nn.Parameter.__new__
    _replaced["Parameter"] = made

    def parameter(kind: Any, data: Any = None, requires_grad: bool = True) -> Any:
        if data is not None:
            note(data)
        return made(kind, data, requires_grad)

    torch.nn.Parameter.__new__ = staticmethod(parameter)


def unwatch() -> None:
    """Put everything back. Safe to call when nothing is replaced."""
    if not _replaced:
        return
    torch = sys.modules["torch"]
    torch.nn.Parameter.__new__ = staticmethod(_replaced.pop("Parameter"))
    for name, was in _replaced.items():
        if was is None:
            delattr(torch.Tensor, name)
        else:
            setattr(torch.Tensor, name, was)
    _replaced.clear()


def note(tensor: Any) -> None:
    """The line that called our caller takes the bare numbers out of a tensor, if it carries a derivative."""
    if state.noting and getattr(tensor, "requires_grad", False) and tensor.is_floating_point():
        package = str(sys._getframe(2).f_globals.get("__name__", "")).partition(".")[0]
        if package != "torch" and package not in MACHINERY_PACKAGES:
            notes.detachment()


def _listing(method: Callable[..., Any]) -> Callable[..., Any]:
    def listed(tensor: Any, *args: Any, **keywords: Any) -> Any:
        if state.noting:
            note(tensor)
        return method(tensor, *args, **keywords)

    def pickled(tensor: Any, protocol: Any) -> Any:
        if state.noting and tensor.requires_grad:
            notes.detachment()  # torch.save calls it, for the program
        return method(tensor, protocol)

    if method.__name__ == "__reduce_ex__":
        return pickled

    listed.__name__ = getattr(method, "__name__", "exit")
    return listed
