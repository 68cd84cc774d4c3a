"""Style sheets: rules in buckets by what their rightmost part asks for, so that an element looks at few of them.

Source: buckets of Blink's ``RuleSet``; precedence: CSS Cascading and Inheritance Level 4, 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detrun_scenarios.browser.dom.nodes import Element
from detrun_scenarios.browser.style.declared import Declared, declarations_of
from detrun_scenarios.browser.style.selectors import asks_for_siblings, key_of, matches


@dataclass(frozen=True, slots=True)
class Rule:
    """One selector with its declarations.

    Attributes:
        rank: origin, specificity and order: of two rules the one with the higher rank wins.
    """

    selector: Any
    rank: tuple[int, tuple[int, int, int], int]
    declarations: tuple[tuple[str, Declared, bool], ...]


class Sheets:
    """The style sheets of one page.

    Attributes:
        version: grows with every sheet, for styles are out of date then.
        looks_at_siblings: whether a rule asks for what stands beside an element.
    """

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], list[Rule]] = {}
        self.version = 0
        self.looks_at_siblings = False

    def add(self, css: str, origin: int = 1) -> None:
        """Take in a style sheet.

        Args:
            origin: 0 for the browser's own, 1 for the page's.
        """
        import cssselect
        import tinycss2

        self.version += 1
        for block in tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True):
            if block.type != "qualified-rule":
                continue
            try:
                selectors = cssselect.parse(tinycss2.serialize(block.prelude))
            except cssselect.SelectorError:
                continue  # CSS: a rule with an invalid selector is ignored
            declarations = tuple(declarations_of(block.content))
            for one in selectors:
                order = sum(map(len, self._buckets.values()))
                rule = Rule(one.parsed_tree, (origin, one.specificity(), order), declarations)
                self.looks_at_siblings = self.looks_at_siblings or asks_for_siblings(one.parsed_tree)
                self._buckets.setdefault(key_of(one.parsed_tree), []).append(rule)

    def rules_for(self, element: Element) -> list[Rule]:
        """Those that match, the lowest rank first."""
        found = [rule for rule in self._candidates(element) if matches(element, rule.selector)]
        return sorted(found, key=lambda rule: rule.rank)

    def _candidates(self, element: Element) -> Iterator[Rule]:
        for key in (
            ("", ""),
            ("type", element.tag),
            *(("class", one) for one in dict.fromkeys(element.classes)),
            ("id", element.name),
        ):
            yield from self._buckets.get(key, ())
