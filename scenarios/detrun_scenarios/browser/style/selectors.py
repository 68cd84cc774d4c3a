"""Selectors: cssselect parses them, and `matches` walks the parsed tree from the right, as browsers do.

Known are types, ids, classes, attributes, ``:first-child``, ``:last-child``, ``:root``, ``:not(…)`` and the four
combinators. A selector with anything else matches nothing.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.browser.dom.nodes import Element, siblings_before


def matches(element: Element, selector: Any) -> bool:
    """Whether a parsed selector of cssselect matches."""
    kind = type(selector).__name__
    if kind == "Element":
        return selector.element is None or bool(selector.element.lower() == element.tag)
    if kind == "CombinedSelector":
        return matches(element, selector.subselector) and _combined(element, selector.combinator, selector.selector)
    if kind == "Negation":
        return matches(element, selector.selector) and not matches(element, selector.subselector)
    if not matches(element, selector.selector):
        return False
    if kind == "Hash":
        return bool(element.name == selector.id)
    if kind == "Class":
        return selector.class_name in element.classes
    if kind == "Attrib":
        found = element.attributes.get(selector.attrib)
        return found is not None and (selector.operator == "exists" or _compared(found, selector))
    return kind == "Pseudo" and _is(element, selector.ident)


def _combined(element: Element, combinator: str, left: Any) -> bool:
    if combinator == " ":
        return any(matches(one, left) for one in element.ancestors()[1:])
    if combinator == ">":
        return element.parent is not None and matches(element.parent, left)
    before = siblings_before(element)
    return any(matches(one, left) for one in (before[:1] if combinator == "+" else before))


def _compared(found: str, selector: Any) -> bool:
    wanted = selector.value.value
    if selector.operator == "=":
        return bool(found == wanted)
    if selector.operator == "~=":
        return wanted in found.split()
    if selector.operator == "^=":
        return bool(wanted) and found.startswith(wanted)
    if selector.operator == "$=":
        return bool(wanted) and found.endswith(wanted)
    return selector.operator == "*=" and bool(wanted) and wanted in found


def _is(element: Element, pseudo: str) -> bool:
    if pseudo == "root":
        return element.parent is None
    if element.parent is None:
        return False
    siblings = [one for one in element.parent.children if isinstance(one, Element)]
    if pseudo == "first-child":
        return siblings[0] is element
    return pseudo == "last-child" and siblings[-1] is element


def key_of(selector: Any) -> tuple[str, str]:
    """What an element must have for the selector to match: an id, a class or a type of its own; else ``("", "")``."""
    while type(selector).__name__ == "CombinedSelector":
        selector = selector.subselector
    while True:
        kind = type(selector).__name__
        if kind == "Hash":
            return "id", selector.id
        if kind == "Class":
            return "class", selector.class_name
        if kind == "Element":
            return ("type", selector.element.lower()) if selector.element else ("", "")
        selector = selector.selector


def asks_for_siblings(selector: Any) -> bool:
    """Whether what stands beside an element decides."""
    kind = type(selector).__name__
    if kind == "Element":
        return False
    if kind == "Pseudo" and selector.ident in ("first-child", "last-child"):
        return True
    if kind == "CombinedSelector" and selector.combinator in "+~":
        return True
    inside = [selector.selector, *([selector.subselector] if hasattr(selector, "subselector") else [])]
    return any(map(asks_for_siblings, inside))
