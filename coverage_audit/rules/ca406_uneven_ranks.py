"""Ranks took different numbers of steps, or very different numbers of rows.

## What it looks for
Complete epochs in which the ranks' step counts differ, or their row counts by a batch or more.

## Why it matters
Ranks that meet in a collective operation after every step wait for each other: the one with a step more hangs, or the
epoch is cut to the shortest rank and the rest is never trained on. Gradients are averaged over ranks as if each had
seen as many rows.

## How to fix it
Divide rows rather than files, pad or drop to equal lengths (`DistributedSampler`, `even_batches=True`), or join uneven
inputs (`torch.distributed.algorithms.join`).

## When it is fine
Where ranks do not wait for each other, in an evaluation for instance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import divided_epochs


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs with uneven ranks."""
    size = counts.batch_size
    found = []
    # A restore with another number of ranks divides the rest of its epoch anew.
    ranks_of = Counter(attempt for attempt, _ in {(w.attempt, w.rank) for w in counts.writers})
    resized = {r.number for r in counts.resumes if len(set(ranks_of.values())) > 1}
    for divided in divided_epochs(counts):
        if divided.epoch.epoch in resized:
            continue
        ranks = divided.share.ranks
        steps, visits = [r.steps for r in ranks], [r.visits for r in ranks]
        if len(ranks) > 1 and (max(steps) > min(steps) or (size is not None and max(visits) - min(visits) >= size)):
            found.append(divided)
    if not found:
        return
    first = max(found, key=lambda d: max(r.visits for r in d.share.ranks) - min(r.visits for r in d.share.ranks))
    ranks = first.share.ranks
    most, least = max(ranks, key=lambda r: (r.steps, r.visits)), min(ranks, key=lambda r: (r.steps, r.visits))
    yield Evidence(
        message=f"rank {most.rank} took {several(most.steps, 'step')} of {several(most.visits, 'row')}, rank "
        f"{least.rank} {number(least.steps)} of {number(least.visits)} in epoch {first.epoch.epoch}"
        + ("" if len(found) == 1 else f", and so in {several(len(found), 'epoch')}"),
        cause="the parts of the ranks are not equally long",
        fix="divide rows rather than files, or pad or drop to equal lengths",
        epochs=tuple(d.epoch.epoch for d in found),
        count=most.visits - least.visits,
        numbers={
            "steps": [r.steps for r in ranks],
            "visits": [r.visits for r in ranks],
            "ranks": listed([str(r.rank) for r in ranks]),
        },
    )


RULE = Rule(
    code="CA406",
    name="uneven-ranks",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    quiet=(Example((5,), ((By((0, 1, 2), 0), By((3, 4), 1)),), batch_size=3),),
    fires=(Example((6,), ((By((0, 1), 0), By((2, 3), 0), By((4, 5), 1)),), batch_size=2),),
)
