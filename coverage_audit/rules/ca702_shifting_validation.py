"""Evaluations see different rows each time.

## What it looks for
A split that the trainer evaluates with, of which two or more complete evaluations visited different sets of rows.

## Why it matters
The metric moves because the rows change, not only because the model does: early stopping and the choice of the best
checkpoint follow the draw.

## How to fix it
Evaluate over the whole split, or over one fixed part of it. Do not shuffle it, do not resume an iterator between
evaluations, and take steps that make one pass.

## When it is fine
For a cheap estimate on a random part, meant as one: declare `contract="subset"` for the split.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete evaluations whose missed rows differ."""
    epochs = [e for e in counts.complete_epochs if e.steps and not e.unidentified]
    if not counts.evaluation or len(epochs) < 2 or counts.shards is None:
        return
    always = epochs[0].missed
    ever = RowSet.union([e.missed for e in epochs])
    for epoch in epochs[1:]:
        always = always & epoch.missed
    shifting = ever - always
    if not shifting:
        return
    yield Evidence(
        message=f"{several(shifting.size, 'row')} of {number(counts.expected.size)} are in some of "
        f"{number(len(epochs))} evaluations and not in others",
        cause="each evaluation takes other rows than the one before",
        fix="evaluate over the whole split, or over one fixed part of it",
        epochs=tuple(e.epoch for e in epochs),
        rows=shifting,
        severity=Severity.INFO if counts.info.contract.kind == "subset" else None,
        numbers={"rows": shifting.size},
    )


RULE = Rule(
    code="CA702",
    name="shifting-validation",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    quiet=(
        Example((4,), (((0, 1),), ((1, 0),)), evaluation=True),
        Example((4,), (((0, 1),), ((2, 3),))),
    ),
    fires=(Example((6,), (((0, 1), (2,)), ((3, 1), (2,))), evaluation=True, reported=(0, 3)),),
)
