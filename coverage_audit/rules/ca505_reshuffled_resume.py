"""The resumed pass has another order: repeats and misses are about as many.

## What it looks for
A restore in the middle of an epoch after which the right number of rows comes, drawn from another permutation:
scattered rows come again, and about as many never come. With b of N rows seen by the checkpoint, b·(1 − b/N) of each
are to be expected.

## Why it matters
Skipping the batches that were trained on is right only in the order they were trained in. In another order it skips
rows nobody has seen and repeats others, at every restart.

## How to fix it
Draw the order from a seed and the epoch number, or save the generator's state as it was when the epoch began, not as
it is in the middle of it.

## When it is fine
Never; where the order cannot be restored, save checkpoints at the end of an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._resume import Fault, judge, saved_at
from coverage_audit.rules._rule import Example, Resumed, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Restores after which the rest of the pass came out of another order."""
    n = counts.expected.size
    for found in judge(counts):
        if found.fault is not Fault.RESHUFFLED:
            continue
        again, lost, before = found.again, found.missed, found.resume.before.size
        expected = round(before * (1 - before / n))
        yield Evidence(
            message=f"{several(again.size, 'row')} came again after the restore and {several(lost.size, 'row')} never "
            f"came in epoch {found.resume.number}",
            cause=f"{saved_at(found.resume)}; the order was drawn anew: with {before:,} of {n:,} rows seen, about "
            f"{expected:,} of each are to be expected",
            fix="draw the order from a seed and the epoch, or save the generator's state of the epoch's begin",
            epochs=found.epochs,
            rows=again | lost,
            count=again.size + lost.size,
            claims=found.claims(),
            numbers={"again": again.size, "lost": lost.size, "before": before, "expected": expected},
        )


_ONE = ((0, 1), (2, 3), (4, 5), (6, 7))
RULE = Rule(
    code="CA505",
    name="reshuffled-resume",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=12,
    quiet=(
        Example((8,), (_ONE, ((0, 1), (2, 3), Resumed(), (6, 7), (4, 5)))),
        Example((8,), (_ONE, ((0, 1), (2, 3), Resumed(), (0, 1), (2, 3)))),
    ),
    fires=(Example((8,), (_ONE, ((0, 1), (2, 3), Resumed(), (4, 1), (2, 6))), reported=(1, 2, 5, 7)),),
)
