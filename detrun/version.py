"""The version of the installed detrun, and the address of the documentation, which messages point to."""

from __future__ import annotations

from detrun_recorder.header import installed_version

__version__ = installed_version("detrun") or "unknown (not installed)"

DOCUMENTATION = "https://github.com/detrun/detrun/blob/main/docs"
