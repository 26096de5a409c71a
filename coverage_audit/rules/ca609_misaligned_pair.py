"""The arrays of a batch hold different rows: x and y do not belong together.

## What it looks for
Batches whose features and labels both say which rows they hold, and say different ones: x_3.npy rows 0 to 63 beside
y_3.npy rows 1 to 64, or labels of another shard. The rows counted are those of the declared data (the features). An
array moved along the same file is no label but what comes next, and is let pass.

## Why it matters
The model is taught wrong answers. Loss still falls, only not far enough, and nothing else shows it.

## How to fix it
Draw one index per batch and use it for both, shuffle both with one permutation, and carry the rest of a shard over for
both. Name label files with `aligned=` (or `--aligned`), so that they are checked too.

## When it is fine
When the second array is meant to be other rows, as in contrastive pairs: lower it with `--warn-on CA609`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.remarks import Remarks
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Batches that were marked as misaligned."""
    remarks = counts.remarks
    if not remarks.misaligned:
        return
    few = remarks.misaligned < 3
    yield Evidence(
        message=("" if few else "at least ") + f"{several(remarks.misaligned, 'batch')} hold different rows in x and y"
        if remarks.misaligned > 1
        else "1 batch holds different rows in x and y",
        cause=f"batch {number(remarks.misaligned_batch)}: {remarks.misaligned_detail}",
        fix="use one index for both arrays of a batch",
        count=0,
        numbers={"batches": remarks.misaligned, "first_batch": remarks.misaligned_batch},
    )


RULE = Rule(
    code="CA609",
    name="misaligned-pair",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=75,
    quiet=(Example((4,), (((0, 1), (2, 3)),)),),
    fires=(
        Example((4,), (((0, 1), (2, 3)),), remarks=Remarks(misaligned=1, misaligned_batch=1, misaligned_detail="rows")),
        Example((4,), (((0, 1), (2, 3)),), remarks=Remarks(misaligned=2, misaligned_batch=0, misaligned_detail="rows")),
    ),
)
