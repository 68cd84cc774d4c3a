"""Torch functions on `Value`s: connects `Value` to `detrun.ad.torch_entry`, which is loaded at the first call.

`Value` lies below everything that knows torch, so it asks `state.torch_function`, and this file sits above both.
"""

from __future__ import annotations

from typing import Any

from detrun.ad import state


def install() -> None:
    """Let torch functions take Values. `import detrun` calls this; torch itself is not imported."""
    state.torch_function = _call


def _call(function: Any, args: Any, kwargs: Any) -> Any:
    # Few programs use torch, and the bridge takes a millisecond to import.
    from detrun.ad.torch_entry import call_with_values

    return call_with_values(function, args, kwargs)
