"""Whether the epochs of several ranks each begin the data anew, where nobody tells passes (a loop of one's own).

One rank's passes show as agreement with the pass before (:mod:`~coverage_audit.counts.passes`). A rank that gets other
rows in every epoch repeats nothing of its own; but what all ranks see together does. A loader that begins anew draws
its first batches from all the data, so that most of their rows were in the epoch before; one that goes on brings what
the epoch before left out.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from coverage_audit.counts.blocks import Block, Status, read_blocks
from coverage_audit.counts.source import SplitSource
from coverage_audit.counts.tally import Tally
from coverage_audit.model.rows import Ints, Mask

EPOCHS = 4
"""How many epochs are looked at."""
FEWEST = 3
"""Rows that the first batches have to share with the epoch before by chance, before they say anything."""
SHARE = 0.5
"""Of what chance would do: at least so much shared with the epoch before, at most so much of what it left out."""
MAX_REPEATED = 0.1
"""Of a rank's visits in an epoch; more are no single pass."""


def begin_anew(source: SplitSource) -> bool:
    """Whether every epoch of these streams is a pass of its own. Reads the first :data:`EPOCHS` epochs.

    False for a single stream, where passes are told, and where the epochs do not show it.
    """
    told = all(s.trained and s.epochs and not s.evaluation for s in source.streams)
    if source.shards is None or not source.shards.rows or len(source.streams) < 2 or not told:
        return False
    lanes = [
        zip(read_blocks(source, stream, Tally()), itertools.repeat(index))
        for index, stream in enumerate(source.streams)
    ]
    merged = itertools.groupby(heapq.merge(*lanes, key=lambda item: item[0].epoch), key=lambda item: item[0].epoch)
    epochs: list[_Epoch] = []
    for number, blocks in itertools.islice(merged, EPOCHS):
        epoch = _read(blocks, source.shards.n_ids)
        if number < 0 or epoch is None or not epoch.one_pass(source.shards.rows):
            return False
        epochs.append(epoch)
    return _drawn_from_all(epochs, source.shards.rows)


def as_passes(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same blocks, each epoch a told pass."""
    return (replace(block, pass_=block.epoch) for block in blocks)


@dataclass(slots=True)
class _Epoch:
    """``seen``: by any stream. ``first``: rows of each stream's first batch. ``unique``: of each stream."""

    seen: Mask
    first: list[Ints] = field(default_factory=list)
    unique: list[int] = field(default_factory=list)
    visits: list[int] = field(default_factory=list)
    largest: int = 0

    def one_pass(self, n_rows: int) -> bool:
        """Whether no stream repeats rows, and they are not too many for one pass unless each reads everything.

        Where no row is missed, a last batch may be filled up with rows of the first.
        """
        filled = self.largest if self.seen.all() else 0
        alone = all(v - u <= max(MAX_REPEATED * v, filled) for v, u in zip(self.visits, self.unique, strict=True))
        padded = sum(self.visits) <= n_rows + self.largest * len(self.visits)
        return alone and (padded or all(u >= (1 - MAX_REPEATED) * n_rows for u in self.unique))


def _read(blocks: Iterator[tuple[Block, int]], n_ids: int) -> _Epoch | None:
    """One epoch, stream by stream; None where passes are told, or batches were lost or consumed again."""
    epoch = _Epoch(np.zeros(n_ids, np.bool_))
    for _, of_stream in itertools.groupby(blocks, key=lambda item: item[1]):
        own = np.zeros(n_ids, np.bool_)
        visits, first = 0, None
        for block, _ in of_stream:
            if block.pass_ >= 0 or block.status is not Status.NORMAL or block.unidentified:
                return None
            if first is None:
                first = block.ids[: block.offset[1]]
            own[block.ids] = True
            visits += len(block.ids)
            epoch.largest = max(epoch.largest, int(block.size.max()))
        if first is not None:
            epoch.first.append(first)
        epoch.seen |= own
        epoch.unique.append(int(np.count_nonzero(own)))
        epoch.visits.append(visits)
    return epoch


def _drawn_from_all(epochs: list[_Epoch], n_rows: int) -> bool:
    """Whether first batches hold rows of the epoch before as often as chance, and not just what it left out."""
    by_chance = left_out = left_out_first = 0.0
    for before, epoch in itertools.pairwise(epochs):
        first = np.unique(np.concatenate(epoch.first)) if epoch.first else np.empty(0, np.int64)
        shared, known = int(np.count_nonzero(before.seen[first])), int(np.count_nonzero(before.seen))
        expected = len(first) * known / n_rows
        if shared < SHARE * expected:
            return False
        by_chance += expected
        left_out += n_rows - known
        left_out_first += len(first) - shared
    return by_chance >= FEWEST and (not left_out or left_out_first <= SHARE * left_out)
