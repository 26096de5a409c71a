"""Who saw what of an epoch: each rank, each loader worker, and which rows more than one of them saw. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coverage_audit.model.rows import RowSet


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """What one loader worker gave its rank in one epoch, consumed batches only.

    ``process`` is the writer that recorded it, ``worker`` the loader's number for it (-1: the process itself).
    """

    process: int
    worker: int
    batches: int
    visits: int
    unique: int
    smallest: int
    """Rows of its smallest batch."""


@dataclass(frozen=True, slots=True)
class RankShare:
    """What one rank saw in one epoch.

    ``steps``: batches it consumed. ``by_workers``: k -> rows that exactly k of its workers gave. A visit is a rank's
    first of the row, or one more by another worker, or one more by the same: ``surplus`` counts the last two.
    """

    rank: int
    steps: int
    visits: int
    unique: int
    workers: tuple[WorkerShare, ...]
    by_workers: Mapping[int, int]

    @property
    def surplus(self) -> int:
        return self.visits - self.unique

    @property
    def shared(self) -> int:
        """Surplus visits because several workers gave the row."""
        return sum((k - 1) * rows for k, rows in self.by_workers.items())


@dataclass(frozen=True, slots=True)
class EpochShare:
    """One epoch as one attempt's ranks divided it among themselves.

    ``by_ranks``: k -> rows that exactly k ranks saw. ``of_ranks``: rows that two or more ranks saw; ``of_workers``:
    rows that two or more workers of one rank gave. ``last``: rows of the last batch each worker gave.
    """

    epoch: int
    attempt: int
    ranks: tuple[RankShare, ...]
    by_ranks: Mapping[int, int]
    of_ranks: RowSet = field(default_factory=RowSet.empty)
    of_workers: RowSet = field(default_factory=RowSet.empty)
    last: RowSet = field(default_factory=RowSet.empty)

    @property
    def unique(self) -> int:
        """Rows that any rank saw."""
        return sum(self.by_ranks.values())

    @property
    def visits(self) -> int:
        return sum(r.visits for r in self.ranks)

    @property
    def shared(self) -> int:
        """Surplus visits because several ranks saw the row."""
        return sum((k - 1) * rows for k, rows in self.by_ranks.items())


@dataclass(frozen=True, slots=True)
class SharedRows:
    """Rows of a split that another one, ``split``, visited too. ``comparable``: whether the two have shards of which it
    is known that they are the same."""

    split: str
    rows: RowSet = field(default_factory=RowSet.empty)
    comparable: bool = True
