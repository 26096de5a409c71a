"""The rows of some batches could not be determined.

## What it looks for
Batches recorded without rows: no ids were given, and what the arrays hold could not be followed to a declared file; or
the ids were unusable. The finding says what the recorder said, and what helps there. And batches known in a way that
was later caught wrong, when a sample was held against the files.

## Why it matters
A row counted as missed may have been in such a batch. Nothing is guessed, so nothing can be concluded.

## How to fix it
Declare all files the rows come from: `--data` (`--aligned` for labels) of `coverage-audit run`, or the dataset of
`wrap()`, called before the files are opened. Then arrays remember their rows through copies, shuffles and arithmetic.

Where they lose them (tensors, another process, a library of its own), rows are recognised by their bytes. Data that is
too large to be looked through needs an index for that, made once, for `run` and `wrap` alike:
`python -c "import coverage_audit as ca; ca.Dataset.open('shards/x_*.npy').index()"`. It is kept beside the data and
found by itself.

Of arrays in memory (`Dataset.of(x)`), views and copies of whole rows are recognised. A loader that shuffles such an
array in place while batches of it wait for their step should yield copies, or shuffle an index.

Values that are in no file (standardised, cropped, cast to fewer bits) are recognised if the index is made of them:
`Dataset.index(transform=function)` with the function the loader applies to rows.

In a script of your own the batch can say its rows: `ids=` of `wrap()`, a key, a tuple position or a callable; or
`Recorder.step(rows)`. A single id needs `batch_size=1`, where nothing else says that a batch is one row. Rows of one or
two numbers, and rows that are all alike, can be told in no other way.

## When it is fine
With `--allow-incomplete`, if you only want to see the steps.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.remarks import Demotion, Remarks
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._remedy import remedy_for
from coverage_audit.rules._rule import Example, Rule, Unknown


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Batches without rows and the reasons the recorder gave; batches whose rows turned out to be in doubt."""
    for how, first, caught in _doubtful(counts):
        yield Evidence(
            message=f"rows known by {how} are in doubt: batch {number(caught)} did not hold what it was said to hold",
            cause=f"batches {number(first)} to {number(caught - 1)} were known in the same way and not looked up"
            if caught > first
            else "every batch before it that was looked up held its rows",
            fix="index the data (Dataset.index) and let rows be recognised by content, or give ids=",
            count=0,
            numbers={"first_doubtful": first, "caught": caught},
        )
    if not counts.unidentified_batches:
        return
    reasons = [str(reason) for reason in counts.remarks.unidentified]
    total = max(counts.yields, counts.unidentified_batches)
    yield Evidence(
        message=f"the rows of {number(counts.unidentified_batches)} of {several(total, 'batch')} are unknown "
        f"({several(counts.unidentified, 'row')})",
        cause=listed(reasons, 3),
        fix=remedy_for(reasons, in_files=_are_files(counts)),
        count=counts.unidentified,
        numbers={"batches": counts.unidentified_batches, "rows": counts.unidentified},
    )


def _are_files(counts: SplitCounts) -> bool:
    """Whether any of the declared data is; arrays and lengths have no time of change."""
    return counts.shards is None or any(shard.modified_ns is not None for shard in counts.shards)


def _doubtful(counts: SplitCounts) -> Iterator[tuple[str, int, int]]:
    """Of each way that was caught: the first batch in doubt, and the one it was caught at. Caught at the very first,
    none was known in that way."""
    return ((d.found, d.first_doubtful, d.caught) for d in counts.remarks.demotions if d.caught > 0)


RULE = Rule(
    code="CA904",
    name="unidentified-rows",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(
        Example((2,), (((0,), (1,)),)),
        Example((2,), (((0,), (1,)),), remarks=Remarks(demotions=(Demotion("explicit", 0, 0),))),
    ),
    fires=(
        Example((2,), (((0,), Unknown(1)),)),
        Example((2,), (((0,), (1,)),), remarks=Remarks(demotions=(Demotion("provenance", 1, 64),))),
    ),
)
