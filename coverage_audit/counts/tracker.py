"""Blocks of one stream -> pieces: the same visits, each piece inside one pass."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coverage_audit.counts.blocks import Block, Status
from coverage_audit.counts.edges import Edge, PassSoFar, Waiting, edge_batches, find_edge, held_back, part_of_batch
from coverage_audit.counts.passes import find_boundary, window_size
from coverage_audit.counts.pending import Pending, batches_waiting
from coverage_audit.counts.recency import Indices, Recency
from coverage_audit.model.rows import Ints

MIN_BUFFER = 1 << 14
SNAP = 3
"""Visits (or an eighth of the batch) within which an inferred boundary belongs to the begin of its batch."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a block inside one pass.

    ``ids`` are its visits; ``begins``..``ends`` the block's batches whose first visit it holds. ``before``: previous
    visit's index of each id in the stream's own sequence of yields, None where it is found at commit. ``visited``: the
    tracker's recency holds the visits already. ``tail``: leading visits of a batch that began in the pass before.
    ``start``: where ``ids`` begin among the block's.

    Where several loader workers begin the next pass, each in a batch of its own, what they gave of the pass before
    comes first, piece by piece, and then the rest.
    """

    stream: int
    block: Block
    first: bool
    begins: int
    ends: int
    ids: Ints
    pass_: int
    before: Indices | None = None
    visited: bool = False
    tail: int = 0
    start: int = 0

    @property
    def batches(self) -> int:
        return self.ends - self.begins


class Tracker:
    """Cuts one stream's blocks at pass boundaries, told or inferred (:mod:`~coverage_audit.counts.passes`).

    Pieces are handed out *before* their visits enter ``recency`` wherever something may end between two pieces, so
    that whoever counts can look at the state an epoch or a pass ended with: call :meth:`commit` for each piece.
    """

    def __init__(self, stream: int, n_ids: int, n_rows: int) -> None:
        self.stream = stream
        self.recency = Recency(n_ids)
        self.n_rows = n_rows
        self.told = False
        self._pass = -1
        self._start = 0
        self._unique = 0
        self._length = 0
        self._largest = 1
        self._pending: list[Pending] = []
        self._waiting = 0
        self._due = False
        self._tail = 0
        self._workers = 0
        self._edges: list[Edge] = []
        self._last: tuple[int, int, Status] | None = None

    def pieces(self, blocks: Iterator[Block]) -> Iterator[Piece]:
        """All pieces in order."""
        for block in blocks:
            if block.pass_ >= 0:
                yield from self._decide(ended=True)  # what waits came before
                yield from self._told(block)
                continue
            self._pending.append(Pending(block))
            if block.status.yielded:
                self._waiting += len(block.ids)
                self._largest = max(self._largest, int(block.size.max()))
                self._workers = max(self._workers, int(block.worker.max()) + 1)
            if self._waiting >= max(2 * self._window, MIN_BUFFER):
                yield from self._decide(ended=False)
        yield from self._decide(ended=True)

    def commit(self, piece: Piece) -> Indices:
        """Let the piece's visits happen; returns the index of each one's previous visit, or -1."""
        if piece.before is None:
            return self.recency.visit(piece.ids)
        if not piece.visited:
            self.recency.revisit(piece.ids)
        return piece.before

    @property
    def _window(self) -> int:
        return window_size(self.n_rows, self._largest)

    def _told(self, block: Block) -> Iterator[Piece]:
        self.told = True
        yield Piece(self.stream, block, True, 0, len(block.number), block.ids, block.pass_)
        self._last = (block.epoch, block.fit, block.status)
        # What follows untold goes on in this pass, until rows of its own come again.
        self._pass, self._start, self._unique, self._tail, self._due = block.pass_, self.recency.index, 0, 0, False

    def _decide(self, *, ended: bool) -> Iterator[Piece]:
        if not self._pending:
            return
        parts = [p.block.ids[p.visits :] for p in self._pending if p.block.status.yielded]
        ids = parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])
        self._pass = max(self._pass, 0)
        base = self.recency.index
        before = self.recency.visit(ids)
        waiting = batches_waiting(self._pending, ids)
        cuts, decided = self._cut(before, base, waiting, ended=ended)
        ids = waiting.ids
        if ended:
            decided = len(ids)
        settled = self._settled(cuts, decided)
        if settled < len(ids):
            self.recency.undo(ids[settled:], before[settled:])
        yield from self._hand_out(before, cuts, decided, settled)

    def _settled(self, cuts: list[int], decided: int) -> int:
        """How many of the waiting visits go on as the piece before did, so that nothing can end among them."""
        alike = 0
        for item in self._pending:
            if self._due or self._last != (item.block.epoch, item.block.fit, item.block.status):
                break
            alike += len(item.block.ids) - item.visits if item.block.status.yielded else 0
        return min([alike, decided, *cuts[:1]])

    def _cut(self, before: Indices, base: int, waiting: Waiting, *, ended: bool) -> tuple[list[int], int]:
        """Offsets where passes begin, and up to where that is final.

        Where several workers begin the next pass, visits and what is known ``before`` them are put in another order.
        """
        cuts: list[int] = []
        self._edges = []
        fence = 0
        starts = waiting.starts
        margin = edge_batches(self._workers)
        at, n = 0, len(before)
        while at < n:
            reach = max(4 * self._window, 2 * self._length)
            while True:
                stop = min(n, at + reach)
                found, decided = find_boundary(
                    before[at:stop],
                    base + at,
                    self._start,
                    self._unique,
                    self.n_rows,
                    self._window,
                    ended and stop == n,
                    self._tail,
                )
                if found >= 0 or stop == n or decided > 0:
                    break
                reach *= 2
            if margin:
                known = ended and (found >= 0 or stop == n)
                found, decided = held_back(waiting, at, found, decided, fence, margin, ended=known)
            edge = None
            if margin and found >= 0:
                so_far = PassSoFar(self._start - base, at, self._unique, self._tail, max(at, fence))
                edge = find_edge(waiting, before, base, so_far, at + found, self.n_rows, margin)
            if edge is not None:
                found = edge.cut - at
                if edge.order is not None:
                    self._reorder(waiting, before, edge)
                    fence = edge.high
            elif found > 0:
                found = self._snapped(before, at, found, base, starts)
            step = found if found >= 0 else decided
            self._unique += int(np.count_nonzero(before[at : at + step] < self._start))
            at += step
            if found >= 0:
                cuts.append(at)
                self._length = base + at - self._start
                self._start = base + at
                self._unique = 0
                following = int(np.searchsorted(starts, at))
                self._tail = int(starts[following] if following < len(starts) else n) - at
                if fence > at:
                    self._tail = fence - at
            elif step == 0 or stop == n:
                break
        return cuts, at

    def _reorder(self, waiting: Waiting, before: Indices, edge: Edge) -> None:
        """Let the visits around an edge happen pass by pass."""
        assert edge.order is not None
        ids, low = waiting.ids, edge.low
        self.recency.undo(ids[low:], before[low:])
        waiting.ids = np.concatenate((ids[:low], ids[edge.order], ids[edge.high :]))
        before[low:] = self.recency.visit(waiting.ids[low:])
        self._edges.append(edge)

    def _snapped(self, before: Indices, at: int, found: int, base: int, starts: Ints) -> int:
        """The boundary, moved back to the begin of its batch where it lies a few visits inside it.

        Rows the pass before left out may come first in the next one and look like its own. A pass of all rows is exact.
        """
        unique = self._unique + int(np.count_nonzero(before[at : at + found] < self._start))
        index = int(np.searchsorted(starts, at + found, side="right")) - 1
        if unique >= self.n_rows or index < 0:
            return found
        begin = int(starts[index])
        end = int(starts[index + 1]) if index + 1 < len(starts) else len(before)
        near = at + found - begin <= max(SNAP, (end - begin) // 8)
        return begin - at if near and begin >= at and base + begin > self._start else found

    def _hand_out(self, before: Indices, cuts: list[int], decided: int, settled: int) -> Iterator[Piece]:
        if self._due and len(before):
            cuts, self._due = [0, *cuts], False
        at = done = 0
        queue, self._pending = self._pending, []
        edges = list(self._edges)
        for index, item in enumerate(queue):
            left = 0 if not item.block.status.yielded else len(item.block.ids) - item.visits
            end = max(at, done) + left
            stop = min(end, decided)
            whole = end <= decided
            at = max(at, done)
            while at < stop:
                edge = edges.pop(0) if edges and edges[0].low < stop else None
                for low, high in _between(cuts, at, stop if edge is None else edge.low):
                    if low in cuts:
                        self._pass += 1
                    last = whole and high == end
                    yield self._piece(item, before[low:high], visited=high <= settled, last=last, cut=low in cuts)
                if edge is None:
                    break
                yield from self._hand_out_edge(edge, queue[index:], before, settled)
                at = done = edge.high
            if not left:
                yield self._piece(item, None, visited=False, last=True, cut=False)
            at = stop
            if not whole:
                self._pending = queue[index:]
                break
        # A boundary right where the decided part ends opens with whatever comes next.
        self._due = bool(cuts) and cuts[-1] == decided < len(before)
        self._waiting = sum(len(p.block.ids) - p.visits for p in self._pending if p.block.status.yielded)

    def _hand_out_edge(self, edge: Edge, queue: list[Pending], before: Indices, settled: int) -> Iterator[Piece]:
        """The visits around an edge, pass by pass: of each batch what it holds of one of them."""
        assert edge.order is not None
        origin, at = [], edge.low
        visits = [item.visits for item in queue]
        for item in queue:
            origin.append(at)
            at += len(item.block.ids) - item.visits if item.block.status.yielded else 0
        position = edge.low
        for low, high in edge.runs():
            index = max(i for i, begin in enumerate(origin) if begin <= low and queue[i].block.status.yielded)
            item = queue[index]
            shift = visits[index] - origin[index]
            batch, is_head = part_of_batch(item.block, low + shift)
            stop = position + high - low
            if position == edge.cut:
                self._pass += 1
            yield Piece(
                self.stream, item.block, not item.started, batch if is_head else batch + 1, batch + 1,
                item.block.ids[low + shift : high + shift], self._pass, before[position:stop], stop <= settled,
                0 if is_head else high - low, low + shift,
            )  # fmt: skip
            item.started = True
            item.visits = max(item.visits, high + shift)
            item.batches = max(item.batches, batch + 1)
            self._last = (item.block.epoch, item.block.fit, item.block.status)
            position = stop

    def _piece(self, item: Pending, before: Indices | None, *, visited: bool, last: bool, cut: bool) -> Piece:
        block = item.block
        start = item.visits
        stop = len(block.ids) if before is None else start + len(before)
        ends = len(block.number) if last else int(np.searchsorted(block.offset[:-1], stop, side="left"))
        begins = item.batches
        # Visits before the first batch that begins here belong to a batch begun in the piece before.
        first_visit = int(block.offset[begins]) if begins < len(block.number) else stop
        tail = min(first_visit, stop) - start if cut else 0
        piece = Piece(
            self.stream, block, not item.started, begins, max(ends, begins), block.ids[start:stop], self._pass,
            before, visited, tail, start,
        )  # fmt: skip
        item.visits, item.batches, item.started = stop, max(ends, begins), True
        self._last = (block.epoch, block.fit, block.status)
        return piece


def _between(cuts: list[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """``[low, high)`` cut at the cuts inside it; nothing if it is empty."""
    edges = [low, *(c for c in cuts if low < c < high), high]
    for a, b in itertools.pairwise(edges):
        if b > a:
            yield a, b
