"""Pieces of a long stream (windows of tokens, frames of a signal) found again by what they hold.

A batch has B pieces of T numbers. Where a piece begins is guessed from the reads of late, or from the anchors in an
index, and believed only if all its numbers are those of the file.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.batches import Run, Unknown
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.reads import READS, Reads
from coverage_audit.identity.scalings import as_stored
from coverage_audit.model.event import BatchRows
from coverage_audit.model.rows import Ints
from coverage_audit.sources.anchors import GRAM, Spacing, anchors_of_windows
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.indexing import Kind, entropy
from coverage_audit.sources.row_table import RowTable

Array = npt.NDArray[Any]

REMEMBERED = 1 << 17
"""Beginnings of reads that are remembered."""

PLACES = 256
"""Places at which a piece is looked for at most; one that may be in more places stays unknown."""

CERTAIN = 32
"""Bits beyond log2 of the number of places that a piece must hold, so that chance explains no match (2^-32)."""

_ANCHORS = 8
_CHANGES = 4


class Streams:
    """The 1-D shards of a dataset. Not thread-safe; :meth:`close` it.

    Equal pieces at several places share their visits in turn, places that were never told first.
    """

    def __init__(
        self, declared: Declared, contents: Contents, kinds: Sequence[Kind], offset: int = 0, reads: Reads = READS
    ) -> None:
        self._offsets = declared.offsets
        self._declared = declared
        self._contents = contents
        self._kinds = tuple(kinds)
        self._offset = offset
        self._reads = reads
        self._serial = 0
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        self._begin_with: dict[bytes, dict[int, None]] = {}
        self._anchors: tuple[RowTable, Spacing] | None = None
        self._turn = 0
        self._told: dict[int, int] = {}
        self._bits: float | None = None
        self.dtypes = tuple(dict.fromkeys(k.dtype for k in kinds if k.is_stream and k.is_indexed))
        """Types of the streams, one each."""
        reads.listeners += 1

    def close(self) -> None:
        """Nothing more is to be remembered for this one."""
        self._reads.listeners -= 1

    def use(self, anchors: RowTable, spacing: Spacing) -> None:
        """Look for pieces by these anchors too."""
        self._anchors = anchors, spacing

    def pieces_of(self, leaf: Array) -> Array | Unknown | None:
        """(B, T) numbers as stored; None if the array cannot be pieces of a stream, Unknown if they say too little."""
        rows = leaf.reshape(1, -1) if leaf.ndim == 1 else leaf.reshape(len(leaf), -1)
        if rows.shape[1] < GRAM or not rows.size:
            return None
        for dtype in self.dtypes:
            stored = as_stored(rows, dtype)
            if stored is not None:
                break
        else:
            return None
        stored = np.ascontiguousarray(stored)
        bits = stored.shape[1] * self._entropy()
        if bits < math.log2(max(int(self._offsets[-1]), 2)) + CERTAIN:
            reason = "pieces of the stream are too short to be told by what they hold"
            return Unknown(leaf.size, reason, f"{stored.shape[1]} numbers, {bits:.0f} bits")
        if int((stored[:, 1:] != stored[:, :-1]).sum(axis=1).max()) < _CHANGES:
            return Unknown(leaf.size, "the pieces are constant, which says nothing about where they are from")
        return stored

    def find_recent(self, pieces: Array) -> BatchRows | None:
        """Where the pieces are among what was read lately; None if any is not there."""
        self._refresh()
        n, length = pieces.shape
        keys = [row[: GRAM * pieces.itemsize] for row in _bytes_of(pieces)]
        found = [self._begin_with.get(key) for key in keys]
        guesses = [(at, start) for at, starts in enumerate(found) if starts is not None for start in starts]
        valid = self._verified(pieces, guesses)
        missing = [at for at in range(n) if not valid[at]]
        if len(missing) == n:
            return None
        if missing:  # pieces cut out of one long read, one after the other
            known = [at for at in range(n) if valid[at]]
            before = np.searchsorted(known, missing) - 1
            nearest = [known[max(at, 0)] for at in before.tolist()]
            more = self._verified(
                pieces, [(at, valid[k][0] + (at - k) * length) for at, k in zip(missing, nearest, strict=True)]
            )
            valid = [a or b for a, b in zip(valid, more, strict=True)]
        return self._dealt(valid, length)

    def find_indexed(self, pieces: Array) -> BatchRows | Unknown | None:
        """Where the pieces are in the streams; None if any is in none, Unknown if that cannot be told."""
        assert self._anchors is not None
        table, spacing = self._anchors
        n, length = pieces.shape
        if length < spacing.shortest:
            reason = "pieces of the stream are too short for its anchors"
            return Unknown(pieces.size, reason, f"{length} numbers, {spacing.shortest} are needed")
        offsets, keys = anchors_of_windows(pieces, spacing, _ANCHORS)
        places = table.find(keys.reshape(-1)).reshape(keys.shape)
        if int(places.min()) < 0:
            return None
        rows = table.named(places.reshape(-1)).reshape(keys.shape)
        guesses: list[tuple[int, int]] = []
        for at in range(n):
            single = np.flatnonzero(rows[at] >= 0)
            if len(single):
                guesses.append((at, int(rows[at, single[0]] - offsets[at, single[0]])))
                continue
            groups = [table.group(-1 - int(row)) for row in rows[at]]
            rarest = min(range(len(groups)), key=lambda one: len(groups[one]))
            if len(groups[rarest]) > PLACES:
                reason = "a piece of the stream may be in too many places"
                return Unknown(pieces.size, reason, f"{len(groups[rarest]):,}")
            guesses += [(at, start) for start in (groups[rarest] - offsets[at, rarest]).tolist()]
        valid = self._verified(pieces, guesses)
        return self._dealt([_rotated(starts, self._offset) for starts in valid], length)

    def _refresh(self) -> None:
        reads = self._reads.since(self._serial)
        if not reads:
            return
        self._serial = reads[-1].serial
        starts: list[int] = []
        for read in reads:
            told = self._declared.tell(read.rows)
            if told is None:
                continue
            if isinstance(told.rows, Run):
                starts += self._beginnings(told.rows.shard, told.rows.row, told.rows.length)
            elif isinstance(told.rows, BatchRows) and told.rows.runs is not None:
                for shard, row, length in told.rows.runs.tolist():
                    starts += self._beginnings(shard, row, length)
        starts = [start for start in dict.fromkeys(starts[-REMEMBERED:]) if start not in self._recent]
        if starts:
            for start, key in zip(starts, _bytes_of(self._numbers(np.array(starts), GRAM)), strict=True):
                self._recent[start] = key
                self._begin_with.setdefault(key, {})[start] = None
        while len(self._recent) > REMEMBERED:
            start, key = self._recent.popitem(last=False)
            del self._begin_with[key][start]
            if not self._begin_with[key]:
                del self._begin_with[key]

    def _beginnings(self, shard: int, row: int, length: int) -> list[int]:
        """Where a piece may begin in a read: at its start, or one later (what is to be predicted)."""
        if length < GRAM or not self._is_stream(shard):
            return []
        start = int(self._offsets[shard]) + row
        return [start] if length == GRAM else [start, start + 1]

    def _is_stream(self, shard: int) -> bool:
        kind = self._kinds[shard]
        return kind.is_stream and kind.is_indexed

    def _verified(self, pieces: Array, guesses: Sequence[tuple[int, int]]) -> list[list[int]]:
        """Per piece the guessed starts at which the file holds exactly this piece."""
        valid: list[list[int]] = [[] for _ in range(len(pieces))]
        length = pieces.shape[1]
        if not guesses:
            return valid
        at, starts = np.array(guesses, np.int64).T
        shards = np.searchsorted(self._offsets, starts, side="right") - 1
        inside = (starts >= 0) & (starts < self._offsets[-1])
        inside &= starts + length <= self._offsets[np.minimum(shards + 1, len(self._offsets) - 1)]
        inside &= np.array(
            [0 <= s < len(self._kinds) and self._kinds[s].dtype == pieces.dtype for s in shards.tolist()]
        )
        at, starts = at[inside], starts[inside]
        step = max((1 << 24) // pieces[0].nbytes, 1)
        for first in range(0, len(at), step):
            here = at[first : first + step]
            seen = _bytes_of(self._numbers(starts[first : first + step], length))
            wanted = _bytes_of(pieces)
            for piece, start, held in zip(here.tolist(), starts[first : first + step].tolist(), seen, strict=True):
                if held == wanted[piece]:
                    valid[piece].append(start)
        return valid

    def _numbers(self, starts: Ints, length: int) -> Array:
        """(n, length): the streams from each of these sample ids on, none of them across the end of a shard."""
        shards = np.searchsorted(self._offsets, starts, side="right") - 1
        within = np.arange(length)
        out: Array | None = None
        for shard in np.unique(shards).tolist():
            kind = self._kinds[shard]
            mine = shards == shard
            rows = (starts[mine] - self._offsets[shard])[:, None] + within
            held = self._contents.read(shard, rows.reshape(-1), kind.member).reshape(-1, length)
            if out is None:
                out = np.empty((len(starts), length), kind.dtype)
            out[mine] = held
        assert out is not None
        return out

    def _dealt(self, valid: Sequence[list[int]], length: int) -> BatchRows | None:
        """One start for each piece; None if one has none."""
        if not all(valid):
            return None
        starts = np.empty(len(valid), np.int64)
        for at, places in enumerate(valid):
            start = places[0]
            if len(places) > 1:
                start = min(places, key=lambda place: self._told.get(place, -1))
                self._turn += 1
                self._told[start] = self._turn
            starts[at] = start
        shards = np.searchsorted(self._offsets, starts, side="right") - 1
        runs = np.stack((shards, starts - self._offsets[shards], np.full(len(starts), length, np.int64)), axis=1)
        return BatchRows(len(starts) * length, runs=runs.astype(np.int64))

    def _entropy(self) -> float:
        if self._bits is None:
            streams = [shard for shard in range(len(self._kinds)) if self._is_stream(shard)]
            self._bits = min((entropy(self._contents, self._kinds, shard) for shard in streams[:4]), default=0.0)
        return self._bits


def _bytes_of(rows: Array) -> list[bytes]:
    """Each row of a C-contiguous (n, T) as bytes."""
    whole = rows.tobytes()
    size = rows.shape[1] * rows.itemsize
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def _rotated(places: list[int], offset: int) -> list[int]:
    turn = offset % max(len(places), 1)
    return places[turn:] + places[:turn]
