"""Shards come one after the other: their rows are never mixed.

## What it looks for
Training passes in which all rows of a shard come together, whatever the order of the shards and of the rows in each,
where a shuffle of all rows would hardly do that. Each loader worker is looked at by itself.

## Why it matters
Shards are often made by class, source or day. A batch then holds rows of one of them, and shuffling the shards, or the
rows inside each, does not change that.

## How to fix it
Draw rows from several shards at once (interleave them, or a shuffle buffer of several shards' rows), or shuffle all
rows once before they are written.

## When it is fine
When the rows were shuffled over the shards when these were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number
from coverage_audit.rules._order import (
    CHANCE,
    beyond_chance,
    is_sequential_by_shard,
    is_unmixed,
    judged_orders,
    unshuffled,
)
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``chance``: how probable it may be that a shuffle of all rows keeps each shard together."""

    chance: float = CHANCE


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Every pass of every writer keeps its shards together."""
    streams = judged_orders(counts)
    orders = [order for of_stream in streams for order in of_stream]
    if not orders or any(unshuffled(of_stream) for of_stream in streams) or not all(is_unmixed(o) for o in orders):
        return
    if not beyond_chance([o.unmixed or 0.0 for o in orders], limits.chance):
        return
    inside = all(is_sequential_by_shard(o) for o in orders)
    shards = max(o.shards or 0 for o in orders)
    yield Evidence(
        message=f"the rows of each of {number(shards)} shards come together"
        + (", in storage order inside each" if inside else ""),
        cause="shards are read one after the other"
        + (", and only their order is shuffled" if inside else "; shuffling stays inside each"),
        fix="read from several shards at once, or shuffle with a buffer that holds the rows of several",
        count=0,
        numbers={"shards": shards, "sequential": inside},
    )


_UP = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))
_MIXED = ((0, 9, 4), (1, 6, 11), (3, 8, 2), (5, 7, 10))
RULE = Rule(
    code="CA304",
    name="shard-sequential-order",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=73,
    limits=Limits(),
    quiet=(
        Example((3, 3, 3, 3), (_MIXED, _MIXED[::-1])),
        Example((3, 3, 3, 3), (_UP, _UP)),
        Example((1, 1, 1), (((1,), (0,), (2,)), ((2,), (1,), (0,)))),
    ),
    fires=(Example((3, 3, 3, 3), (_UP[2:] + _UP[:2], _UP[::-1])),),
)
