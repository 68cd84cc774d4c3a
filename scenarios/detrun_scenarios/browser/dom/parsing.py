"""HTML to nodes: html5lib tokenizes and builds the tree by the standard's rules, and its elements become ours.

html5lib is imported when a page is parsed.
"""

from __future__ import annotations

from typing import Any

from detrun_scenarios.browser.dom.nodes import Element, Node, Text


def parsed(html: str) -> Element:
    """The ``html`` element of a page, which is in no document yet."""
    import html5lib

    found = html5lib.parse(html, treebuilder="etree", namespaceHTMLElements=False)
    return _element(found)


def parsed_fragment(html: str) -> list[Node]:
    """The nodes of a piece of HTML inside of a ``div``."""
    import html5lib

    found = html5lib.parseFragment(html, treebuilder="etree", namespaceHTMLElements=False)
    nodes = _element(found).children
    for one in nodes:
        one.parent = None
    return nodes


def _element(found: Any) -> Element:
    element = Element(found.tag, dict(found.attrib))
    _append(element, found.text)
    for child in found:
        if isinstance(child.tag, str):  # a comment's tag is a function
            inside = _element(child)
            inside.parent = element
            element.children.append(inside)
        _append(element, child.tail)
    return element


def _append(element: Element, text: str | None) -> None:
    if text and not text.isspace():
        node = Text(text)
        node.parent = element
        element.children.append(node)
