"""The same rows were trained on and evaluated with.

## What it looks for
Rows that a split for evaluation and the one for training both visited. Shards are the same where one process recorded
both splits from the same folder, or from selections of one `Dataset`; two files that only have their names in common
are never taken for one.

## Why it matters
What was trained on is known to the model: the evaluation says more about memory than about new data.

## How to fix it
Split by row once and keep the parts apart: `Dataset.select(rows)` for each split says which rows are meant, and a
loader that strays from them shows (CA903).

## When it is fine
To watch the training error: name that split something of its own and allow this rule.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.shares import SharedRows
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """One finding for each split that shares rows with this one."""
    seen = counts.expected.size - counts.never_seen.size
    for other in counts.others:
        if not other.rows:
            continue
        whole = other.rows.size == seen
        yield Evidence(
            message=f"{'all ' if whole else ''}{several(other.rows.size, 'row')} of {number(seen)} seen in "
            f"{counts.split} were visited in {other.split} too",
            cause="both loaders read the same data" if whole else "the parts of the two splits overlap",
            fix="divide the rows once, and give each split its own (Dataset.select)",
            rows=other.rows,
            numbers={"rows": other.rows.size, "split": other.split},
        )


_DONE = (((0, 1), (2, 3)),)
RULE = Rule(
    code="CA701",
    name="leaked-rows",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    quiet=(
        Example((4,), _DONE, evaluation=True, shared=(SharedRows("train"),)),
        Example((4,), _DONE, evaluation=True, shared=(SharedRows("train", comparable=False),)),
    ),
    fires=(Example((4,), _DONE, shared=(SharedRows("train", RowSet.span(2, 4)),), reported=(2, 3)),),
)
