"""`Parts`: the classes that a browser is put together from; a planted bug replaces one of them."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.browser.dom.dirt import Dirt
from detrun_scenarios.browser.dom.events import Dispatcher
from detrun_scenarios.browser.network.cache import Cache
from detrun_scenarios.browser.network.images import ImageLoader
from detrun_scenarios.browser.scripting.window import Window


@dataclass(frozen=True, slots=True)
class Parts:
    """See the module."""

    dirt: type[Dirt] = Dirt
    dispatcher: type[Dispatcher] = Dispatcher
    cache: type[Cache] = Cache
    images: type[ImageLoader] = ImageLoader
    window: type[Window] = Window


RIGHT = Parts()
