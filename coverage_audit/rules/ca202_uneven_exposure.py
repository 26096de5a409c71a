"""Over the run some rows were visited more often than others.

## What it looks for
The most and the fewest visits of an expected row over the whole run. Where every pass visits each row once they differ
by at most one, because the last pass may be under way.

## Why it matters
An uneven exposure is a weighting nobody chose: the rows of small shards, of the edges of windows, of the head of the
data count more or less than the rest.

## How to fix it
Sample rows, not files first and rows second; go through the data once per pass; fix the misses and repeats that other
findings name.

## When it is fine
Under `contract="with-replacement"` counts vary by chance. A wanted weighting is `contract="at-least-once"`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule
from coverage_audit.rules.ca201_repeated_rows import pads_only


@dataclass(frozen=True, slots=True)
class Limits:
    """``max_spread``: how far the most and the fewest visits of a row may lie apart."""

    max_spread: int = 1


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """The spread of visits over the run, from two complete epochs on."""
    if counts.shards is None or not counts.expected or len(counts.complete_epochs) < 2:
        return
    visits = counts.run_visits
    if counts.shards.selected is not None:
        visits = visits[counts.shards.selected.ids()]
    fewest, most = int(visits.min()), int(visits.max())
    if most - fewest <= limits.max_spread:
        return
    rarest = RowSet.of_mask(counts.run_visits == fewest) & counts.expected
    contract = counts.info.contract
    tolerated = contract.tolerates_repeats or contract.tolerates_missed or pads_only(counts)
    mean = float(visits.mean(dtype=np.float64))
    yield Evidence(
        message=f"rows were seen {fewest} to {most} times (mean {mean:.1f}); "
        f"{several(rarest.size, 'row')} {_times(fewest)}",
        fix="visit each row once per pass; see the findings that explain the misses and repeats",
        rows=rarest,
        count=rarest.size,
        claims=tuple(Claim(e.epoch, e.missed, e.repeated.rows) for e in counts.complete_epochs),
        severity=Severity.INFO if tolerated else None,
        numbers={"fewest": fewest, "most": most},
    )


def _times(n: int) -> str:
    return ("never", "only once")[n] if n < 2 else f"only {number(n)} times"


RULE = Rule(
    code="CA202",
    name="uneven-exposure",
    severity=Severity.WARNING,
    role="symptom",
    since="0.1",
    check=check,
    limits=Limits(),
    quiet=(Example((3,), (((0,), (1,), (2,)), ((0,), (1,)))),),
    fires=(Example((3,), (((0,), (1,)), ((0,), (1,))), reported=(2,)),),
)
