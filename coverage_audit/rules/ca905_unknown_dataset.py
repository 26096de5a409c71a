"""There is no denominator: the data was not declared.

## What it looks for
A split recorded without a dataset.

## Why it matters
Without the number of rows that exist, nobody can say which were missed. Visits and repeats are still counted.

## How to fix it
Declare the data: `ca.Dataset.open("shards/x_*.npy")`, or `ca.Dataset.of(n_rows)` if only the number is known. Under
`coverage-audit run` it is `--data "shards/x_*.npy"`.

## When it is fine
When only repeats or the order are of interest.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """A split without shards, or with shards that hold no row."""
    if counts.shards is None:
        yield Evidence(
            message="no dataset was declared, so missed rows cannot be told",
            fix='give it to the report, --dataset "shards/x_*.npy", or to the import, --data or --rows'
            if counts.run.imported
            else 'declare it: `coverage-audit run --data "shards/x_*.npy" ...`, or ca.Dataset.open("shards/x_*.npy") '
            "or ca.Dataset.of(n_rows) for wrap()",
        )
    elif counts.shards.rows == 0:
        yield Evidence(message="the declared dataset has no rows", fix="declare the data the run really reads")


RULE = Rule(
    code="CA905",
    name="unknown-dataset",
    severity=Severity.INCOMPLETE,
    role="evidence",
    since="0.1",
    check=check,
    quiet=(Example((1,), (((0,),),)),),
    fires=(Example((1,), (((0,),),), dataset=False),),
)
