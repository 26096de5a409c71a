"""Rows were visited that are not in the declared data.

## What it looks for
Sample ids below 0 or beyond the last row, and rows outside a dataset's selection.

## Why it matters
Either the ids are wrong, and then every number about them is, or the run trained on data it was not to see: another
split, a file that was not declared.

## How to fix it
Give ids that count rows over the declared shards in their order, from 0. If the rows are meant to be there, declare the
dataset that holds them.

## When it is fine
Never: rows from nowhere make every other number suspect.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import listed, number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Visits outside the expected rows."""
    shards = counts.shards
    if not counts.outside or shards is None:
        return
    pairs = tuple(dict.fromkeys(counts.outside_rows))
    shown = [f"{shards[s].name} row {r}" if s >= 0 else f"id {r}" for s, r in pairs]
    from_one = pairs == ((-1, shards.n_ids),) and bool(counts.never_seen.contains([0])[0])
    selected = shards.selected is not None and all(s >= 0 for s, _ in counts.outside_rows)
    where = "outside the selection" if selected else f"outside 0..{shards.n_ids - 1}"
    yield Evidence(
        message=f"{several(counts.outside, 'visit')} {where}: {listed(shown, 5)}",
        cause="the ids count from 1: id 0 never came"
        if from_one
        else ""
        if selected
        else f"the declared data has {number(shards.n_ids)} rows, ids 0 to {shards.n_ids - 1}",
        fix="subtract 1: ids count from 0" if from_one else "declare the data these rows belong to, or correct the ids",
        count=counts.outside,
        numbers={"visits": counts.outside},
    )


RULE = Rule(
    code="CA903",
    name="unknown-rows",
    severity=Severity.ERROR,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((2,), (((0,), (1,)),)),),
    fires=(Example((2,), (((0, 1), (2,)),)), Example((2,), (((0, 1), (-7,)),))),
)
