"""Blocks whose visits wait until it is known which pass they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coverage_audit.counts.blocks import Block
from coverage_audit.counts.edges import Waiting
from coverage_audit.model.rows import Ints


@dataclass(slots=True)
class Pending:
    """A block, and how many of its visits and batches have been handed on already."""

    block: Block
    visits: int = 0
    batches: int = 0
    started: bool = False


def batches_waiting(pending: Sequence[Pending], ids: Ints) -> Waiting:
    """Where batches begin among the waiting visits ``ids``, and who gave them."""
    starts, workers, owners = [np.empty(0, np.int64)], [np.empty(0, np.int32)], [np.empty(0, np.int64)]
    at = 0
    for index, item in enumerate(pending):
        if item.block.status.yielded:
            own = item.block.offset[item.batches : -1]
            starts.append(own - item.visits + at)
            workers.append(item.block.worker[item.batches :])
            owners.append(np.full(len(own), index))
            at += len(item.block.ids) - item.visits
    joined = (np.concatenate(starts), np.concatenate(workers), np.concatenate(owners))
    return Waiting(ids, *joined, [item.block for item in pending])
