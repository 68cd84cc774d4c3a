"""The site: a style sheet, a script, images, and pages whose texts are drawn for each run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import detrun
from detrun_scenarios.browser.workload.images import SIZES

STYLE, SCRIPT = "/site.css", "/app.script"
UNUSED_BYTES = 6_000  # of the style sheet, as most of a real one is on most pages
CSS = (
    f"""/*{"." * UNUSED_BYTES}*/"""
    + """
body { margin: 0 auto; width: 760px; font-size: var(--font); line-height: var(--leading); color: #23303d }
header { display: flex; align-items: center; gap: var(--gap); padding: 8px 0; border-color: #c8d0d8 }
header h1 { margin: 0; font-size: 1.6em; flex: 1 }
header img { width: 80px; height: 40px }
button { display: block; padding: 4px 10px; background: #2a6f97; color: #ffffff }
nav { display: none; padding: 6px; background: #eef2f5 }
nav.open { display: block }
nav a { color: #2a6f97 }
#content { display: flex; gap: var(--gap) }
aside { width: var(--column); flex-shrink: 0; padding: var(--padding); background: #f4f1ea }
aside h2, .card h2 { margin: 0 0 4px; font-size: 1.1em }
#feed { display: flex; gap: var(--gap); flex: 1 }
.column { display: flex; flex-direction: column; gap: var(--gap); flex: 1 1 0; min-width: 0 }
.card { padding: var(--padding); background: #eef2f5; border: 1px #c8d0d8 }
.card p { margin: 0 }
.card:first-child h2 { color: #c8553d }
.card img, .banner img { min-height: var(--reserved); max-width: 100% }
.card.seen { background: #dfe7ee }
.banner { padding: 6px; background: #f7d9a8 }
footer { padding: 10px 0; color: #6b7a88 }
"""
)
WORDS = (
    *(
        "the",
        "browser",
        "lays",
        "out",
        "a",
        "page",
        "of",
        "words",
        "and",
        "pictures",
        "while",
        "scripts",
        "change",
        "it",
    ),
    *("network", "is", "still", "bringing", "what", "was", "asked", "for", "some", "time", "ago", "every", "frame"),
)


def text_of(key: str, least: int, most: int) -> str:
    """Between so many words, drawn for the run."""
    count = least + int((most - least) * float(detrun.uniform(key=f"words {key}")))
    first = int(len(WORDS) * float(detrun.uniform(key=f"first word {key}")))
    return " ".join(WORDS[(first + 7 * number) % len(WORDS)] for number in range(count))


def card_of(key: str, number: int, page: int, image: int) -> dict[str, str]:
    """What a card shows."""
    return {
        "name": f"card{number}",
        "title": text_of(f"{key} title {number}", 2, 4),
        "text": text_of(f"{key} text {number}", 6, 22),
        "image": image_address(page, image),
    }


def image_address(page: int, image: int) -> str:
    """Of an image; each page has its own."""
    return f"/page/{page}/image/{image % len(SIZES)}.png"


def drawn_image(key: str) -> int:
    """The number of one."""
    return int(len(SIZES) * float(detrun.uniform(key=key)))


def page_of(number: int, cards: int) -> str:
    """A page with two columns of cards."""
    key = f"page {number}"
    first = drawn_image(f"{key} image")
    found = [card_of(key, one, number, first + one) for one in range(cards)]
    columns = "".join(
        f'<div class="column" id="column{side}">{"".join(map(html_of, found[side::2]))}</div>' for side in (0, 1)
    )
    links = "".join(f'<p><a href="/page/{one}">{text_of(f"{key} link {one}", 2, 4)}</a></p>' for one in range(3))
    image = image_address(number, first + cards)
    return f"""<!doctype html><html><head><title>page {number}</title><link rel="stylesheet" href="{STYLE}"></head>
<body><header id="top"><img src="{image}" loading="eager"><h1>{text_of(f"{key} head", 2, 4)}</h1>
<button id="menu">menu</button><button id="more">more</button></header><nav id="nav">{links}</nav>
<main id="content"><aside id="aside"><h2>about</h2><p>{text_of(f"{key} aside", 12, 30)}</p></aside>
<section id="feed">{columns}</section></main>
<footer id="foot"><p id="count">no cards yet</p></footer><script src="{SCRIPT}"></script></body></html>"""


def html_of(card: Mapping[str, str]) -> str:
    """A card as HTML."""
    return (
        f'<article class="card" id="{card["name"]}"><h2>{card["title"]}</h2><img src="{card["image"]}">'
        f"<p>{card['text']}</p></article>"
    )


def site_of(pages: int, cards: int, feeds: int, pictures: Sequence[bytes]) -> dict[str, bytes]:
    """Bodies by address, drawn for the run: so many pages, each with a feed for every time that more is asked for."""
    found: dict[str, bytes] = {STYLE: CSS.encode(), SCRIPT: b"app"}
    for number in range(pages):
        found[f"/page/{number}"] = page_of(number, cards).encode()
        found.update({image_address(number, one): body for one, body in enumerate(pictures)})
        for feed in range(feeds):
            key = f"feed {number} {feed}"
            numbers = range(100 * (feed + 1), 100 * (feed + 1) + 3)
            more = [card_of(key, one, number, drawn_image(f"{key} image {one}")) for one in numbers]
            found[f"/feed/{number}/{feed}"] = json.dumps(more).encode()
    return found
