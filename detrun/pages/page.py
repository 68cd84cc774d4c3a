"""One HTML file from plain data: a template of jinja2, styles and scripts inlined, the data compressed inside.

The file needs no network and works from ``file://``. Data is JSON, deflated, in base64; the page inflates it with the
browser's own ``DecompressionStream``. Every text of a program reaches the page as text, by ``textContent`` or through
jinja2's escaping, so a hostile name is shown and does nothing.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SCRIPTS = (
    "d3.min.js",
    "data.js",
    "marks.js",
    "faults.js",
    "ways.js",
    "diagram.js",
    "steps.js",
    "details.js",
    "history.js",
    "why.js",
    "kinds.js",
    "gradient.js",
    "world.js",
    "report.js",
)
_PARTS = Path(__file__).parent / "parts"


def page_of(
    title: str, document: Mapping[str, Any], template: str = "report.html.jinja", scripts: Sequence[str] = SCRIPTS
) -> str:
    """The file's text.

    Args:
        document: what the page shows, plain JSON values.
        template: of `parts`, with its scripts in the order in which they run.
    """
    import jinja2  # 25 ms, for those who want a page

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PARTS), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    data = zlib.compress(json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode(), 6)
    return environment.get_template(template).render(
        title=title,
        data=base64.b64encode(data).decode("ascii"),
        style=_part("report.css"),
        scripts=[_part(name) for name in scripts],
    )


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write the file; where it is.

    Raises:
        OSError: it cannot be written.
    """
    place = Path(path)
    place.write_text(text, encoding="utf-8")
    return place


def _part(name: str) -> str:
    return (_PARTS / name).read_text(encoding="utf-8")
