"""Some rows were not visited in the whole run.

## What it looks for
Expected rows without a visit in any epoch, complete or not. Where the rows of some batches are unknown (CA904) the
number is the most there can be, and a note if all of it may have been in them; of nothing but such batches it says
nothing.

## Why it matters
The model never saw them. Whatever they hold, rare classes or a whole source, is not in the weights.

## How to fix it
A diagnosis usually says why: a shard never opened, a remainder dropped in a fixed order, epochs too short. The ranges
show which rows; `result.missed()` gives them all.

## When it is fine
When the run was meant to end before one pass, or the rows were to be left out: then say so with
`Dataset.select(rows)` or `contract="subset"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule, Unknown


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Rows that no step of the run visited."""
    rows = counts.never_seen
    if not rows or not counts.steps or counts.knows_nothing:
        return
    settled = bool(counts.complete_epochs) or counts.info.contract.per == "run"
    certain = rows.size > counts.unidentified
    tolerated = counts.info.contract.tolerates_missed or not settled or not certain
    bound = "at most " if counts.unidentified else ""
    yield Evidence(
        message=f"{bound}{number(rows.size)} of {several(counts.expected.size, 'row')} never seen in the run",
        rows=rows,
        count=rows.size,
        claims=tuple(Claim(e.epoch, missed=rows & e.missed) for e in counts.complete_epochs),
        severity=Severity.INFO if tolerated else None,
        numbers={"never_seen": rows.size},
    )


RULE = Rule(
    code="CA102",
    name="never-seen-rows",
    severity=Severity.ERROR,
    role="symptom",
    since="0.1",
    check=check,
    quiet=(
        Example((3,), (((0,), (1,), (2,)),)),
        Example((3,), (((0,), (1,)), ((2,), (0,)))),
        Example((3,), ((Unknown(2), Unknown(1)),), batch_size=2),
    ),
    fires=(
        Example((3,), (((0,), (1,)), ((0,), (1,))), reported=(2,)),
        Example((3,), (((1,), (2,)),), reported=(0,)),
    ),
)
