"""A resume begins the data again.

## What it looks for
A restore in the middle of an epoch (or pass) after which the loader yields the very rows that the epoch had begun
with, or all of the data once more. Where only the remaining number of steps is run, the first rows come twice and as
many at the end never.

## Why it matters
The step counter went on and the data did not: the head of the data weighs double, the tail is missing, and each
restart does it again.

## How to fix it
Save and restore the loader's position too (a stateful loader, or skipping the batches that were trained on in the
very same order), or save checkpoints at the end of an epoch only.

## When it is fine
Where a restart is meant to repeat its epoch: then let the repeated rows through.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._resume import Fault, judge, saved_at
from coverage_audit.rules._rule import Example, Resumed, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Restores after which the data is at its begin again."""
    for found in judge(counts):
        if found.fault is not Fault.RESTARTED:
            continue
        resume, again = found.resume, found.again
        lost = f", and {several(found.missed.size, 'row')} never came" if found.missed else ""
        yield Evidence(
            message=f"the data began again after the restore: {several(again.size, 'row')} came twice{lost}",
            cause=f"{saved_at(resume)}; {several(resume.before.size, 'row')} of {resume.unit} {resume.number} had been "
            "trained on by then, and the loader started at its begin",
            fix="restore the loader's position with the weights, or skip the batches that were trained on",
            epochs=found.epochs,
            rows=again,
            claims=found.claims(),
            numbers={"again": again.size, "lost": found.missed.size, "before": resume.before.size},
        )


_ONE = ((0, 1), (2, 3), (4, 5))
RULE = Rule(
    code="CA503",
    name="restarted-pass",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=11,
    quiet=(Example((6,), (_ONE, ((4, 5), Resumed(), (0, 1), (2, 3)))), Example((6,), ((*_ONE, Resumed()), _ONE))),
    fires=(
        Example((6,), (_ONE, ((0, 1), Resumed(), (0, 1), (2, 3))), reported=(0, 1)),
        Example((6,), (_ONE, ((0, 1), Resumed(), (4, 5), (0, 1), (2, 3))), reported=(0, 1)),
    ),
)
