"""Layout: flexible lengths as the specification has them, blocks and lines by hand, and kept boxes beside new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detrun
from detrun_scenarios.browser.dom.document import Document
from detrun_scenarios.browser.dom.nodes import Element, Text
from detrun_scenarios.browser.layout.engine import Layout, from_scratch
from detrun_scenarios.browser.layout.flexible import Item, resolve
from detrun_scenarios.browser.layout.geometry import Rect, first_difference, placed
from detrun_scenarios.browser.style.cascade import BROWSER, Cascade
from detrun_scenarios.browser.style.sheets import Sheets
from tests.examples import examples

pytestmark = pytest.mark.one_python
for package in ("html5lib", "tinycss2", "cssselect"):
    pytest.importorskip(package)

from detrun_scenarios.browser.dom.parsing import parsed, parsed_fragment  # noqa: E402  after the packages are there


def item(base: float, grow: float = 0.0, shrink: float = 1.0, least: float = 0.0, most: float | None = None) -> Item:
    return Item(base, grow, shrink, least, most)


@pytest.mark.parametrize(
    ("items", "container", "gap", "lengths"),
    [
        ([item(100, 1), item(50, 1)], 300, 0, [175, 125]),
        ([item(0, 1), item(0, 1), item(0, 1)], 300, 30, [80, 80, 80]),
        ([item(0, 1), item(0, 3)], 400, 0, [100, 300]),
        ([item(200), item(100)], 240, 0, [160, 80]),  # shrinks in proportion to the base
        ([item(200, least=190), item(100)], 240, 0, [190, 50]),  # the first is frozen at its least
        ([item(0, 1, most=100), item(0, 1)], 300, 0, [100, 200]),  # at its most
        ([item(0, 0.25), item(0, 0.25)], 400, 0, [100, 100]),  # factors below 1 leave space
        ([item(0, 1, most=50), item(0, 1, least=250), item(0, 1)], 300, 0, [25, 250, 25]),  # least first, then anew
        ([item(100), item(100)], 300, 0, [100, 100]),  # nothing grows
        ([item(100, shrink=0), item(100)], 150, 0, [100, 50]),
        ([item(300, 1, most=200), item(0, 1)], 500, 0, [200, 300]),  # its base is above its most: inflexible
        ([], 100, 10, []),
    ],
)
def test_flexible_lengths_are_those_of_the_specification(
    items: list[Item], container: float, gap: float, lengths: list[float]
) -> None:
    """CSS Flexible Box Layout, 9.7, worked by hand."""
    resolve(items, container, gap)
    assert [one.length for one in items] == pytest.approx(lengths)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 200), st.sampled_from([0, 0.5, 1, 2]), st.sampled_from([0, 1, 3]), st.integers(0, 150)
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 800),
)
@examples(60)
def test_flexible_lengths_fill_the_container_or_are_held_by_a_bound(
    given_items: list[tuple[int, float, float, int]], container: int
) -> None:
    items = [item(base, grow, shrink, least, least + 100) for base, grow, shrink, least in given_items]
    resolve(items, container, 0.0)
    used = sum(one.length for one in items)
    grows = sum(one.hypothetical for one in items) < container
    factors = sum(one.grow if grows else one.shrink for one in items)
    is_held = all(one.length in (one.least, one.most) or not (one.grow if grows else one.shrink) for one in items)
    assert all(one.least - 1e-9 <= one.length <= one.most + 1e-9 for one in items)
    assert used == pytest.approx(container) or is_held or factors < 1 or grows is (used < container)


@dataclass
class Shown:
    document: Document
    cascade: Cascade
    layout: Layout

    def update(self) -> dict[Element, Rect]:
        self.cascade.update(self.document)
        self.root = self.layout.update(400.0)
        return {box.element: rect for box, rect in placed(self.root)}

    def difference(self) -> str:
        self.update()
        return first_difference(self.root, from_scratch(self.document, self.cascade, 400.0))

    def at(self, name: str) -> Rect:
        element = self.document.find(name)
        assert element is not None
        return self.update()[element]


def shown(body: str, css: str = "", **variables: Any) -> Shown:
    document, sheets = Document(), Sheets()
    for child in list(parsed(f"<body>{body}").children):
        child.parent = None
        document.insert(document.root, child)
    sheets.add(BROWSER, 0)
    sheets.add(css)
    cascade = Cascade(sheets, variables)
    return Shown(document, cascade, Layout(document, cascade))


def test_blocks_stand_below_each_other_and_margins_of_siblings_collapse() -> None:
    css = "#a { height: 30px; margin-bottom: 20px } #b { height: 10px; margin: 12px auto 0; width: 100px }"
    page = shown('<div id="a"></div><div id="b"></div>', css)
    assert page.at("a") == Rect(0.0, 0.0, 400.0, 30.0)
    assert page.at("b") == Rect(150.0, 50.0, 100.0, 10.0)


def test_words_break_to_the_next_line_where_they_do_not_fit() -> None:
    """Each word is 4 advances of 0.53 at 10 px: 21.2 px; with a space of 2.8 px two fit into 46 px and not three."""
    page = shown('<p id="p">aaaa bbbb cccc</p>', "p { margin: 0; width: 46px; font-size: 10px; line-height: 1.5 }")
    assert page.at("p").height == 30.0
    page.document.set_attribute(page.document.all_elements("p")[0], "style", "width: 80px")
    assert page.at("p").height == 15.0


def test_a_row_stretches_its_items_and_centers_where_it_is_told() -> None:
    css = ".row { display: flex; gap: 10px } #a { flex: 1; height: 50px } #b { width: 90px }"
    page = shown('<div class="row" id="r"><div id="a"></div><div id="b"></div></div>', css)
    assert page.at("a") == Rect(0.0, 0.0, 300.0, 50.0)
    assert page.at("b") == Rect(310.0, 0.0, 90.0, 50.0)
    page.cascade.sheets.add(".row { align-items: center; justify-content: center } #a { flex: none; width: 100px }")
    page.cascade.sheets.add("#b { height: 20px }")
    assert page.at("a") == Rect(100.0, 0.0, 100.0, 50.0)
    assert page.at("b") == Rect(210.0, 15.0, 90.0, 20.0)


def test_a_row_wraps_and_a_column_shares_a_height_that_is_given() -> None:
    css = """.row { display: flex; flex-wrap: wrap; gap: 10px } .row div { flex: 0 0 150px; height: 20px }
    .column { display: flex; flex-direction: column; height: 100px } #x { flex: 1 } #y { flex: 3 }"""
    page = shown(
        '<div class="row"><div id="a"></div><div id="b"></div><div id="c"></div></div>'
        '<div class="column"><div id="x"></div><div id="y"></div></div>',
        css,
    )
    assert page.at("b") == Rect(160.0, 0.0, 150.0, 20.0)
    assert page.at("c") == Rect(0.0, 30.0, 150.0, 20.0)
    assert page.at("y") == Rect(0.0, 75.0, 400.0, 75.0)


def test_an_image_has_its_natural_size_once_it_is_there_and_keeps_its_ratio() -> None:
    page = shown('<img id="i" src="x"><div id="d"></div>', "img { max-width: 50px; min-height: 10px }")
    assert page.at("d").y == 10.0
    image = page.document.find("i")
    assert image is not None
    page.document.show_picture(image, (100, 60))
    assert page.at("i") == Rect(0.0, 0.0, 50.0, 30.0)
    assert page.at("d").y == 30.0


CSS = """
.row { display: flex; gap: 7px; flex-wrap: wrap } .column { display: flex; flex-direction: column; gap: 3px }
.grows { flex: 1 1 60px } .wide { width: 50% } .tall { height: 44px } .padded { padding: 4px 6px; border: 1px #000000 }
.centered { align-items: center; justify-content: center } .gone { display: none } .large { font-size: 1.4em }
div > .large:first-child { margin: 9px } p + div { margin: 5px 0 }
.row .column { min-width: 30px } :last-child { flex-shrink: 2 }
"""
CLASSES = ("row", "column", "grows", "wide", "tall", "padded", "centered", "gone", "large", "")
PAGE = st.recursive(
    st.sampled_from(["<p>some words that go on</p>", "<img src=a width=30 height=20>", "<span>inline</span> text"]),
    lambda inside: st.tuples(st.sampled_from(CLASSES), st.lists(inside, max_size=4)).map(
        lambda one: f'<div class="{one[0]}">{"".join(one[1])}</div>'
    ),
    max_leaves=14,
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["move", "remove", "class", "picture", "text", "add"]),
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from(CLASSES),
        st.booleans(),
    ),
    max_size=8,
)


@given(PAGE, CHANGES)
@examples(50)
def test_kept_boxes_are_those_that_are_computed_from_scratch(
    html: str, changes: list[tuple[str, int, int, str, bool]]
) -> None:
    """Some changes are laid out at once, others only together with later ones."""
    page = shown(f"<div>{html}{html}</div>", CSS)
    assert page.difference() == ""
    for what, one, other, name, is_shown in changes:
        change(page.document, what, one, other, name)
        if is_shown:
            assert page.difference() == ""
    assert page.difference() == ""


def change(document: Document, what: str, one: int, other: int, name: str) -> None:
    elements = [each for each in document.root.elements() if each.tag not in ("html", "head", "body")]
    if not elements:
        return
    element, place = elements[one % len(elements)], elements[other % len(elements)]
    if what == "move" and element not in place.ancestors() and place.tag == "div":
        document.insert(place, element, place.children[other % len(place.children)] if place.children else None)
    elif what == "remove":
        document.remove(element)
    elif what == "class":
        document.set_attribute(element, "class", name)
    elif what == "picture" and element.tag == "img":
        document.show_picture(element, (20 + one, 10 + other))
    elif what == "text" and element.tag != "img":
        document.set_text(element, "other words " * (1 + other % 5))
    elif what == "add" and place.tag == "div":
        for node in parsed_fragment(f'<div class="{name}"><p>new</p></div>'):
            document.insert(place, node)


def test_a_layout_that_differs_is_told_where() -> None:
    page = shown('<div id="a"><p>words</p></div>')
    page.update()
    p = page.document.all_elements("p")[0]
    p.children = [Text("other and more")]  # behind the document's back
    assert "'words' where 'other'" in first_difference(page.root, from_scratch(page.document, page.cascade, 400.0))


def test_few_boxes_are_computed_again() -> None:
    page = shown('<div id="a"><p>one</p></div>' * 20)
    page.update()
    before = page.layout.laid_out
    page.document.set_text(page.document.all_elements("p")[7], "two")
    assert page.difference() == ""
    assert page.layout.laid_out - before == 4  # the text's element and what it is in


def edges(params: dict[str, Any], keeps: bool) -> Any:
    """The sum of all edges of a page that has been changed twice, out of kept boxes or from scratch."""
    body = f'<div class="row" id="r">{"<div class=item><p>some words go here</p><img src=a></div>" * 3}</div>'
    css = """.row { display: flex; gap: var(--gap) } .item { flex: 1 1 var(--basis) }
    p { font-size: var(--font); margin: 1em 0 }"""
    page = shown(body, css, **params)
    page.update()
    row, images = page.document.find("r"), page.document.all_elements("img")
    assert row is not None
    page.document.show_picture(images[1], (40, 30))
    page.update()
    page.document.insert(row, row.children[0])
    page.update()
    root = page.root if keeps else from_scratch(page.document, page.cascade, 400.0)
    return sum(rect.x + rect.y + rect.width + rect.height for _, rect in placed(root))


def test_derivatives_of_kept_boxes_are_those_from_scratch_and_differences() -> None:
    """Steps of 1e-4 px, in which no word changes its line and every length is linear."""
    params = {"gap": 9.0, "basis": 30.0, "font": 11.0}
    kept = detrun.gradient(lambda at: edges(at, True), params)
    anew = detrun.gradient(lambda at: edges(at, False), params)
    for name, at in params.items():
        above, below = (edges({**params, name: at + step}, True) for step in (1e-4, -1e-4))
        assert kept.grads[name] == pytest.approx(anew.grads[name], rel=1e-12, abs=1e-12)
        assert kept.grads[name] == pytest.approx((above - below) / 2e-4, rel=1e-7, abs=1e-7)
    assert kept.grads["font"] != 0.0
