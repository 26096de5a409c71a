"""Rows seen before the checkpoint come again in the same pass.

## What it looks for
A restore in the middle of an epoch (or pass) after which rows come again that the weights had seen in it before the
checkpoint, while the data as such goes on. A loader's state that is older than the weights leaves this.

## Why it matters
These rows weigh double in that epoch, at every restart anew; where the number of steps is fixed, as many others fall
out at its end.

## How to fix it
Save the position of the loader with the weights, in one step: count the batches that were trained on, not those that
some worker has made. Restore both from the same checkpoint.

## When it is fine
Never by itself; a few rows may be worth it where the exact position cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._resume import Fault, judge, saved_at
from coverage_audit.rules._rule import Example, Resumed, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Restores whose loader was set back behind the weights."""
    for found in judge(counts):
        if found.fault is not Fault.REPLAYED:
            continue
        again = found.again
        yield Evidence(
            message=f"{several(again.size, 'row')} seen before the checkpoint came again after the restore",
            cause=f"{saved_at(found.resume)}; the loader went on from an earlier position than the weights",
            fix="save the number of batches trained on together with the weights, and restore both",
            epochs=found.epochs,
            rows=again,
            claims=found.claims(),
            numbers={"again": again.size, "before": found.resume.before.size},
        )


_ONE = ((0, 1), (2, 3), (4, 5))
RULE = Rule(
    code="CA501",
    name="replayed-rows-after-resume",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=12,
    quiet=(Example((6,), (_ONE, ((0, 1), (2, 3), Resumed(), (4, 5)))), Example((6,), (_ONE, (*_ONE, (2, 3))))),
    fires=(Example((6,), (_ONE, ((0, 1), (2, 3), Resumed(), (2, 3), (4, 5))), reported=(2, 3)),),
)
