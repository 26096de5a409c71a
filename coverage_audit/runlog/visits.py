"""A piece of a run log in memory: columns of visits, one writer, in recorded order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints

I32 = npt.NDArray[np.int32]
I8 = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Visits:
    """Columns of one length, as :mod:`~coverage_audit.runlog.schema` describes them.

    ``split`` indexes ``splits``. ``attempt``, ``rank`` and ``process`` are the writer's and the same throughout.
    Order: by consumption; a yield that was never consumed stands where its batch number belongs.
    """

    splits: tuple[str, ...]
    attempt: int
    rank: int
    process: int
    split: I32
    worker: I32
    fit: I32
    epoch: I32
    pass_: I32
    batch: Ints
    step: Ints
    stage: I8
    found: I8
    shard: I32
    row: Ints
    count: I32

    ARRAYS = (
        "split", "worker", "fit", "epoch", "pass_", "batch", "step", "stage", "found", "shard", "row", "count",
    )  # fmt: skip

    def __len__(self) -> int:
        return len(self.row)

    def take(self, which: slice | npt.NDArray[Any]) -> Visits:
        """The same columns, fewer records."""
        arrays = {name: getattr(self, name)[which] for name in self.ARRAYS}
        return Visits(self.splits, self.attempt, self.rank, self.process, **arrays)

    @classmethod
    def concat(cls, pieces: Sequence[Visits]) -> Visits:
        """Pieces of one writer with one tuple of split names, end to end; at least one."""
        first = pieces[0]
        arrays = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in cls.ARRAYS}
        return cls(first.splits, first.attempt, first.rank, first.process, **arrays)
