"""Rows at regular distances: what a division into more parts than there are readers leaves to nobody."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._place import Place

FEWEST = 8
"""So many gaps of one length at one distance are no accident."""


@dataclass(frozen=True, slots=True)
class Stride:
    """``length`` rows of every ``period``, beginning with row ``first`` (negative: the data begins inside a gap), of
    all the data or of each shard."""

    first: int
    length: int
    period: int
    per_shard: bool = False

    def where(self) -> str:
        """'every 3rd row, from row 2 on'."""
        if self.length == 1:
            what = f"every {_ordinal(self.period)} row"
        elif self.length == self.period - 1:
            what = f"all but every {_ordinal(self.period)} row"
        else:
            what = f"{number(self.length)} of every {number(self.period)} rows"
        return f"{what}, from row {number(max(self.first, 0))} {'of each shard ' if self.per_shard else ''}on"

    def place(self, readers: tuple[int, str]) -> Place:
        """``readers``: how many there are, of what."""
        parts = self.period // self.length if self.period % self.length == 0 else 0
        n, what = readers
        if n > 1 and n == parts - 1:
            return Place(
                f"{self.where()}: one of {number(parts)} parts, and {several(n, what)} read",
                f"divide the data by the number of readers: by {number(n)}, not by {number(parts)}",
            )
        return Place(
            self.where(),
            "look at what divides the data: a divisor too large, a part that nobody reads, a step in a slice",
        )


def stride_of(rows: RowSet, counts: SplitCounts) -> Stride | None:
    """The regular distances of these rows, over all the data or alike in each shard; None unless all of them lie so."""
    shards = counts.shards
    if shards is None or shards.selected is not None or not rows:
        return None
    whole = _regular(rows, 0, shards.n_ids)
    if whole is not None or len(shards) == 1:
        return whole
    spans = [(a, b) for a, b in zip(shards.offsets[:-1].tolist(), shards.offsets[1:].tolist(), strict=True) if b > a]
    low, high = max(spans, key=lambda span: span[1] - span[0])
    found = _regular(rows & RowSet.span(low, high), low, high)
    if found is None or rows != RowSet.union([_gaps(found, *span) for span in spans]):
        return None
    return replace(found, per_shard=True)


def _regular(rows: RowSet, low: int, high: int) -> Stride | None:
    """Gaps of one length at one distance over [low, high), but for those that its ends cut."""
    if rows.n_ranges < FEWEST:
        return None
    starts, stops = rows.starts, rows.stops
    period, length = int(starts[2] - starts[1]), int(stops[1] - starts[1])
    first, last = int(starts[1]) - period, int(starts[-1])
    inner = (np.diff(starts[1:]) == period).all() and (stops[1:-1] - starts[1:-1] == length).all()
    ends = (int(starts[0]), int(stops[0])) == (max(first, low), first + length)
    if not (inner and ends and int(stops[-1]) == min(last + length, high) and last + period >= high):
        return None
    return Stride(first - low, length, period)


def _gaps(stride: Stride, low: int, high: int) -> RowSet:
    """All rows of [low, high) at these distances, counted from ``low``."""
    starts = np.arange(low + stride.first, high, stride.period, dtype=np.int64)
    stops = np.minimum(starts + stride.length, high)
    starts = np.maximum(starts, low)
    return RowSet(starts[stops > starts], stops[stops > starts])


def strided_hole(counts: SplitCounts) -> RowSet:
    """Rows at regular distances that no complete epoch of two or more visits; nothing if those it misses do not all lie
    so. No epoch that is merely too short leaves such out."""
    epochs = [e for e in counts.complete_epochs if e.steps]
    if len(epochs) < 2 or any(e.unidentified for e in epochs):
        return RowSet.empty()
    rows = functools.reduce(lambda a, b: a & b, [e.missed for e in epochs])
    return rows if stride_of(rows, counts) is not None else RowSet.empty()


def readers_of(counts: SplitCounts) -> tuple[int, str]:
    """How many read the data side by side: ranks, else the loader workers of the one."""
    if counts.run.ranks > 1:
        return counts.run.ranks, "rank"
    workers = {w.worker for s in counts.shares for r in s.ranks for w in r.workers}
    return len(workers), "loader worker"


def _ordinal(n: int) -> str:
    """2 -> '2nd', 11 -> '11th', 23 -> '23rd'."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{number(n)}{ending}"
