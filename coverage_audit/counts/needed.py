"""How many steps one pass takes: observed, else projected, else computed (the words of the contract)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coverage_audit.counts.processes import measures
from coverage_audit.counts.tables import EpochCount, PassCount
from coverage_audit.counts.unfinished import Remaining
from coverage_audit.model.contract import Contract
from coverage_audit.model.shards import Shards

SHARED = 0.9


def batch_size_of(declared: int | None, sizes: Mapping[int, int]) -> int | None:
    """B: declared, unless not one yield has that size; else what at least 90 % of the yields share; else None."""
    total = sum(sizes.values())
    if declared is not None and (declared in sizes or not total):
        return declared
    if not total:
        return None
    size, times = max(sizes.items(), key=lambda item: (item[1], item[0]))
    if size and times >= SHARED * total:  # batches of no rows share no batch size
        return size
    return declared


@dataclass(frozen=True, slots=True)
class Needs:
    """Everything the answer depends on.

    ``passes``: of the first rank, see :func:`~coverage_audit.counts.processes.together`. ``divided``: several of its
    processes took steps, so that what one of them did, or has still to do, is not what the rank needs.
    """

    shards: Shards | None
    contract: Contract
    batch_size: int | None
    ranks: int
    passes: Sequence[PassCount]
    remaining: Mapping[int, Remaining]
    divided: bool = False

    def fill(self, epoch: EpochCount) -> EpochCount:
        """The epoch with ``needed``, ``needed_from`` and ``batch_size``."""
        needed, where = self._steps(epoch)
        return replace(epoch, needed=needed, needed_from=where, batch_size=self.batch_size)

    def _steps(self, epoch: EpochCount) -> tuple[int | None, str]:
        whole = [p for p in self.passes if measures(p, self.passes)]
        if whole:
            before = {s.pass_ for s in epoch.spans}
            known = [p for p in whole if p.pass_ < max(before, default=0) or p.pass_ in before]
            return (known[-1] if known else whole[0]).batches, "observed"
        if self.divided:
            return None, "unknown"
        trusted = not self.passes or self.passes[0].pass_from != "unknown"
        left = self.remaining.get(epoch.epoch)
        # Of several ranks, what one has left unvisited is for the others too: that is divided, not projected.
        if (
            left is not None
            and self.ranks == 1
            and not epoch.unidentified
            and self.batch_size is not None
            and trusted
            and self.shards is not None
        ):
            return left.batches + self._left(left, self.batch_size), "projected"
        if self.batch_size is None or self.shards is None:
            return None, "unknown"
        return self._divide(self.shards.rows, self.batch_size * self.ranks), "computed"

    def _left(self, left: Remaining, size: int) -> int:
        assert self.shards is not None
        expected = self.shards.expected_per_shard
        per_shard = any(rows < size and rows == expected[shard] % size for rows, shard in left.remainders)
        if per_shard:
            return int(sum(self._divide(int(n), size) for n in left.per_shard[left.per_shard > 0]))
        return self._divide(int(left.per_shard.sum()), size)

    def _divide(self, rows: int, size: int) -> int:
        return rows // size if self.contract.kind == "drop-remainder" else -(-rows // size)


def partial_batches(
    sizes: Counter[int], remainders: Counter[tuple[int, int]], size: int | None, shards: Shards | None
) -> tuple[int, int]:
    """(batches below the batch size, shards that end with one of their own n mod B rows)."""
    if size is None:
        return 0, 0
    partial = sum(times for rows, times in sizes.items() if rows < size)
    if shards is None:
        return partial, 0
    expected: np.ndarray[tuple[int], np.dtype[np.int64]] = shards.expected_per_shard
    # A shard ends once in a pass; further batches of just its rest are as small for another reason.
    ends = sum(1 for rows, shard in remainders if rows < size and rows == int(expected[shard]) % size)
    return partial, ends
