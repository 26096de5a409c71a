"""Each shard loses its own partial batch.

## What it looks for
Epochs or finished passes in which every shard misses exactly its n mod B rows, and nothing else is missed. One
remainder per shard instead of one per pass.

## Why it matters
The loss grows with the number of shards: with many small shards it is on average half a batch each. Without a shuffle
inside the shards it is the same rows every time.

## How to fix it
Keep the partial batch of each shard (`range(0, n, B)` instead of `range(n // B)`), or carry the rest over into the
next shard's first batch. Then set steps_per_epoch to what `coverage-audit plan` says.

## When it is fine
Hardly ever on purpose; with `contract="subset"` it is a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coverage_audit.counts.alignment import ends_by_itself, left_out
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Per-shard remainders in epochs or in passes the loader ended."""
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None:
        return
    tails = shards.expected_per_shard % size
    if np.count_nonzero(tails) < 2 or not may_drop_tails(counts):
        return
    dropping = {
        (p.rank, p.pass_): left_out(counts, p)
        for p in counts.passes
        if p.ended_by == "loader" and _per_shard(shards, left_out(counts, p), tails)
    }
    claims = []
    for epoch in counts.complete_epochs:
        if _per_shard(shards, epoch.missed, tails) and not _goes_on(counts, epoch):
            claims.append(Claim(epoch.epoch, missed=epoch.missed))
            continue
        mine = RowSet.empty()
        for span in epoch.spans:
            mine = mine | (dropping.get((span.rank, span.pass_), RowSet.empty()) & epoch.missed)
        if mine:
            claims.append(Claim(epoch.epoch, missed=mine))
    if not claims:
        return
    lost = int(tails.sum())
    batches = int((shards.expected_per_shard // size).sum())
    yield Evidence(
        message=f"each shard drops its last n mod {number(size)} rows, {several(lost, 'row')} a pass",
        cause=f"the loader cuts full batches out of each shard by itself: {several(batches, 'batch')} a pass, where "
        f"one remainder for the whole pass would lose {shards.rows % size}",
        fix="keep each shard's partial batch, or carry the rest of a shard over into the next batch",
        epochs=tuple(c.epoch for c in claims),
        rows=claims[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=tuple(claims),
        numbers={"lost_per_pass": lost, "batch_size": size},
    )


def may_drop_tails(counts: SplitCounts) -> bool:
    """Whether every pass that the loader ended misses exactly the n mod B rows of each shard; true if none ended."""
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None:
        return False
    tails = shards.expected_per_shard % size
    return all(_per_shard(shards, p.missed, tails) for p in counts.passes if ends_by_itself(p))


def _goes_on(counts: SplitCounts, epoch: EpochCount) -> bool:
    """Whether a pass of this epoch comes to its missed rows in another epoch: then they are not dropped."""
    mine = {(s.rank, s.pass_) for s in epoch.spans}
    others = (s for e in counts.epochs if e.epoch != epoch.epoch for s in e.spans)
    return any((s.rank, s.pass_) in mine and s.rows & epoch.missed for s in others)


def _per_shard(shards: Shards, missed: RowSet, tails: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    return missed.size == int(tails.sum()) and np.array_equal(shards.count_per_shard(missed), tails)


RULE = Rule(
    code="CA104",
    name="dropped-shard-tail",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=20,
    quiet=(
        Example((5, 5), (((0, 1), (2, 3), (4,), (5, 6), (7, 8), (9,)),), batch_size=2),
        Example((5, 4), (((0, 1), (2, 3), (5, 6), (7, 8)),), batch_size=2),
    ),
    fires=(Example((5, 3), (((0, 1), (2, 3), (5, 6)), ((5, 6), (0, 1), (2, 3))), batch_size=2, reported=(4, 7)),),
)
