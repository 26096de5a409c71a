"""The rows of some batches could not be determined.

## What it looks for
Batches recorded without rows: no ids were given, and the arrays are no views of a declared file; or the ids were
unusable, or x and y came from different rows.

## Why it matters
A row counted as missed may have been in such a batch. Nothing is guessed, so nothing can be concluded.

## How to fix it
Let the batch say its rows: `ids=` a key, a tuple position or a callable. Or yield slices of arrays opened with
`np.load(..., mmap_mode="r")` and keep their order: their rows are read off the memory.

## When it is fine
With `--allow-incomplete`, if you only want to see the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._rule import Example, Rule, Unknown


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Batches without rows, and the reasons the recorder gave."""
    if not counts.unidentified_batches:
        return
    reasons = sorted({r for w in counts.run.writers for split, r in w.unidentified if split == counts.split})
    total = sum(counts.batch_sizes.values())
    yield Evidence(
        message=f"the rows of {number(counts.unidentified_batches)} of {several(max(total, 1), 'batch')} are unknown "
        f"({several(counts.unidentified, 'row')})",
        cause=listed(reasons, 3),
        fix="give ids= (a key, a position or a callable), or yield views of memory-mapped .npy files",
        count=counts.unidentified,
        numbers={"batches": counts.unidentified_batches, "rows": counts.unidentified},
    )


RULE = Rule(
    code="CA904",
    name="unidentified-rows",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((2,), (((0,), (1,)),)),),
    fires=(Example((2,), (((0,), Unknown(1)),)),),
)
