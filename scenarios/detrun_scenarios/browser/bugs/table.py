"""The planted bugs by name, each as the parts of a browser that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.browser.bugs.double_fetch import DoubleFetch
from detrun_scenarios.browser.bugs.lost_dirt import LostDirt
from detrun_scenarios.browser.bugs.removed_node import RemovedNode
from detrun_scenarios.browser.bugs.stale_path import StalePath
from detrun_scenarios.browser.bugs.starving_microtask import StarvingMicrotask
from detrun_scenarios.browser.parts import Parts

BUGS: Mapping[str, Parts] = {
    "removed_node": Parts(images=RemovedNode),
    "starving_microtask": Parts(window=StarvingMicrotask),
    "lost_dirt": Parts(dirt=LostDirt),
    "stale_path": Parts(dispatcher=StalePath),
    "double_fetch": Parts(cache=DoubleFetch),
}
