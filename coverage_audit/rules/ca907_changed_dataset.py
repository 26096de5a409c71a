"""The data differs from what was recorded against.

## What it looks for
Writers of one split that declared different data, and a dataset given to the report that differs from the recorded
one: shards added or removed, other row counts, other file sizes. And files that were replaced while the run went on.

## Why it matters
Row 7 of a file that was rewritten is another row. Counts over both mean nothing.

## How to fix it
Report against the data the run read; record a run anew after the data changed.

## When it is fine
Never for a number; the steps of both can still be looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.remarks import Remarks
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """More than one fingerprint for one split."""
    if counts.changes:
        yield Evidence(
            message=f"the given dataset is not the recorded one: {listed(counts.changes, 3)}",
            fix="report against the data the run read",
            numbers={"changes": list(counts.changes)},
        )
    for change in counts.remarks.changes:
        yield Evidence(
            message=f"a file changed while the run went on: {change}",
            fix="leave the files alone during training; record anew",
            count=0,
            numbers={"change": change},
        )
    if not counts.changes and len(set(counts.fingerprints)) > 1:
        yield Evidence(
            message=f"the split was recorded against {len(set(counts.fingerprints))} different datasets "
            f"({listed(sorted(set(counts.fingerprints)))})",
            cause="the data changed between attempts, or ranks declared different data",
            fix="declare the same data everywhere, and record anew after it changed",
            numbers={"fingerprints": sorted(set(counts.fingerprints))},
        )


RULE = Rule(
    code="CA907",
    name="changed-dataset",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((1,), (((0,),),)),),
    fires=(
        Example((1,), (((0,),),), other_data=True),
        Example((1,), (((0,),),), remarks=Remarks(changes=("x_0.npy has another size",))),
    ),
)
