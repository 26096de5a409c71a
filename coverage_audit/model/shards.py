"""The denominator as a value: ordered shards, their row counts, and sample ids."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints, RowSet

MANY = 1 << 12
"""Ids from which on looking them up together is worth a table."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A named unit of the data with a row count. ``bytes`` and ``modified_ns`` are None for arrays."""

    name: str
    rows: int
    bytes: int | None = None
    modified_ns: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class Shards:
    """An ordered list of shards; ``selected`` limits which sample ids are expected (None: all)."""

    items: tuple[Shard, ...]
    selected: RowSet | None = field(default=None)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Shard]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Shard:
        return self.items[index]

    @cached_property
    def offsets(self) -> Ints:
        """int64, len(self)+1: sample id of each shard's row 0, then the number of ids."""
        return np.concatenate(([0], np.cumsum([s.rows for s in self.items], dtype=np.int64))).astype(np.int64)

    @property
    def n_ids(self) -> int:
        """How many sample ids exist, selected or not."""
        return int(self.offsets[-1])

    @property
    def rows(self) -> int:
        """N: how many rows are expected (all, or the selected ones)."""
        return self.n_ids if self.selected is None else len(self.selected)

    @property
    def expected(self) -> RowSet:
        """The sample ids that count as the denominator."""
        return RowSet.span(0, self.n_ids) if self.selected is None else self.selected

    @cached_property
    def expected_per_shard(self) -> Ints:
        """int64, len(self): how many expected rows each shard has."""
        return self.count_per_shard(self.expected)

    def count_per_shard(self, rows: RowSet) -> Ints:
        """int64, len(self): how many of ``rows`` (inside 0..n_ids-1) lie in each shard."""
        if not len(self.items):
            return np.zeros(0, np.int64)
        return rows.counts_between(self.offsets)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over names, row counts and file sizes; not over modification times or the selection."""
        facts = [[s.name, s.rows, s.bytes] for s in self.items]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()

    def locate(self, ids: npt.ArrayLike) -> tuple[npt.NDArray[np.int32], Ints]:
        """Sample ids -> (shard int32, row int64); shard -1 and the raw id where outside 0..n_ids-1."""
        values = np.asarray(ids, np.int64)
        outside = (values < 0) | (values >= self.n_ids)
        if outside.any():
            shard = self._shards_at(np.where(outside, 0, values)) if self.n_ids else np.empty(values.shape, np.int32)
            shard[outside] = -1
            return shard, np.where(outside, values, values - self.offsets[np.maximum(shard, 0)])
        shard = self._shards_at(values)
        return shard, values - self.offsets.take(shard)

    def _shards_at(self, ids: Ints) -> npt.NDArray[np.int32]:
        """The shard of each id, all of them in 0..n_ids-1."""
        if ids.size < MANY or self._buckets is None:
            return (np.searchsorted(self.offsets, ids, side="right") - 1).astype(np.int32)
        bits, first = self._buckets
        shard = first.take(ids >> bits)
        shard += ids >= self.offsets[1:].take(shard)
        return shard

    @cached_property
    def _buckets(self) -> tuple[int, npt.NDArray[np.int32]] | None:
        """(bits, the shard of each id that is a multiple of 2^bits), at most 2^16 of them.

        None if a bucket of 2^bits ids touches more than two shards. A look into this table is five times faster than
        a binary search.
        """
        bits = max(self.n_ids.bit_length() - 16, 0)
        starts = np.arange(0, self.n_ids, 1 << bits, dtype=np.int64)
        last = np.minimum(starts + (1 << bits), self.n_ids) - 1
        first, end = (np.searchsorted(self.offsets, at, side="right") - 1 for at in (starts, last))
        return None if np.any(end - first > 1) else (bits, first.astype(np.int32))

    def ids(self, shard: npt.ArrayLike, row: npt.ArrayLike) -> Ints:
        """(shard, row) -> sample ids, without a range check."""
        return self.offsets[np.asarray(shard, np.int64)] + np.asarray(row, np.int64)

    def pieces(self, rows: RowSet, limit: int | None = None) -> list[tuple[str, int, int]]:
        """``rows`` cut at shard boundaries: the first ``limit`` as (shard name, start, stop), half-open."""
        out: list[tuple[str, int, int]] = []
        for first, stop in rows.ranges():
            start = first
            at = int(np.searchsorted(self.offsets, start, side="right")) - 1
            while start < stop:
                if limit is not None and len(out) == limit:
                    return out
                low, high = int(self.offsets[at]), int(self.offsets[at + 1])
                end = min(stop, high)
                if end > start:
                    out.append((self.items[at].name, start - low, end - low))
                start, at = max(end, start), at + 1
        return out

    def n_pieces(self, rows: RowSet) -> int:
        """How many entries :meth:`pieces` would have without a limit."""
        first = np.searchsorted(self.offsets, rows.starts, side="right")
        last = np.searchsorted(self.offsets, rows.stops, side="left")
        full = [int(b - a + 1) for a, b in zip(first, last, strict=True)]
        if all(s.rows for s in self.items):
            return sum(full)
        return len(self.pieces(rows))

    def to_json(self) -> list[dict[str, Any]]:
        """The shards as plain values; the selection is kept by whoever selected."""
        return [
            {"name": s.name, "rows": s.rows, "bytes": s.bytes, "modified_ns": s.modified_ns, "group": s.group}
            for s in self.items
        ]

    @classmethod
    def from_json(cls, items: list[dict[str, Any]], selected: RowSet | None = None) -> Shards:
        return cls(tuple(Shard(**item) for item in items), selected)
