"""Check that a release has one number: in pyproject.toml, the changelog's newest section and the tag of this commit.

Everything else about the release is in the wheel and the sdist: `check_wheel.py`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def complaints(version: str, changelog: str, tags: list[str], changed: list[str]) -> list[str]:
    """What is wrong; ``tags`` are those of this commit, ``changed`` the files that differ from it."""
    found = []
    _, *parts = SECTION.split(changelog)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    if sections.pop("Unreleased", "").strip():
        found.append(f"CHANGELOG.md has notes under Unreleased: move them under `## {version} (YYYY-MM-DD)`")
    newest = next(iter(sections), "none")
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", newest):
        found.append(f"pyproject.toml says version {version}, the newest section of CHANGELOG.md is: {newest}")
    if f"v{version}" not in tags:
        found.append(f"this commit has no tag v{version}, its tags are: {', '.join(tags) or 'none'}")
    if changed:
        found.append(f"these files differ from the commit: {', '.join(changed)}")
    return found


def _git(*arguments: str) -> list[str]:
    output = subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return output.splitlines()


def main() -> int:
    """Print what is wrong; 0 if nothing is."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changed = [line[3:] for line in _git("status", "--porcelain")]
    found = complaints(version, (ROOT / "CHANGELOG.md").read_text(), _git("tag", "--points-at", "HEAD"), changed)
    for complaint in found:
        print(f"release-check: {complaint}", file=sys.stderr)
    if not found:
        print(f"release-check: version, changelog and tag say {version}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
