"""Rows that two splits of one run both visited: evidence that no split has by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coverage_audit.counts.shares import SharedRows
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.rows import RowSet
from coverage_audit.model.run import SplitInfo

TRAIN = "train"


def compare_splits(splits: Sequence[SplitCounts]) -> list[SplitCounts]:
    """The splits; those that evaluate with the rows they share with each one that trains.

    A split trains if it is called train, or where none is, if the trainer never evaluated with it.
    """
    named = any(s.split == TRAIN for s in splits)
    training = [s for s in splits if (s.split == TRAIN if named else not s.evaluation)]
    if not training or len(splits) < 2:
        return list(splits)
    return [
        split if split in training else replace(split, others=tuple(_shared(split, other) for other in training))
        for split in splits
    ]


def _shared(split: SplitCounts, other: SplitCounts) -> SharedRows:
    """Rows of ``split`` that ``other`` visited too. Equally named shards are the same only where a process that
    recorded both splits says so; ``comparable`` tells whether any are."""
    if split.shards is None or other.shards is None or not _one_home(split, other):
        return SharedRows(other.split, comparable=False)
    theirs = {shard.name: index for index, shard in enumerate(other.shards)}
    found: list[RowSet] = []
    comparable = False
    for index, shard in enumerate(split.shards):
        at = theirs.get(shard.name)
        # A file that was replaced between the two has kept its name only.
        if at is None or (shard.rows, shard.bytes) != (other.shards[at].rows, other.shards[at].bytes):
            continue
        comparable = True
        low, their_low = int(split.shards.offsets[index]), int(other.shards.offsets[at])
        ours = split.run_visits[low : low + shard.rows] > 0
        both = ours & (other.run_visits[their_low : their_low + shard.rows] > 0)
        if np.any(both):
            found.append(RowSet.of_mask(both, low))
    return SharedRows(other.split, RowSet.union(found), comparable)


def _one_home(split: SplitCounts, other: SplitCounts) -> bool:
    """Whether a process declared both splits, with data of one home."""
    for end in split.run.writers:
        told: dict[str, SplitInfo] = {info.name: info for info in end.writer.splits}
        ours, theirs = told.get(split.split), told.get(other.split)
        if ours is not None and theirs is not None and ours.home is not None and ours.home == theirs.home:
            return True
    return False
