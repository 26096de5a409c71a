"""Rows recognised by their bytes among those that were read lately.

Reads are only noted; their rows are looked up in the files and hashed when a batch asks for them, each once. About the
last million rows are remembered: two dictionaries, of which the older one is forgotten when the newer one is full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from coverage_audit.identity.agreement import ids_in
from coverage_audit.identity.batches import Answer, Run
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.reads import READS, Reads, gather
from coverage_audit.model.event import BatchRows
from coverage_audit.model.rows import Ints, RowSet
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.indexing import Kind
from coverage_audit.sources.row_hashes import Hashes, hash_rows

REMEMBERED = 1 << 20
"""Rows that are remembered at least, provided so many were read; twice as many at most (some 100 bytes each)."""

AT_ONCE = 1 << 28
"""Bytes read back when a batch asks; of more, the newest reads."""

_BLOCK = 1 << 24

Group = OrderedDict[int, None]
"""Rows with the same bytes, in the order in which their next visits are told."""

Entry = int | Group


class Candidates:
    """What was told to ``reads``, by its bytes. Not thread-safe; :meth:`close` it.

    Identical rows share their visits in turn: a row that was never told comes first, then the one that waited for
    longest; ``offset`` rotates those that were never told. ``selected``: if some of the identical rows are in this set,
    the others are not meant.
    """

    def __init__(
        self,
        declared: Declared,
        contents: Contents,
        kinds: tuple[Kind, ...],
        offset: int = 0,
        selected: RowSet | None = None,
        reads: Reads = READS,
    ) -> None:
        self._declared = declared
        self._contents = contents
        self._kinds = kinds
        self._offset = offset
        self._selected = selected
        self._reads = reads
        self._serial = 0
        self._young: dict[int, Entry] = {}
        self._old: dict[int, Entry] = {}
        n = int(declared.offsets[-1])
        self._in_young = np.zeros(n, np.bool_)  # the system gives memory when written
        self._told = np.zeros(n, np.bool_)
        self.hashed = 0
        """Rows that were looked up so far."""
        self._groups: dict[int, Group] = {}
        reads.listeners += 1

    def close(self) -> None:
        """Nothing more is to be remembered for this one."""
        self._reads.listeners -= 1

    @property
    def groups(self) -> int:
        """Groups of identical rows that have come to light."""
        return len(self._groups)

    @property
    def rows_in_groups(self) -> int:
        return sum(len(group) for group in self._groups.values())

    def find(self, hashes: Hashes) -> list[Entry] | None:
        """What is remembered of these rows, for :meth:`deal`; None if any is not."""
        wanted = hashes.tolist()
        young = self._young.get
        found = [young(h) for h in wanted]
        if None in found:
            old = self._old.get
            found = [old(h) if entry is None else entry for h, entry in zip(wanted, found, strict=True)]
        known = [entry for entry in found if entry is not None]
        return known if len(known) == len(found) else None

    def deal(self, found: list[Entry]) -> Ints:
        """The ids of rows that were found."""
        ids = np.array([entry if entry.__class__ is int else _next(entry) for entry in found], np.int64)
        self._told[ids] = True
        return ids

    def told(self) -> Iterator[tuple[Hashes, list[Ints]]]:
        """(hashes, for each the rows with it that were told, the last one first): of single rows, then of groups."""
        entries = self._old | self._young
        single = {h: entry for h, entry in entries.items() if isinstance(entry, int)}
        rows = np.fromiter(single.values(), np.int64, len(single))
        told = self._told[rows]
        yield np.fromiter(single, np.uint64, len(single))[told], list(rows[told, None])
        members = [np.array(list(reversed(group)), np.int64) for group in self._groups.values()]
        yield np.fromiter(self._groups, np.uint64, len(members)), [rows[self._told[rows]] for rows in members]

    def refresh(self) -> None:
        """Look up what was read since the last time. Raises :class:`DatasetError` if the files cannot be read."""
        reads = self._reads.since(self._serial)
        if not reads:
            return
        self._serial = reads[-1].serial
        wanted: list[Ints] = []
        room = AT_ONCE
        for rows in gather(reads):
            told = self._declared.tell(rows)
            if told is None or not self._holds_rows(told.rows):
                continue
            ids = np.unique(ids_in(self._declared, told.rows))
            ids = ids[~self._in_young[ids]]
            room -= self._bytes(ids)
            if room < 0 or sum(map(len, wanted)) + len(ids) > REMEMBERED:
                break
            self._in_young[ids] = True
            wanted.append(ids)
        for ids in reversed(wanted):
            self._look_up(ids)

    def _holds_rows(self, rows: Answer) -> bool:
        """Whether these are not numbers of a stream, nor more rows than can be remembered."""
        if isinstance(rows, Run):
            return rows.length <= REMEMBERED and not self._kinds[rows.shard].is_stream
        if isinstance(rows, BatchRows) and rows.runs is not None:
            return rows.count <= REMEMBERED and not any(self._kinds[shard].is_stream for shard in rows.runs[:, 0])
        return True

    def _bytes(self, ids: Ints) -> int:
        if not len(ids):
            return 0
        first = int(np.searchsorted(self._declared.offsets, ids[0], side="right")) - 1
        return len(ids) * self._kinds[first].row_bytes

    def _look_up(self, ids: Ints) -> None:
        """Ascending ids -> dictionary."""
        offsets = self._declared.offsets
        edges = np.searchsorted(ids, offsets)
        for shard in np.flatnonzero(np.diff(edges)).tolist():
            kind = self._kinds[shard]
            if kind.is_stream or not kind.is_indexed:
                continue
            mine = ids[edges[shard] : edges[shard + 1]]
            step = max(_BLOCK // kind.row_bytes, 1)
            for at in range(0, len(mine), step):
                part = mine[at : at + step]
                self._add(hash_rows(self._contents.read(shard, part - offsets[shard], kind.member)), part)
        if len(self._young) >= REMEMBERED:
            self._old, self._young = self._young, {}
            self._in_young[:] = False

    def _add(self, hashes: Hashes, ids: Ints) -> None:
        self.hashed += len(ids)
        young, old = self._young, self._old
        for h, row in zip(hashes.tolist(), ids.tolist(), strict=True):
            entry = young.get(h)
            if entry is None:
                entry = old.get(h)
                if entry is None:
                    young[h] = row
                    continue
            young[h] = self._joined(h, entry, row)

    def _joined(self, h: int, entry: Entry, row: int) -> Entry:
        """``entry`` with one row more that has the same bytes."""
        if isinstance(entry, int):
            if entry == row:
                return entry
            kept = self._meant((entry, row))
            if len(kept) == 1:
                return kept[0]
            group = Group.fromkeys(sorted(kept, key=lambda one: (bool(self._told[one]), one)))
            waiting = [one for one in group if not self._told[one]]
            for one in waiting[: self._offset % max(len(waiting), 1)]:
                if len(waiting) == len(group):
                    group.move_to_end(one)
            self._groups[h] = group
            return group
        if row not in entry:
            kept = self._meant((*entry, row))
            if len(kept) <= len(entry):
                for one in [one for one in entry if one not in kept]:
                    del entry[one]
            if row in kept:
                entry[row] = None
                entry.move_to_end(row, last=bool(self._told[row]))
        return entry

    def _meant(self, rows: Iterable[int]) -> list[int]:
        every = list(rows)
        if self._selected is None:
            return every
        return [one for one, here in zip(every, self._selected.contains(every), strict=True) if here] or every


def _next(group: Any) -> int:
    row: int = next(iter(group))
    group.move_to_end(row)
    return row
