"""No steps were recorded.

## What it looks for
A split that was declared and of which no batch was consumed.

## Why it matters
Nothing measured is not full coverage.

## How to fix it
Pass the wrapped loader to the trainer, not the original one; check that the generator yields at all (an empty list of
files, a filter); attach the callback to the fit that trains.

## When it is fine
For a split that is declared and used only sometimes.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._rule import Example, Lost, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """A split without a step."""
    if counts.steps:
        return
    if counts.yields:
        yield Evidence(
            message=f"{several(counts.yields, 'batch')} yielded, none of them trained on",
            fix="the training loop never finished a step: look at its own error; in a loop of your own, call "
            "recorder.step() after each batch",
            numbers={"yields": counts.yields},
        )
        return
    yield Evidence(
        message="no steps recorded",
        cause="the loader yielded nothing" if counts.exhausted else "the wrapped loader was never asked for a batch",
        fix="check the list of files and the filters"
        if counts.exhausted
        else "pass the wrapped loader to the trainer, not the original one",
        numbers={"yields": 0},
    )


RULE = Rule(
    code="CA906",
    name="empty-log",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((1,), (((0,),),)),),
    fires=(Example((1,), ()), Example((1,), ((Lost((0,)),),))),
)
