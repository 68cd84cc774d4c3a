"""A worker goes on at its bookmark after a crash: a batch that had counted, unnoticed by it, is pushed again."""

from __future__ import annotations

from detrun_scenarios.training.loading.loader import Loader


class RepeatedBatch(Loader):
    """Trusts its bookmark."""

    def first(self, counted: int, bookmark: int | None) -> int:
        """See `Loader.first`."""
        return counted if bookmark is None else bookmark  # right: counted
