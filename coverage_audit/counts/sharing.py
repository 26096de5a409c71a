"""Visits -> which rank and which loader worker saw which rows, an epoch at a time.

While a rank's part of an epoch is read there is one bit per row and worker (one byte a row for up to eight workers),
and over the ranks one counter per row (two bytes); at the end of the rank, and of the epoch, they become numbers and
row sets. So memory does not grow with the ranks nor with the length of the run. One writer whose batches name no worker
needs none of it.

The parts must come rank by rank (:func:`~coverage_audit.counts.local.count_split` merges them so). If a rank comes
again after another one, or the first worker is named in the middle of an epoch, nothing is said of that epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.shares import EpochShare, RankShare, WorkerShare
from coverage_audit.counts.tracker import Piece
from coverage_audit.counts.unfinished import NONE
from coverage_audit.model.rows import Ints, Mask, RowSet
from coverage_audit.model.run import Writer

CHUNK = 1 << 18
"""Rows that are turned from bits into numbers at once."""

_VALUES = np.arange(256, dtype=np.uint8)
BITS: npt.NDArray[np.uint8] = np.unpackbits(_VALUES[:, None], axis=1, bitorder="little")
"""(256, 8): which bits a byte has."""
POPCOUNT: npt.NDArray[np.uint8] = BITS.sum(axis=1, dtype=np.uint8)
_ONE = np.uint8(1)

Bytes = npt.NDArray[np.uint8]


@dataclass(slots=True)
class _Worker:
    """One worker's part of what is being read. ``bit``: its number among its rank's workers."""

    bit: int
    batches: int = 0
    visits: int = 0
    smallest: int = -1
    last: Ints = field(default_factory=lambda: NONE)


class Sharing:
    """Takes the pieces of every stream; :meth:`finish` gives the shares of the epoch that ends there."""

    def __init__(self, n_ids: int, writers: Sequence[Writer]) -> None:
        self._n_ids = n_ids
        self._writers = writers
        self._several = len(writers) > 1
        self._planes: list[Bytes] = []
        self._tracked = False
        self._reader: tuple[int, int] | None = None
        self._workers: dict[tuple[int, int], _Worker] = {}
        self._again: Mask | None = None
        self._ranks: dict[tuple[int, int], RankShare] = {}
        self._seen_by: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._last: list[Ints] = []
        self._shares: list[EpochShare] = []
        self._in_turn = True

    def add(self, piece: Piece) -> None:
        """Take the visits of a consumed piece."""
        writer = self._writers[piece.stream]
        reader = (writer.attempt, writer.rank)
        if reader != self._reader:
            self._finish_rank()
            if self._reader is not None and reader[0] != self._reader[0]:
                self._finish_attempt()
            self._in_turn &= reader not in self._ranks and all(reader[0] != s.attempt for s in self._shares)
            self._reader = reader
        block = piece.block
        named = block.worker[0] if len(block.worker) else np.int32(-1)
        alone = bool((block.worker == named).all())
        if not self._tracked and (self._several or not alone or named >= 0):
            self._track()
        batches = slice(piece.begins, piece.ends)
        if alone:
            self._take(writer.process, int(named), piece, np.arange(piece.begins, piece.ends), piece.ids)
            return
        of_visit = np.repeat(block.worker, np.diff(block.offset))[piece.start : piece.start + len(piece.ids)]
        of_batch = block.worker[batches]
        for worker in np.unique(np.concatenate((of_batch, of_visit))).tolist():
            mine = np.flatnonzero(of_batch == worker) + piece.begins
            self._take(writer.process, worker, piece, mine, piece.ids[of_visit == worker])

    def finish(self, epoch: int, unique: int) -> list[EpochShare]:
        """The epoch is over; ``unique`` rows were visited in it. One share for each attempt that took part."""
        self._finish_rank(unique)
        self._finish_attempt()
        shares = [
            EpochShare(epoch, s.attempt, s.ranks, s.by_ranks, s.of_ranks, s.of_workers, s.last) for s in self._shares
        ]
        in_turn, self._in_turn = self._in_turn, True
        self._shares = []
        self._reader = None
        return shares if in_turn else []

    def _take(self, process: int, number: int, piece: Piece, batches: Ints, ids: Ints) -> None:
        worker = self._workers.get((process, number))
        if worker is None:
            worker = self._workers[process, number] = _Worker(len(self._workers))
        block = piece.block
        worker.batches += len(batches)
        worker.visits += len(ids)
        if len(batches):
            smallest = int(block.size[batches].min())
            worker.smallest = smallest if worker.smallest < 0 else min(worker.smallest, smallest)
            at = int(batches[-1])
            # A copy: a view would keep the whole block.
            worker.last = block.ids[block.offset[at] : block.offset[at + 1]].copy()
        if self._tracked:
            while len(self._planes) <= worker.bit >> 3:
                self._planes.append(np.zeros(self._n_ids, np.uint8))
            self._planes[worker.bit >> 3][ids] |= np.uint8(1 << (worker.bit & 7))

    def _track(self) -> None:
        """From here on rows are remembered."""
        self._tracked = True
        self._planes = [np.zeros(self._n_ids, np.uint8)]
        if self._several:
            self._seen_by = np.zeros(self._n_ids, np.uint16)
        self._in_turn &= not self._workers

    def _finish_rank(self, unique: int = 0) -> None:
        if self._reader is None or not self._workers:
            return
        workers, self._workers = self._workers, {}
        by_workers, of_each = ({1: unique}, [unique]) if not self._tracked else self._sum_up(len(workers))
        steps, visits = sum(w.batches for w in workers.values()), sum(w.visits for w in workers.values())
        shares = tuple(
            WorkerShare(process, number, w.batches, w.visits, of_each[w.bit], max(w.smallest, 0))
            for (process, number), w in sorted(workers.items())
        )
        self._last += [w.last for w in workers.values()]
        by_workers = {k: rows for k, rows in by_workers.items() if rows}
        self._ranks[self._reader] = RankShare(
            self._reader[1], steps, visits, sum(by_workers.values()), shares, by_workers
        )

    def _sum_up(self, n: int) -> tuple[dict[int, int], list[int]]:
        """(k -> rows of exactly k workers, rows of each worker), over the rows of this rank; the bits are cleared."""
        if n <= 8:
            return self._sum_up_few(self._planes[0], n)
        planes = self._planes[: -(-n // 8)]
        times: Counter[int] = Counter()
        of_each = np.zeros(8 * len(planes), np.int64)
        for low in range(0, self._n_ids, CHUNK):
            which = slice(low, low + CHUNK)
            k = np.zeros(len(planes[0][which]), np.uint16)
            for index, plane in enumerate(planes):
                of_each[8 * index : 8 * index + 8] += np.bincount(plane[which], minlength=256) @ BITS
                k += POPCOUNT[plane[which]]
                plane[which] = 0
            for times_k, rows in enumerate(np.bincount(k).tolist()):
                times[times_k] += rows if times_k else 0
            self._mark(which, k > 0, k > 1)
        return {k: rows for k, rows in sorted(times.items()) if k}, of_each[:n].tolist()

    def _sum_up_few(self, plane: Bytes, n: int) -> tuple[dict[int, int], list[int]]:
        """The same where one byte a row holds all workers: each of its values is counted, no row is looked up."""
        values = np.zeros(256, np.int64)
        for low in range(0, self._n_ids, CHUNK):
            which = slice(low, low + CHUNK)
            part = plane[which]
            seen: Mask = part != 0
            if n == 1:
                values[1] += np.count_nonzero(seen)
                self._mark(which, seen, None)
            else:
                values += np.bincount(part, minlength=256)
                # more than one bit
                self._mark(which, seen, (part & (part - _ONE)) != 0)
            part.fill(0)
        times = np.bincount(POPCOUNT, weights=values, minlength=9).astype(np.int64)
        return {k: int(rows) for k, rows in enumerate(times) if k and rows}, (values @ BITS)[:n].tolist()

    def _mark(self, which: slice, seen: Mask, twice: Mask | None) -> None:
        """Rows that this rank saw, and those that several of its workers gave it (None: it has one)."""
        if self._several:
            self._seen_by[which] += seen
        if twice is not None and twice.any():
            if self._again is None:
                self._again = np.zeros(self._n_ids, np.bool_)
            self._again[which] |= twice

    def _finish_attempt(self) -> None:
        if not self._ranks:
            return
        ranks, self._ranks = tuple(self._ranks.values()), {}
        attempt = self._reader[0] if self._reader is not None else 0
        by_ranks = {1: ranks[0].unique}
        of_ranks = RowSet.empty()
        if self._several:
            times = np.zeros(len(ranks) + 1, np.int64)
            for low in range(0, self._n_ids, CHUNK):
                times += np.bincount(self._seen_by[low : low + CHUNK], minlength=len(ranks) + 1)
            by_ranks = {k: int(rows) for k, rows in enumerate(times) if k and rows}
            if len(ranks) > 1:
                of_ranks = RowSet.of_mask(self._seen_by > 1)
            self._seen_by.fill(0)
        of_workers = RowSet.empty() if self._again is None else RowSet.of_mask(self._again)
        self._again = None
        last = RowSet.of_ids(np.concatenate([NONE, *self._last]))
        self._last = []
        by_ranks = {k: rows for k, rows in by_ranks.items() if rows}
        self._shares.append(EpochShare(-1, attempt, ranks, by_ranks, of_ranks, of_workers, last))
