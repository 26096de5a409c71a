"""Rows of a batch by their bytes, from a table of all rows. Identical rows share their visits in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints
from coverage_audit.sources.row_hashes import Hashes, hash_rows
from coverage_audit.sources.row_table import RowTable

Before = Callable[[], Ints | None]
"""int64 (ids,): when each row was told last by somebody else, 0 for never; None for no row at all."""


class RowIndex:
    """Sample ids out of a :class:`RowTable`.

    All rows with the same bytes are one group: its visits go round its members in ascending order, the first one to
    member ``offset`` modulo their number (so that ranks which share a group begin at different ones). Of any m visits
    in a row to a group of m, each member has one. Not thread-safe. ``before``: of who told rows of groups until now; is
    asked when it is the turn of this one, from when on nobody else does.
    """

    def __init__(self, table: RowTable, offset: int = 0, before: Before | None = None) -> None:
        self._table = table
        self._members = table.members
        self._offset = offset
        self._before = before
        self._dealt: Ints = np.zeros(table.groups, np.int64)  # visits per group; the system gives memory when written

    @property
    def table(self) -> RowTable:
        return self._table

    def rows_of(self, rows: npt.NDArray[Any]) -> Ints | None:
        """int64 (B,): the ids of the rows of a batch (B, ...); None if any of them is not in the data."""
        places = self.find(hash_rows(rows))
        return None if places is None else self.deal(places)

    def find(self, hashes: Hashes) -> Ints | None:
        """Where these rows are in the table; None if any is not. Deals nothing."""
        places = self._table.find(hashes)
        return None if len(places) and int(places.min()) < 0 else places

    def deal(self, places: Ints) -> Ints:
        """The ids of rows that were found; visits to groups are counted."""
        rows = self._table.named(places)
        in_group = np.flatnonzero(rows < 0)
        if len(in_group):
            rows[in_group] = self._deal_groups(-1 - rows[in_group])
        return rows

    def go_on_from(self, hashes: Hashes, told: Sequence[Ints]) -> None:
        """Take over from another who dealt: of the rows with each hash, these were told before, the last one first.

        Their groups go on with the others, then with the one that waited for longest.
        """
        places = self._table.find(hashes)
        groups = np.where(places >= 0, -1 - self._table.named(np.maximum(places, 0)), -1) if len(places) else places
        if np.any(groups >= 0):
            self._members = self._members.copy()
        for at in np.flatnonzero(groups >= 0).tolist():
            start, stop = self._table.group_starts[groups[at] : groups[at] + 2].tolist()
            members = self._members[start:stop]
            had = told[at][np.isin(told[at], members)][::-1]
            self._members[start:stop] = np.concatenate((members[~np.isin(members, had)], had))
            self._dealt[groups[at]] = -self._offset

    def _begin_after(self, last: Ints) -> None:
        """Groups with rows that were told go on with the others, then with the one that waited for longest."""
        sizes = np.diff(self._table.group_starts)
        group = np.repeat(np.arange(len(sizes)), sizes)
        told = last[self._members]
        self._members = self._members[np.lexsort((self._members, told, group))]
        self._dealt[np.unique(group[told > 0])] = -self._offset

    def _deal_groups(self, groups: Ints) -> Ints:
        if self._before is not None:
            last = self._before()
            self._before = None
            if last is not None:
                self._begin_after(last)
        order = np.argsort(groups, kind="stable")
        named, which, visits = np.unique(groups, return_inverse=True, return_counts=True)
        starts = np.concatenate(([0], np.cumsum(visits)[:-1]))
        nth = np.empty(len(groups), np.int64)
        nth[order] = np.arange(len(groups)) - np.repeat(starts, visits)
        begin = self._table.group_starts.take(named).astype(np.int64)
        size = self._table.group_starts.take(named + 1).astype(np.int64) - begin
        turn = (self._dealt[named][which] + nth + self._offset) % size[which]
        self._dealt[named] += visits
        return self._members.take(begin[which] + turn).astype(np.int64)
