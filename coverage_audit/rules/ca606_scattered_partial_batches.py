"""More than one partial batch in a pass.

## What it looks for
Passes with two or more batches smaller than the batch size. A loader that fills its batches has one, at the end, or one
for each of its workers, which is not meant.

## Why it matters
A pass takes more steps than ceil(N / B), so the textbook steps_per_epoch is too small (CA601), small batches weigh
their rows more in the gradient, and batch statistics jump.

## How to fix it
Carry the rest of a shard over into the next batch, or count the steps per shard: the sum of ceil(n / B).

## When it is fine
When steps_per_epoch already counts per shard, it costs a few small batches and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import PassCount, SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._rule import By, Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Passes with several partial batches."""
    scattered = [p for p in counts.passes if p.partial_batches > _readers(counts, p) and p.pass_from != "unknown"]
    if not scattered or counts.batch_size is None:
        return
    most = max(scattered, key=lambda p: p.partial_batches)
    at_shards = most.shard_end_partials >= most.partial_batches - 1
    yield Evidence(
        message=f"{several(most.partial_batches, 'batch')} of fewer than {counts.batch_size} rows in a pass"
        + (", each the rest of a shard" if at_shards else ""),
        cause="the loader ends each shard with a partial batch" if at_shards else "",
        fix="carry the rest of a shard over into the next batch"
        if at_shards
        else "fill every batch but the last one of a pass",
        count=0,
        numbers={"partial_batches": most.partial_batches, "batch_size": counts.batch_size},
    )


def _readers(counts: SplitCounts, count: PassCount) -> int:
    """How many loader workers end a pass, each with a partial batch of its own."""
    workers = (len(r.workers) for share in counts.shares for r in share.ranks if r.rank == count.rank)
    return max(workers, default=1)


_BY_TWO = (By((0, 1), worker=0), By((3, 4), worker=1), By((2,), worker=0), By((5,), worker=1))
RULE = Rule(
    code="CA606",
    name="scattered-partial-batches",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=70,
    quiet=(
        Example((3, 2), (((0, 1), (2, 3), (4,)),), batch_size=2),
        Example((6,), (_BY_TWO, _BY_TWO), batch_size=2),
    ),
    fires=(Example((3, 3), (((0, 1), (2,), (3, 4), (5,)),), batch_size=2),),
)
