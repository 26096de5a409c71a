"""Every rank reads everything.

## What it looks for
Complete epochs in which each of several ranks visits (nearly) all the rows that the ranks visit together, where each
should have had its own part of them.

## Why it matters
W ranks that read the same rows train on every row W times per epoch, or on one W-th of the data in the steps meant for
all of it. Each rank's own log looks perfect.

## How to fix it
Divide the data by rank: `DistributedSampler`, `split_dataset_by_node`, `dataset.shard(W, rank)`, a nodesplitter.
Shuffle before that with the same seed on all ranks.

## When it is fine
Tensor- and pipeline-parallel peers rightly read the same rows: give them the same `data_parallel=(index, size)`. An
evaluation that every rank repeats costs time only.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs, everything


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs in which no rank lacks what another one has."""
    found = [d for d in divided_epochs(counts) if replicated(d)]
    if not found:
        return
    first = found[0]
    n = len(first.share.ranks)
    # Divided, these visits would have been enough for all rows.
    claims = tuple(
        Claim(
            d.epoch.epoch,
            d.epoch.missed if d.share.visits >= counts.expected.size else d.epoch.missed & d.epoch.repeated.rows,
            d.epoch.repeated.rows & d.share.of_ranks,
        )
        for d in found
    )
    each = min(r.unique for r in first.share.ranks)
    yield Evidence(
        message=f"each of {number(n)} ranks reads {'' if each == first.share.unique else 'nearly '}all of the "
        f"{several(first.share.unique, 'row')} that they see together",
        cause="nothing divides the data between the ranks",
        fix="divide the data by rank (DistributedSampler, split_dataset_by_node, shard(W, rank)); if these are tensor- "
        "or pipeline-parallel peers, pass data_parallel=(index, size)",
        epochs=tuple(d.epoch.epoch for d in found),
        rows=first.share.of_ranks,
        count=sum(d.share.shared for d in found),
        claims=claims,
        severity=Severity.WARNING if counts.evaluation and not any(d.epoch.missed for d in found) else None,
        numbers={"ranks": n, "rows": first.share.unique},
    )


def replicated(divided: Divided) -> bool:
    """Whether every rank went through all the rows of the epoch."""
    share = divided.share
    n = len(share.ranks)
    return n > 1 and all(everything(r.unique, share.unique, n, divided.passes) for r in share.ranks)


_BOTH = tuple(By(rows, rank) for rows in ((0, 1), (2, 3)) for rank in (0, 1))
_HALVES = (By((0, 1), 0), By((2, 3), 1))
RULE = Rule(
    code="CA401",
    name="replicated-ranks",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=5,
    quiet=(Example((4,), (_HALVES, _HALVES)), Example((4,), (((0, 1), (2, 3)),))),
    fires=(Example((4,), (_BOTH,), reported=(0, 1, 2, 3)),),
)
