"""The rows of some batches could not be determined.

## What it looks for
Batches recorded without rows: no ids were given, and the arrays are no views of a declared file; or the ids were
unusable. And batches known in a way that was later caught wrong, when a sample was held against the files.

## Why it matters
A row counted as missed may have been in such a batch. Nothing is guessed, so nothing can be concluded.

## How to fix it
Run the script under `coverage-audit run`, or wrap the loader before the files are opened: then arrays remember their
rows through copies, shuffles and arithmetic. `Dataset.index()` lets rows be recognised by their bytes. Or let the batch
say its rows: `ids=` a key, a tuple position or a callable.

## When it is fine
With `--allow-incomplete`, if you only want to see the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.remarks import Demotion, Remarks
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._rule import Example, Rule, Unknown


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Batches without rows and the reasons the recorder gave; batches whose rows turned out to be in doubt."""
    for how, first, caught in _doubtful(counts):
        yield Evidence(
            message=f"rows known by {how} are in doubt: batch {number(caught)} did not hold what it was said to hold",
            cause=f"batches {number(first)} to {number(caught - 1)} were known in the same way and not looked up"
            if caught > first
            else "every batch before it that was looked up held its rows",
            fix="give ids=, or index the data (Dataset.index) and let rows be recognised by content",
            count=0,
            numbers={"first_doubtful": first, "caught": caught},
        )
    if not counts.unidentified_batches:
        return
    reasons = sorted({r for w in counts.run.writers for split, r in w.unidentified if split == counts.split})
    total = sum(counts.batch_sizes.values())
    yield Evidence(
        message=f"the rows of {number(counts.unidentified_batches)} of {several(max(total, 1), 'batch')} are unknown "
        f"({several(counts.unidentified, 'row')})",
        cause=listed(reasons, 3),
        fix="wrap before the files are opened (or use `coverage-audit run`), index the data with Dataset.index(), or "
        "give ids= (a key, a position or a callable)",
        count=counts.unidentified,
        numbers={"batches": counts.unidentified_batches, "rows": counts.unidentified},
    )


def _doubtful(counts: SplitCounts) -> Iterator[tuple[str, int, int]]:
    return ((d.found, d.first_doubtful, d.caught) for d in counts.remarks.demotions)


RULE = Rule(
    code="CA904",
    name="unidentified-rows",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((2,), (((0,), (1,)),)),),
    fires=(
        Example((2,), (((0,), Unknown(1)),)),
        Example((2,), (((0,), (1,)),), remarks=Remarks(demotions=(Demotion("provenance", 1, 64),))),
    ),
)
