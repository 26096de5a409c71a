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


def only_value(column: npt.NDArray[Any]) -> int | None:
    """The value of a column that is kept as a single one; None for any other, whatever it holds."""
    return int(column[0]) if len(column) and column.strides == (0,) else None


@dataclass(frozen=True, slots=True)
class Visits:
    """Columns of one length, as :mod:`~coverage_audit.runlog.schema` describes them.

    ``split`` indexes ``splits``. ``attempt``, ``rank`` and ``process`` are the writer's and the same throughout.
    A column may be one value, repeated without memory of its own (:func:`only_value`): none is to be written to.
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

    def of_split(self, name: str) -> Visits:
        """Those of one split, which may be none."""
        if name not in self.splits:
            return self.take(slice(0, 0))
        index = self.splits.index(name)
        if only_value(self.split) == index:
            return self
        mine = self.split == index
        return self if mine.all() else self.take(mine)

    @classmethod
    def concat(cls, pieces: Sequence[Visits]) -> Visits:
        """Pieces of one writer with one tuple of split names, end to end; at least one."""
        first = pieces[0]
        arrays = {name: np.concatenate([getattr(p, name) for p in pieces]) for name in cls.ARRAYS}
        return cls(first.splits, first.attempt, first.rank, first.process, **arrays)
