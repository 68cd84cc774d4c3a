"""Declared values, and what a style sheet may say. Lengths can be the parameters of a run, by ``var(--name)``.

tinycss2 tokenizes; here tokens become values: `Length`, a keyword, a number, a colour, or `Variable`. A property that
is not listed in `PROPERTIES`, or a value that does not fit, is ignored, as CSS has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

SIDES = ("top", "right", "bottom", "left")
UNITS = ("px", "em", "rem", "%")
INITIAL: dict[str, Any] = {
    "display": "inline",
    "width": "auto",
    "height": "auto",
    "min-width": "auto",
    "max-width": "none",
    "min-height": 0.0,
    "max-height": "none",
    **{f"margin-{side}": 0.0 for side in SIDES},
    **{f"padding-{side}": 0.0 for side in SIDES},
    "border-width": 0.0,
    "border-color": "#000000",
    "background-color": "transparent",
    "color": "#000000",
    "font-size": 16.0,
    "line-height": 1.2,
    "gap": 0.0,
    "flex-direction": "row",
    "flex-wrap": "nowrap",
    "flex-grow": 0.0,
    "flex-shrink": 1.0,
    "flex-basis": "auto",
    "justify-content": "flex-start",
    "align-items": "stretch",
}
"""Every property with its initial value; lengths are in CSS pixels."""

INHERITED = ("color", "font-size", "line-height")
COLOURS = {"white": "#ffffff", "black": "#000000", "red": "#ff0000", "gray": "#808080"}


@dataclass(frozen=True, slots=True)
class Length:
    """A number with one of `UNITS`."""

    number: float
    unit: str


@dataclass(frozen=True, slots=True)
class Variable:
    """``var(--name)``."""

    name: str


Declared: TypeAlias = Length | Variable | float | str


def declarations_of(content: Any) -> Iterator[tuple[str, Declared, bool]]:
    """The longhand declarations in a block or an attribute: property, value, whether it is important."""
    import tinycss2

    for one in tinycss2.parse_blocks_contents(content, skip_comments=True, skip_whitespace=True):
        if one.type == "declaration":
            values = [found for token in one.value if (found := _value(token)) is not None]
            for name, value in _longhands(one.lower_name, values):
                if name in INITIAL:
                    yield name, value, one.important


def _value(token: Any) -> Declared | None:
    if token.type == "dimension" and token.lower_unit in UNITS:
        return Length(float(token.value), token.lower_unit)
    if token.type == "percentage":
        return Length(float(token.value), "%")
    if token.type == "number":
        return float(token.value)
    if token.type == "ident":
        word = str(token.lower_value)
        return COLOURS.get(word, word)
    if token.type == "hash":
        digits = str(token.value).lower()
        return "#" + (digits if len(digits) == 6 else "".join(one * 2 for one in digits))
    if token.type == "function" and token.lower_name == "var":
        return Variable(next(one.value for one in token.arguments if one.type == "ident").removeprefix("--"))
    return None


def _longhands(name: str, values: Sequence[Declared]) -> Iterator[tuple[str, Declared]]:
    """A shorthand as what it stands for. ``flex`` with one number has a basis of 0, as CSS has it."""
    if not values:
        return
    if name in ("margin", "padding"):
        top, right, bottom, left = _four(values)
        yield from zip((f"{name}-{side}" for side in SIDES), (top, right, bottom, left), strict=True)
    elif name == "flex":
        if values[0] in ("none", "auto"):
            values = [0.0, 0.0, "auto"] if values[0] == "none" else [1.0, 1.0, "auto"]
        numbers = [one for one in values if isinstance(one, float)]
        bases = [one for one in values if not isinstance(one, float)]
        yield "flex-grow", numbers[0] if numbers else 1.0
        yield "flex-shrink", numbers[1] if len(numbers) > 1 else 1.0
        yield "flex-basis", bases[0] if bases else 0.0
    elif name == "border":
        for one in values:
            if isinstance(one, Length | Variable):
                yield "border-width", one
            elif isinstance(one, str) and one.startswith("#"):
                yield "border-color", one
    elif name == "background":
        yield "background-color", values[0]
    else:
        yield name, values[0]


def _four(values: Sequence[Declared]) -> tuple[Declared, Declared, Declared, Declared]:
    top = values[0]
    right = values[1] if len(values) > 1 else top
    bottom = values[2] if len(values) > 2 else top
    return top, right, bottom, values[3] if len(values) > 3 else right
