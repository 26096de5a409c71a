"""A rank or a loader worker never yielded anything.

## What it looks for
Ranks that opened a record of this split and have no batch in it while others have, and loader workers that never gave
a batch: numbers below the highest that did, or below the number of workers that the loader said it has.

## Why it matters
Data that is divided by files goes to no more readers than there are files: the others wait, and with ranks that wait
for each other the run hangs or ends early. A worker that died or holds an empty part looks the same. Where the part of
an idle rank was meant for it alone, nobody reads it.

## How to fix it
Have at least as many shards as ranks times workers, or divide by rows. Look at the part that the idle one was given.

## When it is fine
An evaluation that one rank does for all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from coverage_audit.counts.remarks import Remarks
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._rule import By, Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Idle ranks, then idle workers."""
    if not counts.yields:
        return
    batches: dict[int, int] = defaultdict(int)
    for writer in counts.writers:
        batches[writer.rank] += writer.batches
    idle = sorted(rank for rank, n in batches.items() if not n)
    if idle:
        one = sum(n > 0 for n in batches.values()) == 1
        claims = tuple(_parts(counts, len(idle), len(batches)))
        costly = claims and counts.info.contract.per == "epoch" and not counts.info.contract.tolerates_missed
        yield Evidence(
            message=f"{_named('rank', idle)} of {number(len(batches))} never yielded a batch",
            cause="what these ranks were given holds nothing, or they never iterated",
            fix="look at how the data is divided: as many shards as ranks, or division by rows",
            count=len(idle),
            claims=claims,
            severity=Severity.INFO if counts.evaluation and one else Severity.ERROR if costly else None,
            numbers={"ranks": idle},
        )
    yield from _workers(counts)


def _parts(counts: SplitCounts, idle: int, ranks: int) -> Iterator[Claim]:
    """What epochs miss, where it is about the part of the idle ranks and the others share nothing."""
    part = counts.expected.size * idle / ranks
    slack = (counts.batch_size or 1) * ranks + (part / 10)
    for epoch in counts.complete_epochs:
        if not epoch.surplus and not epoch.unidentified and abs(epoch.missed.size - part) <= slack and epoch.missed:
            yield Claim(epoch.epoch, missed=epoch.missed)


def _workers(counts: SplitCounts) -> Iterator[Evidence]:
    active: dict[int, set[int]] = defaultdict(set)
    most: dict[int, int] = defaultdict(int)
    for share in counts.shares:
        for rank in share.ranks:
            active[rank.rank] |= {w.worker for w in rank.workers if w.worker >= 0}
            most[rank.rank] = max(most[rank.rank], rank.steps)
    missing = {}
    for of_rank, workers in sorted(active.items()):
        n = max(counts.remarks.workers, max(workers) + 1) if workers else 0
        # Of fewer batches than workers some get none, however the data is divided.
        if most[of_rank] >= n and (idle := sorted(set(range(n)) - workers)):
            missing[of_rank] = idle
    if not missing:
        return
    total = sum(len(idle) for idle in missing.values())
    first, idle = next(iter(missing.items()))
    where = f" of rank {first}" if len(active) > 1 else ""
    yield Evidence(
        message=f"{several(total, 'loader worker')} on {several(len(missing), 'rank')} never gave a batch"
        if len(missing) > 1
        else f"loader {_named('worker', idle)}{where} never gave a batch",
        cause="there are fewer parts of the data than workers, or what these were given holds nothing",
        fix=f"use at most {several(len(active[first]), 'worker')}, or divide the data into more parts",
        count=total,
        numbers={"workers": {str(rank): gone for rank, gone in missing.items()}},
    )


def _named(noun: str, which: list[int]) -> str:
    return f"{noun if len(which) == 1 else noun + 's'} {listed([str(i) for i in which])}"


_TWO_OF_THREE = (By((0,), worker=0), By((1, 2), worker=1), By((3,), worker=0))
RULE = Rule(
    code="CA407",
    name="idle-writer",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    quiet=(
        Example((4,), (_TWO_OF_THREE,)),
        Example((4,), (_TWO_OF_THREE,), remarks=Remarks(workers=2)),
        Example((4,), (_TWO_OF_THREE,), remarks=Remarks(workers=4)),
        Example((4,), ((By((0, 1), 0), By((2, 3), 1)),)),
    ),
    fires=(
        Example((4,), (_TWO_OF_THREE,), remarks=Remarks(workers=3)),
        Example((4,), ((By((0,), worker=0), By((1, 2), worker=2), By((3,), worker=0)),)),
        Example((4,), ((By((0, 1), 0), By((2, 3), 0), By((), 1)),)),
    ),
)
