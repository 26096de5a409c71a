"""Rows are lost at a resume.

## What it looks for
An epoch (or pass) with a restore in it that leaves out more rows than epochs without one, while (nearly) none come
again: batches that were prefetched or lay in a shuffle buffer when the checkpoint was saved, or an epoch that was cut
by the checkpoint and never finished.

## Why it matters
The final weights never saw these rows in that epoch, and every restart loses others.

## How to fix it
Let the loader's state count what was trained on. A shuffle buffer has to be saved with its contents, or filled again
by going back to where it was filled from. Finish the epoch that the checkpoint lies in.

## When it is fine
Where restarts are rare and the data is passed over often: allow it by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._resume import Fault, judge, saved_at
from coverage_audit.rules._rule import Example, Resumed, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Restores that left a hole in their epoch."""
    for found in judge(counts):
        if found.fault is not Fault.SKIPPED:
            continue
        again, lost = found.again.size, found.missed
        what = (
            "the loader went on behind them: they were prefetched, or in a shuffle buffer that was not saved"
            if found.resume.goes_on
            else f"epoch {found.resume.number} was cut by the checkpoint and never finished"
        )
        more = f", {several(again, 'row')} came again" if again else ""
        yield Evidence(
            message=f"{several(lost.size, 'row')} lost at the restore in epoch {found.resume.number}{more}",
            cause=f"{saved_at(found.resume)}; {what}",
            fix="save how many batches were trained on, and what a shuffle buffer holds, together with the weights",
            epochs=found.epochs,
            rows=lost,
            claims=found.claims(),
            numbers={"lost": lost.size, "again": again},
        )


_ONE = ((0, 1), (2, 3), (4, 5))
RULE = Rule(
    code="CA502",
    name="skipped-rows-after-resume",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=12,
    quiet=(
        Example((6,), (_ONE, ((0, 1), Resumed(), (2, 3), (4, 5)))),
        Example((5,), (((0, 1), Resumed(), (2, 3)),), batch_size=2),
        Example((6,), (((0, 1), (2, 3)), ((0, 1), Resumed(), (2, 3)))),
    ),
    fires=(
        Example((6,), (_ONE, ((0, 1), Resumed(), (4, 5))), reported=(2, 3)),
        Example((6,), (_ONE, ((0, 1), Resumed(), (4, 5))), steps_per_epoch=3, reported=(2, 3)),
        Example((6,), (_ONE, ((0, 1), Resumed()), _ONE), reported=(2, 3, 4, 5)),
    ),
)
