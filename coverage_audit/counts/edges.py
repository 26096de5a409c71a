"""An inferred edge between two passes of several loader workers: which visits are of which pass, batch by batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverage_audit.counts.blocks import Block, Status
from coverage_audit.counts.parting import part_workers
from coverage_audit.counts.recency import Indices
from coverage_audit.model.rows import Ints

FEWEST_BATCHES = 16
BATCHES_PER_WORKER = 2
MOST_BATCHES = 64
"""Batches on either side of an edge in which the workers begin the next pass; fewer than decide on an edge."""


def edge_batches(workers: int) -> int:
    """How many batches on either side of an edge are looked at; 0 for one worker, which has one edge."""
    return min(max(BATCHES_PER_WORKER * workers, FEWEST_BATCHES), MOST_BATCHES) if workers > 1 else 0


@dataclass(slots=True)
class Waiting:
    """Visits that wait to be counted. Per batch that begins among them: its offset in ``starts``, its worker, and which
    of ``blocks`` it is in."""

    ids: Ints
    starts: Ints
    worker: npt.NDArray[np.int32]
    owner: Ints
    blocks: Sequence[Block]

    def batch_at(self, offset: int) -> int:
        """The batch that holds a visit; -1 for one that began before."""
        return int(np.searchsorted(self.starts, offset, side="right")) - 1

    def batches_before(self, offset: int, batches: int) -> int:
        """The offset so many batches before a visit's."""
        at = self.batch_at(offset) - batches
        return int(self.starts[at]) if at >= 0 else 0

    def reaches(self, offset: int, batches: int) -> bool:
        """Whether so many batches come after a visit's."""
        return self.batch_at(offset) + batches < len(self.starts)


@dataclass(frozen=True, slots=True)
class PassSoFar:
    """It began at offset ``start`` and visited ``unique`` different rows before offset ``at``. ``allowance``: repeats
    among its first visits that may be what filled up the batches before. No edge is looked for before ``fence``."""

    start: int
    at: int
    unique: int
    allowance: int
    fence: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Visits ``low`` .. ``high - 1`` are to happen in ``order`` (offsets), and the next pass begins at ``cut``.

    ``order`` is None where they happen so already. Whole batches.
    """

    low: int
    high: int
    cut: int
    order: Ints | None
    batch_of: Ints | None = None

    def runs(self) -> Iterator[tuple[int, int]]:
        """Offsets [low, high) of what the batches hold of one pass, in the order in which they happen."""
        assert self.order is not None
        assert self.batch_of is not None
        batch = self.batch_of[self.order - self.low]
        breaks = (np.diff(self.order) != 1) | (np.diff(batch) != 0)
        breaks[self.cut - self.low - 1] = True
        bounds = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(self.order)]
        for begin, end in itertools.pairwise(bounds):
            yield int(self.order[begin]), int(self.order[end - 1]) + 1


def find_edge(
    waiting: Waiting, before: Indices, base: int, so_far: PassSoFar, found: int, n_rows: int, margin: int
) -> Edge | None:
    """The edge near the visit at offset ``found`` at which the pass is one of all rows, each once; None where none is.

    ``before``: the previous visit's index of each visit, the first of which has index ``base``; ``margin`` batches on
    either side are looked at. Batches of which rows are unknown, that were not consumed, or that lie in several epochs
    are not parted.
    """
    starts, n, at, start = waiting.starts, len(before), so_far.at, base + so_far.start
    repeats = np.flatnonzero(before[so_far.fence : found + 1] >= start)
    first = max(waiting.batch_at(so_far.fence + int(repeats[0]) if len(repeats) else found) - margin, 0)
    first = max(first, int(np.searchsorted(starts, so_far.fence)))
    last = min(waiting.batch_at(found) + margin + 1, len(starts))
    if first >= last or last - first > 4 * margin:
        return None
    low, high = int(starts[first]), int(starts[last]) if last < len(starts) else n
    known = so_far.unique + int(np.count_nonzero(before[at:low] < start))
    if low - so_far.start - known > so_far.allowance or not _is_alike(waiting, first, last, high - low):
        return None
    ids = waiting.ids[low:high]
    edges = np.append(starts[first:last], high)
    worker = np.repeat(waiting.worker[first:last], np.diff(edges))
    if (worker < 0).any():
        return None
    old = part_workers(ids, worker, _were_visited(ids, before[low:high], base + low, start), n_rows - known)
    if old is None:
        return None
    cut = low + n_rows - known
    if old[: cut - low].all():
        return Edge(low, high, cut, None)
    # No more is put in another order than has to be: from the first batch of the next pass to the last of this one.
    batch_of = np.repeat(np.arange(last - first), np.diff(edges))
    one, other = int(batch_of[np.argmin(old)]), int(batch_of[np.flatnonzero(old)[-1]])
    inner, outer = int(edges[one]), int(edges[other + 1])
    mine = old[inner - low : outer - low]
    order = inner + np.concatenate((np.flatnonzero(mine), np.flatnonzero(~mine)))
    return Edge(inner, outer, cut, order, batch_of[inner - low : outer - low])


def held_back(
    waiting: Waiting, at: int, found: int, decided: int, fence: int, margin: int, *, ended: bool
) -> tuple[int, int]:
    """(found, decided) of several workers: one may begin the next pass before it shows, another some time after.

    Both count from offset ``at``, -1 for nothing found. None begins among the visits before ``fence``, which have been
    put in order. ``ended``: no batches follow.
    """
    final = ended or (found >= 0 and waiting.reaches(at + found, margin))
    if not final:
        latest = at + (found if found >= 0 else decided)
        found, decided = -1, max(waiting.batches_before(latest, margin), at) - at
    if max(found, decided) < fence - at:
        found, decided = -1, fence - at
    return found, decided


def part_of_batch(block: Block, visit: int) -> tuple[int, bool]:
    """The batch of a block that holds a visit, and whether that is its first one."""
    batch = int(np.searchsorted(block.offset, visit, side="right")) - 1
    return batch, int(block.offset[batch]) == visit


def _is_alike(waiting: Waiting, first: int, last: int, visits: int) -> bool:
    """Whether nothing but a pass can end among these batches, and all of their rows are known."""
    blocks = [waiting.blocks[i] for i in np.unique(waiting.owner[first:last]).tolist()]
    whole = waiting.blocks[int(waiting.owner[first]) : int(waiting.owner[last - 1]) + 1]
    one = {(b.epoch, b.fit, b.attempt) for b in blocks}
    sizes = np.diff(np.append(waiting.starts[first:last], waiting.starts[first] + visits))
    return len(one) == 1 and all(b.status is Status.NORMAL for b in whole) and bool((sizes > 0).all())


def _were_visited(ids: Ints, before: Indices, base: int, start: int) -> npt.NDArray[np.bool_]:
    """Which visits are of rows that the pass had visited before the first of them, which has index ``base``."""
    prior = (before >= start) & (before < base)
    return prior | np.isin(ids, ids[prior])
