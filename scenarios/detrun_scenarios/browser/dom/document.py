"""`Document`: a tree, and all that may change it. Every change marks what is out of date, and tells the observers.

Styles are out of date below the elements of `unstyled`: a change of an attribute may let other rules match there, and
what is inherited changes with it.

Source: WHATWG, DOM standard, 4.2.3 (mutation algorithms) and 4.3 (mutation observers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from detrun_scenarios.browser.dom.dirt import Dirt
from detrun_scenarios.browser.dom.nodes import Element, Node, Text

Kind: TypeAlias = Literal["children", "attributes", "text", "picture"]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change, as observers are told of it.

    Attributes:
        target: whose children, attribute or text have changed.
    """

    kind: Kind
    target: Element
    added: Node | None = None
    removed: Node | None = None
    attribute: str = ""


def ignore(change: Mutation) -> None:
    """Tells no observer of it."""


class Document:
    """See the module.

    Args:
        dirt: keeps the dirty bits.
        changed: told of every change, right after it.

    Attributes:
        unstyled: the elements at and below which styles are out of date, in the order in which they came to be so.
        bereft: the elements that have lost a child since styles were last computed.
    """

    def __init__(
        self,
        dirt: Dirt | None = None,
        changed: Callable[[Mutation], None] = ignore,
    ) -> None:
        self.root = Element("html")
        self.root.is_root = True
        self.dirt = dirt or Dirt()
        self._changed = changed
        self.unstyled: dict[Element, None] = {self.root: None}
        self.bereft: dict[Element, None] = {}

    def insert(self, parent: Element, node: Node, before: Node | None = None) -> None:
        """Put a node among the children of another; one that is elsewhere in a tree moves.

        Raises:
            ValueError: ``before`` is no child of the parent, or the parent is inside of the node.
        """
        if isinstance(node, Element) and node in parent.ancestors():
            raise ValueError(f"{node} cannot be put into {parent}, which is inside of it")
        if before is node:
            return
        if node.parent is not None:
            self._unlink(node)
        at = len(parent.children) if before is None else parent.children.index(before)
        parent.children.insert(at, node)
        node.parent = parent
        if isinstance(node, Element):
            self.dirt.adopted(node)
            self.unstyled[node] = None
        else:
            self.dirt.mark(parent)
        self._changed(Mutation("children", parent, added=node))

    def remove(self, node: Node) -> None:
        """Take a node out of the tree, with all below it."""
        if node.parent is not None:
            self._unlink(node)

    def set_attribute(self, element: Element, name: str, value: str) -> None:
        """Give an attribute another value."""
        if element.attributes.get(name) == value:
            return
        element.attributes[name] = value
        if name == "style":
            element.inline_style = value
        if name == "src":
            element.picture = None
            self.dirt.mark(element)
        self.unstyled[element] = None
        self._changed(Mutation("attributes", element, attribute=name))

    def set_text(self, element: Element, data: str) -> None:
        """Put one text in place of all children."""
        for child in list(element.children):
            self.remove(child)
        text = Text(data)
        element.children.append(text)
        text.parent = element
        self.dirt.mark(element)
        self._changed(Mutation("text", element, added=text))

    def show_picture(self, element: Element, size: tuple[int, int]) -> None:
        """The image of an element has been decoded: pixels across and down."""
        element.picture = size
        self.dirt.mark(element)
        self._changed(Mutation("picture", element))

    def find(self, name: str) -> Element | None:
        """The first element with this id."""
        return next((one for one in self.root.elements() if one.name == name), None)

    def all_of(self, name: str) -> list[Element]:
        """All elements of a class, in the order of the document."""
        return [one for one in self.root.elements() if name in one.classes]

    def all_elements(self, tag: str) -> list[Element]:
        """All elements of a type, in the order of the document."""
        return [one for one in self.root.elements() if one.tag == tag]

    def _unlink(self, node: Node) -> None:
        parent = node.parent
        assert parent is not None
        parent.children.remove(node)
        node.parent = None
        self.bereft[parent] = None
        self.dirt.mark(parent)
        self._changed(Mutation("children", parent, removed=node))
