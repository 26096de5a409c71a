"""A rank that should have recorded left no record.

## What it looks for
The ranks that the writers of an attempt expect (their world size) without a single record in this log.

## Why it matters
What an absent rank read is unknown, and rows that only it had look missed. Even where the others cover everything it
may have repeated any of it: no verdict can stand on the record.

## How to fix it
Give the report all the logs of the run (`coverage-audit report 'logs/rank*.parquet'`); wrap the loader on every rank;
look at why the rank died before its first batch. If ranks read the same rows (tensor or pipeline parallelism), pass
`data_parallel=(index, size)`.

## When it is fine
To look at one rank alone: `--allow-incomplete` judges what is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number
from coverage_audit.rules._rule import By, Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Attempt by attempt: which ranks are expected, and which are there."""
    expected: dict[int, int] = defaultdict(lambda: 1)
    present: dict[int, set[int]] = defaultdict(set)
    for end in counts.run.writers:
        writer = end.writer
        present[writer.attempt].add(writer.rank)
        expected[writer.attempt] = max(expected[writer.attempt], writer.world_size)
    for attempt, n in sorted(expected.items()):
        absent = sorted(set(range(n)) - present[attempt])
        if not absent:
            continue
        again = f" in attempt {attempt}" if len(expected) > 1 else ""
        which = f"{'rank' if len(absent) == 1 else 'ranks'} {listed(absent)}"
        yield Evidence(
            message=f"{which} of {number(n)} left no record{again}",
            cause="their part of the data may have been read or not",
            fix="import the logs of all ranks together"
            if counts.run.imported
            else "give the report all the logs of the run; wrap the loader on every rank",
            count=len(absent),
            numbers={"attempt": attempt, "expected": n, "absent": absent},
        )


_HALF = (By((0, 1), 0),)
_WHOLE = (By((0, 1), 0), By((2, 3), 1))
RULE = Rule(
    code="CA902",
    name="absent-writer",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((4,), (_WHOLE,)), Example((2,), (_HALF,))),
    fires=(Example((4,), (_WHOLE,), world_size=3), Example((2,), (_HALF,), world_size=2)),
)
