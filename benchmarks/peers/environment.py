"""A virtual environment with the peers, at pinned versions, made on demand and ignored by git.

The rule: nothing is installed anywhere else. Each peer is installed by itself, so that one that cannot be had hides no
other; a failure to install is an answer and raises nothing. The interpreter is the newest that detrun and all peers
take; detrun's own dependencies are there too, so that it can be measured on the same interpreter from this checkout.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commands import complaint_of

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / ".venv-peers"
PINNED = {"frontrun": "0.7.0", "detangle": "0.1.0", "simloom": "0.5.0", "interleave-test": "0.1.0"}
DEPENDENCIES = ("trio", "msgpack", "greenlet", "click", "rich")  # detrun's, as constraints.txt pins them
VERSIONS = ("3.13", "3.12")  # simloom and interleave-test need 3.12
INSTALL_SECONDS = 180


@dataclass(slots=True)
class Peers:
    """The peers that can be run.

    Attributes:
        python: the interpreter of the environment; this one if no environment could be made.
        versions: of the packages that are there.
        missing: by package that is not there, the reason.
    """

    python: str = sys.executable
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def prepare(directory: Path = DIRECTORY) -> Peers:
    """Make the environment, or bring it up to date."""
    peers = Peers()
    python = directory / "bin" / "python"
    if not python.exists():
        made = complaint_of([_interpreter(), "-m", "venv", str(directory)], INSTALL_SECONDS)
        if made:
            peers.missing = dict.fromkeys(PINNED, f"no environment: {made}")
            return peers
    peers.python = str(python)
    present = _versions(peers.python)
    for requirement in (*_dependencies(), *(f"{name}=={version}" for name, version in PINNED.items())):
        name, _, version = requirement.partition("==")
        if present.get(_normal(name)) == version:
            continue
        print(f"installing {requirement} into {directory.name}", file=sys.stderr)
        failed = complaint_of(
            [peers.python, "-m", "pip", "install", "--quiet", "--no-input", requirement], INSTALL_SECONDS
        )
        if failed and name in PINNED:
            peers.missing[name] = failed
    present = _versions(peers.python)
    peers.versions = {name: present[name] for name in PINNED if name in present and name not in peers.missing}
    return peers


def environment() -> dict[str, str]:
    """The environment variables of a contender's process: this checkout is importable, hashes are fixed."""
    paths = (ROOT, ROOT / "scheduler", ROOT / "recorder")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONHASHSEED": "0"}


def _interpreter() -> str:
    """The first interpreter of a version that suits all peers and can make environments; this one if there is none."""
    home = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    for version in VERSIONS:
        if sys.version_info[:2] == tuple(map(int, version.split("."))):
            return sys.executable
        for candidate in (f"python{version}", *sorted(glob.glob(f"{home}/versions/{version}.*/bin/python{version}"))):
            # A pyenv shim is on PATH for versions that are not switched on, and ensurepip may be missing.
            if not complaint_of([candidate, "-c", "import ensurepip, venv"], INSTALL_SECONDS):
                return candidate
    return sys.executable


def _dependencies() -> list[str]:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    return [f"{name}=={pins[name]}" for name in DEPENDENCIES]


def _versions(python: str) -> dict[str, str]:
    code = (
        "import json; from importlib.metadata import distributions as all; "
        "print(json.dumps({one.name.lower().replace('_', '-'): one.version for one in all()}))"
    )
    listed = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return dict(json.loads(listed.stdout)) if listed.returncode == 0 else {}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
