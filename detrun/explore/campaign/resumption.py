"""Saved campaigns, which go on where they stopped: the results so far, and what the strategy has learnt.

One file a campaign, ``campaigns/NAME-KEY``, where KEY is a hash of all that decides what its schedules do: the target,
its source file, the strategy, the seed and the limits. A changed program is a new campaign. The file is text, a Python
literal under a line with the format and a checksum: reading it executes nothing, and no damage to it is
taken for a campaign. It is written after every epoch, whole or not at all, by one process at a time: a second one that
resumes the campaign meanwhile goes on from what is saved and saves nothing.
"""

from __future__ import annotations

import ast
import dataclasses
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from detrun.checkers.assertions import Tally
from detrun.explore.campaign.coverage import Coverage
from detrun.explore.campaign.failed_schedule import FailedSchedule, FailureKind
from detrun.explore.campaign.grains import Grain
from detrun.explore.campaign.interruptibility import Interruptibility
from detrun.explore.campaign.pieces import Report
from detrun.explore.campaign.program import slug
from detrun_recorder.shared_files import held, write_whole
from detrun_scheduler.errors import UsageError

FIRST_LINE = "detrun campaign, format 6"
BYTES_MAX = 1 << 28
_FIRST = ("index", "seed", "schedule", "error", "steps", "signature")  # what is kept of a failed schedule


@dataclass(frozen=True, slots=True)
class SavedCampaign:
    """Where a campaign is kept.

    Args:
        deciding: everything that decides what its schedules do; compared by ``repr``.
    """

    directory: Path
    target: str
    deciding: tuple[Any, ...]

    @property
    def path(self) -> Path:
        """The file."""
        key = blake2b(repr((self.target, self.deciding)).encode(), digest_size=6).hexdigest()
        return self.directory / "campaigns" / f"{slug(self.target)}-{key}"

    def held(self) -> AbstractContextManager[bool]:
        """Keep other processes from writing the file; False: another holds it already."""
        return held(self.path.with_name(f".{self.path.name}.lock"))

    def save(self, report: Report, knowledge: Any) -> None:
        """Write down what is known after an epoch.

        Raises:
            UsageError: the directory cannot be written.
        """
        plain = dataclasses.asdict(knowledge) if dataclasses.is_dataclass(knowledge) else knowledge  # type: ignore[arg-type]
        content = {
            "schedules": report.schedules,
            "steps": report.steps,
            "choices_most": report.choices_most,
            "behaviours": report.coverage.behaviours,
            "operations": sorted(report.coverage.operations),
            "interrupted": report.interrupted.pack(),
            "assertions": report.assertions.pack(),
            "kinds": [
                (
                    kind.count,
                    kind.is_ignored,
                    *(getattr(kind.first, name) for name in _FIRST),
                    _packed(kind.first.grain),
                )
                for kind in report.kinds.values()
            ],
            "knowledge": plain,
        }
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            packed = f"{content!r}\n".encode()
            write_whole(path, [f"{FIRST_LINE}, {_checksum(packed)}\n".encode(), packed])
        except OSError as error:
            raise UsageError(
                f"cannot keep the campaign in {path.parent}: {error.strerror or error}; pass another directory, or "
                "resume=False"
            ) from error

    def load(self) -> tuple[Report, Any] | None:
        """What was known when it was saved, and the strategy's knowledge; None if there is nothing saved.

        Raises:
            UsageError: the file is damaged.
        """
        path = self.path
        try:
            with open(path, "rb") as file:
                whole = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"cannot read the campaign in {path}: {error.strerror or error}; delete it") from error
        line, _, packed = whole.partition(b"\n")
        first, _, checksum = line.rpartition(b", ")
        try:
            if first != FIRST_LINE.encode() or len(whole) > BYTES_MAX:
                raise ValueError("not a campaign of this version")
            if checksum != _checksum(packed).encode():
                raise ValueError("its checksum does not hold")
            content = ast.literal_eval(packed.decode())
            behaviours, operations = dict(content["behaviours"]), set(content["operations"])
            report = Report(
                0,
                schedules=int(content["schedules"]),
                steps=int(content["steps"]),
                choices_most=int(content["choices_most"]),
                coverage=Coverage(int(content["schedules"]), behaviours, operations),
                interrupted=Interruptibility.unpack(content["interrupted"]),
                assertions=Tally.unpack(content["assertions"]),
            )
            for count, is_ignored, *first_failed, grain in content["kinds"]:
                known = dict(zip(_FIRST, first_failed, strict=True))
                found = FailedSchedule(**known, grain=None if grain is None else Grain(**grain))
                report.kinds[found.signature] = FailureKind(found, count, is_ignored)
            return report, content["knowledge"]
        except (ValueError, SyntaxError, TypeError, LookupError, AttributeError, RecursionError, MemoryError) as error:
            raise UsageError(f"{path} does not hold a campaign ({error}); delete it to start anew") from error


def _packed(grain: Grain | None) -> dict[str, Any] | None:
    return None if grain is None else dataclasses.asdict(grain)


def _checksum(packed: bytes) -> str:
    return blake2b(packed, digest_size=8).hexdigest()
