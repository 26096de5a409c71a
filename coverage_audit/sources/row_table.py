"""Which rows have these bytes: hashes in order, found through a table of their first bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.model.rows import Ints, RowSet
from coverage_audit.sources.columns import MakeColumn, MemoryColumn
from coverage_audit.sources.row_hashes import Hashes

PART = 1 << 21
"""Rows that are sorted together; some 120 MB of memory while a table is made."""

COLUMNS = ("hashes", "buckets", "rows", "group_starts", "members")

_PROBES = np.arange(4, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class RowTable:
    """U different hashes of N rows. Arrays may be maps of files.

    - ``hashes``: uint64 (U,), ascending.
    - ``buckets``: (2^b + 1,), where the hashes begin whose first b bits are 0, 1, 2, …; about one hash each.
    - ``rows``: (U,), the sample id of the row with this hash; ``-1 - g`` where several rows have it: group ``g``.
    - ``group_starts``: (G + 1,), where the members of each group begin in ``members``: sample ids, ascending.
    """

    hashes: Hashes
    buckets: npt.NDArray[Any]
    rows: npt.NDArray[Any]
    group_starts: npt.NDArray[Any]
    members: npt.NDArray[Any]

    @property
    def groups(self) -> int:
        """How many groups of identical rows there are."""
        return len(self.group_starts) - 1

    @property
    def rows_in_groups(self) -> int:
        return len(self.members)

    def find(self, wanted: Hashes) -> Ints:
        """int64, one per hash: its place among ``hashes``, -1 where it is not there."""
        if not len(self.hashes):
            return np.full(len(wanted), -1, np.int64)
        bits = (len(self.buckets) - 1).bit_length() - 1
        bucket = (wanted >> np.uint64(64 - bits)).astype(np.int64)
        at = self.buckets.take(bucket).astype(np.int64)
        # An entry beyond the bucket differs in the first bits, so that it is never taken for the one that is wanted.
        same = self.hashes.take(at[:, None] + _PROBES, mode="clip") == wanted[:, None]
        probe = same.argmax(axis=1)
        hit = same[np.arange(len(wanted)), probe]
        at += probe
        if not hit.all():
            self._search_on(wanted, at, bucket, np.flatnonzero(~hit))
        # Clipped at the end: the last hash may have been found from beyond it.
        return np.minimum(at, len(self.hashes) - 1)

    def _search_on(self, wanted: Hashes, at: Ints, bucket: Ints, left: Ints) -> None:
        """Beyond the first probes, for full buckets; -1 where nothing is found."""
        end = self.buckets.take(bucket[left] + 1).astype(np.int64)
        now = at[left] + len(_PROBES)  # what was not found has probe 0
        at[left] = -1
        while True:
            on = now < end
            left, now, end = left[on], now[on], end[on]
            if not len(left):
                return
            seen = self.hashes.take(now)
            hit = seen == wanted[left]
            at[left[hit]] = now[hit]
            on = seen < wanted[left]
            left, now, end = left[on], now[on] + 1, end[on]

    def named(self, places: Ints) -> Ints:
        """int64: ``rows`` at these places."""
        return self.rows.take(places).astype(np.int64)

    def group(self, number: int) -> Ints:
        """The members of group ``number``."""
        start, stop = self.group_starts[number : number + 2].tolist()
        return self.members[start:stop].astype(np.int64)

    def limited_to(self, selected: RowSet) -> RowTable:
        """The same table for a selection: a group with selected members has no others. Singles stay as they are."""
        members = self.members.astype(np.int64)
        kept = selected.contains(members)
        starts = self.group_starts.astype(np.int64)
        sizes = starts[1:] - starts[:-1]
        group = np.repeat(np.arange(self.groups), sizes)
        any_kept = np.bincount(group[kept], minlength=self.groups) > 0
        kept |= ~any_kept[group]
        left = np.bincount(group[kept], minlength=self.groups)
        kept_starts = np.concatenate(([0], np.cumsum(left))).astype(np.int64)
        return replace(self, group_starts=kept_starts, members=members[kept])


def build_table(
    hashes: Hashes,
    numbers: Callable[[Ints], Ints],
    n_ids: int,
    column: MakeColumn = MemoryColumn,
    told: Callable[[int], None] | None = None,
) -> RowTable:
    """The table of things 0..N-1 with these hashes; thing i is the row ``numbers(i)``, ascending, below ``n_ids``.

    ``column`` makes the arrays of the table; ``told`` hears how many things were put in order. Takes about 60 bytes for
    each of those that are sorted together (:data:`PART`, more only if more than that are identical).
    """
    n = len(hashes)
    bits = max((n - 1).bit_length(), 1)
    row_type, place_type = _narrow(n_ids, np.int32, np.int64), _narrow(n, np.uint32, np.uint64)
    columns = {
        "hashes": column("hashes", np.uint64),
        "buckets": column("buckets", place_type),
        "rows": column("rows", row_type),
        "group_starts": column("group_starts", np.int64),
        "members": column("members", row_type),
    }
    columns["group_starts"].append(np.zeros(1, np.int64))
    groups = members = places = 0
    part_bits = min(max(-(-n // PART) - 1, 0).bit_length(), bits)
    for part, things in enumerate(_parts(hashes, part_bits)):
        mine = hashes[things]
        order = np.argsort(mine)
        mine, ids = mine[order], numbers(things[order])
        first = np.concatenate(([True], mine[1:] != mine[:-1])) if len(mine) else np.zeros(0, np.bool_)
        starts = np.flatnonzero(first)
        sizes = np.diff(starts, append=len(mine))
        twins = sizes > 1
        rows = ids[starts]
        rows[twins] = -1 - groups - np.arange(int(twins.sum()))
        in_group = np.repeat(twins, sizes)
        group = np.repeat(np.arange(len(starts)), sizes)[in_group]
        alike = ids[in_group]
        unique = mine[starts]
        edges = np.arange(1 << (bits - part_bits), dtype=np.uint64) + np.uint64(part << (bits - part_bits))
        columns["hashes"].append(unique)
        columns["buckets"].append(np.searchsorted(unique, edges << np.uint64(64 - bits)) + places)
        columns["rows"].append(rows)
        columns["group_starts"].append(members + np.cumsum(sizes[twins]))
        columns["members"].append(alike[np.lexsort((alike, group))])
        groups, members, places = groups + int(twins.sum()), members + len(alike), places + len(unique)
        if told is not None:
            told(len(things))
    columns["buckets"].append(np.array([places]))
    return RowTable(**{name: made.whole() for name, made in columns.items()})


def _parts(hashes: Hashes, bits: int) -> Iterator[Ints]:
    """The rows whose hashes begin with 0, with 1, … in the first ``bits`` bits."""
    if bits == 0:
        yield np.arange(len(hashes), dtype=np.int64)
        return
    for part in range(1 << bits):
        found = [
            at + np.flatnonzero(hashes[at : at + PART] >> np.uint64(64 - bits) == part)
            for at in range(0, len(hashes), PART)
        ]
        yield np.concatenate(found).astype(np.int64)


def _narrow(n: int, small: Any, large: Any) -> Any:
    return small if n < np.iinfo(np.int32).max else large
