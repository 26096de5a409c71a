"""A session as `coverage-audit run` has one, for scripts under test: rows are read off the batches themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coverage_audit as ca
from coverage_audit.adapters.choice import adapter_for


class Options:
    loaders: tuple[str, ...] = ()


class Session:
    """Records train with so many ``rows``, and validation if it has rows ``held_out``.

    ``rows_of`` gives the sample ids of a batch; those of the held-out data begin at ``held_out_from``.
    """

    options = Options()

    def __init__(
        self,
        log: Path,
        rows_of: Callable[[Any], Any],
        *,
        rows: int = 10_000,
        held_out: int | None = 10_000,
        held_out_from: int = 0,
    ) -> None:
        self.log = log
        self.rows_of = rows_of
        self.rows = {"train": rows} if held_out is None else {"train": rows, "validation": held_out}
        self.held_out_from = held_out_from
        self.recorders: dict[str, ca.Recorder] = {}
        self.facts: dict[str, dict[str, Any]] = {}
        self.failures: list[str] = []
        self.notes: list[str] = []

    def held_out_rows_of(self, batch: Any) -> Any:
        ids = self.rows_of(batch)
        if ids.min() < self.held_out_from:
            raise ValueError(f"row {ids.min()} is not held out")
        return ids

    def recorder(self, split: str = "train", **facts: Any) -> ca.Recorder | None:
        if split not in self.rows:
            return None
        if split not in self.recorders:
            data = ca.Dataset.of(self.rows[split], name=split)
            ids = self.rows_of if split == "train" else self.held_out_rows_of
            self.recorders[split] = ca.Recorder(self.log, data, split=split, ids=ids)
        self.facts.setdefault(split, {}).update({name: value for name, value in facts.items() if value is not None})
        return self.recorders[split]

    def wrap(self, loader: Any, split: str = "train", **facts: Any) -> Any:
        recorder = self.recorder(split, **facts)
        return loader if recorder is None else adapter_for(loader)(loader, recorder)

    def fail(self, error: BaseException) -> None:
        self.failures.append(f"{type(error).__name__}: {error}")

    def note(self, message: str) -> None:
        if message not in self.notes:
            self.notes.append(message)

    def pass_over(self, what: str, why: str) -> None:
        self.note(f"{what} is not recorded: {why}")
