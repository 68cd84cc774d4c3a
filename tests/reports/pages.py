"""A page's data, read back as a browser reads it."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

DATA = re.compile(r'<script id="data" type="application/octet-stream">([^<]*)</script>')


def data_of(page: str) -> dict[str, Any]:
    """What the page shows."""
    found = DATA.search(page)
    assert found is not None
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(found.group(1))))
    return data
