"""Checks of the parameters that a program is differentiated with respect to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detrun.ad.tensor_parameters import is_tensor_parameter
from detrun_scheduler.errors import UsageError


def check_params(params: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among the parameters, as floats; the others are tensors and modules.

    Raises:
        UsageError: no mapping, or one of them has no name or is neither a finite number nor a tensor or module.
    """
    if not isinstance(params, Mapping):
        raise UsageError(f"gradient: params={params!r:.80} is not a dict; pass params={{'name': number, ...}}")
    if not params:
        raise UsageError("gradient: no parameters given; pass params={'name': number, ...}")
    checked = {}
    for name, number in params.items():
        if not isinstance(name, str):
            raise UsageError(f"gradient: parameter {name!r} must have a text for its name")
        if is_tensor_parameter(number):
            continue
        if hasattr(number, "shape") and number.shape:
            raise UsageError(
                f"gradient: parameter {name!r} is an array of shape {tuple(number.shape)}; pass a torch tensor, or "
                "each number under a name of its own"
            )
        if isinstance(number, bool) or not hasattr(number, "__float__") or not _is_finite(number):
            raise UsageError(f"gradient: parameter {name!r} is {number!r:.80}, which is not a finite number")
        checked[name] = float(number)
    return checked


def numbers_only(params: Mapping[str, Any]) -> dict[str, float]:
    """The parameters where only numbers will do: minima, comparisons of kinds.

    Raises:
        UsageError: as `check_params`; or one of them is a tensor or a module.
    """
    numbers = check_params(params)
    for name in params:
        if name not in numbers:
            raise UsageError(
                f"parameter {name!r} is a tensor or a module, which detrun.gradient takes; this takes numbers only: "
                "pass each number under a name of its own"
            )
    return numbers


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:  # an int beyond all floats
        return False
