"""The same rows are missed in every epoch.

## What it looks for
Rows missed in each of two or more complete epochs: the intersection of what the epochs miss.

## Why it matters
A remainder that changes from epoch to epoch evens out; this one never does. The rows might as well not exist.

## How to fix it
If another finding claims it, fix that one. Otherwise look at what the rows share: the ends of files, the last row (an
exclusive bound too many), a filter, a fixed subset.

## When it is fine
When the rows are held out on purpose: use `Dataset.select(rows)` so that they are not expected.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Rows missed in every complete epoch."""
    epochs = [e for e in counts.complete_epochs if e.steps]
    if len(epochs) < 2:
        return
    rows = functools.reduce(lambda a, b: a & b, (e.missed for e in epochs))
    if not rows or rows.size <= _by_chance(counts.expected.size, [e.missed.size for e in epochs]):
        return
    yield Evidence(
        message=f"the same {several(rows.size, 'row')} missed in all {len(epochs)} epochs",
        cause="no epoch ever comes to these rows",
        fix="look at what these rows share: the ends of files, the last row, a filter",
        epochs=tuple(e.epoch for e in epochs),
        rows=rows,
        count=rows.size * len(epochs),
        claims=tuple(Claim(e.epoch, missed=rows) for e in epochs),
        severity=Severity.INFO if counts.info.contract.kind == "subset" else None,
        numbers={"rows": rows.size},
    )


def _by_chance(n: int, missed: Sequence[int]) -> float:
    """How many rows independent misses may well have in common: N Π(m/N), twice that plus five Poisson deviations."""
    expected = n * math.prod(m / n for m in missed)
    return 2 * expected + 5 * math.sqrt(expected)


_ALL_BUT_ONE = tuple((i,) for i in range(39))
RULE = Rule(
    code="CA106",
    name="permanent-hole",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=60,
    quiet=(Example((3,), (((0,), (1,)), ((1,), (2,)), ((2,), (0,)))), Example((3,), (((0,), (1,)),))),
    fires=(Example((40,), (_ALL_BUT_ONE, _ALL_BUT_ONE[::-1]), reported=(39,)),),
)
