"""Nodes of a page: elements and texts. Only a `Document` changes the tree, so that nothing changes unseen.

Each element carries two dirty bits for layout: `needs_layout`, its own boxes are out of date, and `child_needs_layout`,
those of a descendant are. `dirt` keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from detrun_scenarios.browser.dom.text import advance

Handler: TypeAlias = Callable[[Any], None]  # of an `Event`


class Text:
    """A piece of text.

    Attributes:
        words: of the text, each with its width in shares of the font's size.
    """

    __slots__ = ("data", "parent", "words")

    def __init__(self, data: str) -> None:
        self.parent: Element | None = None
        self.data = data
        self.words = [(word, advance(word)) for word in data.split()]

    def __repr__(self) -> str:
        return f"Text({self.data!r})"


class Element:
    """An element.

    Attributes:
        inline_style: declarations of its own, as CSS.
        listeners: by type: each with whether it wants the capture phase.
        picture: width and height in pixels of the decoded image, once there is one.
        is_root: whether it is the root of a document.
    """

    __slots__ = (
        "attributes",
        "child_needs_layout",
        "children",
        "inline_style",
        "is_root",
        "listeners",
        "needs_layout",
        "parent",
        "picture",
        "tag",
    )

    def __init__(self, tag: str, attributes: dict[str, str] | None = None) -> None:
        self.tag = tag
        self.attributes = attributes or {}
        self.inline_style = self.attributes.get("style", "")
        self.parent: Element | None = None
        self.children: list[Node] = []
        self.listeners: dict[str, list[tuple[bool, Handler]]] = {}
        self.picture: tuple[int, int] | None = None
        self.is_root = False
        self.needs_layout = True
        self.child_needs_layout = False

    @property
    def name(self) -> str:
        """Its id, or an empty string."""
        return self.attributes.get("id", "")

    @property
    def classes(self) -> list[str]:
        """Its classes."""
        return self.attributes.get("class", "").split()

    @property
    def is_connected(self) -> bool:
        """Whether it is in a document."""
        return self.ancestors()[-1].is_root

    def ancestors(self) -> list[Element]:
        """Itself and all above it, outwards."""
        found = [self]
        while (above := found[-1].parent) is not None:
            found.append(above)
        return found

    def elements(self) -> Iterator[Element]:
        """Itself and all elements below, in the order of the document."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.elements()

    def text(self) -> str:
        """All text inside."""
        return " ".join(one.data if isinstance(one, Text) else one.text() for one in self.children).strip()

    def __repr__(self) -> str:
        return f"<{self.tag}{'#' + self.name if self.name else ''}>"


Node: TypeAlias = Element | Text


def siblings_before(element: Element) -> list[Any]:
    """The elements before it under the same parent, the next first."""
    if element.parent is None:
        return []
    found: list[Element] = []
    for one in element.parent.children:
        if one is element:
            break
        if isinstance(one, Element):
            found.append(one)
    return found[::-1]
