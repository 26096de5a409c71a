"""The batches contradict the declared batch_size.

## What it looks for
Batches larger than declared; or a declared size that not one batch has, while nearly all share another.

## Why it matters
Every number derived from the declared size is wrong, first of all steps_per_epoch.

## How to fix it
Declare what the loader does: batch_size counts rows of a batch (for a token loader, windows times tokens).

## When it is fine
Never; leave batch_size out and it is observed.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """The declared batch size against the sizes of the yields."""
    declared, sizes = counts.info.batch_size, counts.batch_sizes
    if declared is None or not sizes:
        return
    total = sum(sizes.values())
    larger = sum(times for size, times in sizes.items() if size > declared)
    usual = max(sizes, key=lambda size: (sizes[size], size))
    # Batches as small as the data or a shard allows contradict nothing.
    whole = counts.shards is not None and usual in {counts.shards.rows, *counts.shards.expected_per_shard.tolist()}
    other = declared not in sizes and sizes[usual] >= 0.9 * total and not whole
    if not larger and not other:
        return
    if larger == total > 1:
        seen = f"all {number(total)} batches are larger"
    elif larger:
        seen = f"{number(larger)} of {several(total, 'batch')} {'is' if larger == 1 else 'are'} larger"
    else:
        seen = f"{number(sizes[usual])} of {several(total, 'batch')} have {number(usual)} rows"
    yield Evidence(
        message=f"batch_size={declared} was declared, but {seen}"
        + (f" (most have {number(usual)} rows)" if larger and 2 * sizes[usual] > total else ""),
        cause="",
        fix=f"declare batch_size={usual}, or leave it out"
        if sizes[usual] >= 0.9 * total
        else "leave batch_size out: the batches differ in size",
        count=0,
        numbers={"declared": declared, "usual": usual},
    )


RULE = Rule(
    code="CA608",
    name="other-batch-size",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=70,
    quiet=(
        Example((5,), (((0, 1), (2, 3), (4,)),), batch_size=2),
        Example((3,), (((0, 1, 2),),), batch_size=64),
    ),
    fires=(Example((4,), (((0, 1), (2, 3)),), batch_size=3), Example((4,), (((0, 1), (2, 3)),), batch_size=1)),
)
