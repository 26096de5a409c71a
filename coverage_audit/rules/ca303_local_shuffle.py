"""Rows are shuffled among their neighbours only: the shuffle buffer is far smaller than the data.

## What it looks for
Training passes that follow storage order at large while neighbours are shuffled: visits of neighbouring positions lie
much nearer to each other in the data than any two visits do. A buffer of b rows lets no row come out more than b - 1
places early, so the largest lead tells its size. Under shuffled shards: neighbours that mostly come from one shard.

## Why it matters
Stored data is often sorted. A batch then holds one class, one source, one week, and the model forgets the rest while it
is trained on it.

## How to fix it
A buffer of all rows where memory allows (`shuffle(N)`); else shuffle the files as well and read from several of them at
once, or shuffle the data once before it is written.

## When it is fine
When the data was shuffled before it was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.order import Order
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number
from coverage_audit.rules._order import RUNS, is_unmixed, judged_orders, unshuffled
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``locality``: mean distance of neighbours over that of any two visits, below which a shuffle is local (a buffer
    of a third of the data). ``z``: how many standard deviations below 1 that must be. ``correlation``: of position and
    place, from which the data is read in order at large. ``same_shard``, ``of_shards``: share of neighbours of one
    shard from which shards are hardly mixed, where a shuffle would leave at most the other."""

    locality: float = 0.75
    z: float = 6.0
    correlation: float = 0.5
    same_shard: float = 0.5
    of_shards: float = 0.25


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Every pass of every writer must show it."""
    streams = judged_orders(counts)
    orders = [order for of_stream in streams for order in of_stream]
    if not orders or any(unshuffled(of_stream) for of_stream in streams):
        return
    spanning = any(p.batches_span_shards for p in counts.passes)
    # A pass that has only begun may look shuffled: its part of the data is no larger than the buffer.
    longest = max(o.visits for o in orders)
    enough = [o for o in orders if 2 * o.visits >= longest and math.sqrt(o.pairs) > limits.z]
    if not enough or not all(_in_order(o, limits) or (spanning and _by_shards(o, limits)) for o in enough):
        return
    rows, exact = _buffer(enough, limits)
    about = "" if exact else "about "
    whole = counts.expected.size
    yield Evidence(
        message=f"rows are shuffled among {about}{number(rows)} neighbours only, of {number(whole)} rows",
        cause=f"a shuffle buffer of {about}{number(rows)} rows"
        + (": no row comes out further ahead" if exact else "")
        + ("" if _in_order(enough[0], limits) else " over shards in shuffled order: most neighbours share a shard"),
        fix=f"shuffle with a buffer of all {number(whole)} rows, or shuffle the files too and read several at once",
        count=0,
        numbers={"buffer": rows, "exact": exact, "locality": round(enough[0].locality, 4)},
    )


def _in_order(order: Order, limits: Limits) -> bool:
    """Whether the pass goes through the data in order, at large."""
    local = order.locality < limits.locality and (1 - order.locality) * math.sqrt(order.pairs) > limits.z
    return local and order.correlation > limits.correlation and order.share_consecutive <= RUNS


def _by_shards(order: Order, limits: Limits) -> bool:
    """Whether neighbours mostly share a shard, although there are many and their rows are not kept together."""
    share, null = order.share_same_shard, order.same_shard
    if share is None or null is None or is_unmixed(order) or order.share_consecutive > RUNS:
        return False
    few = null.mean <= limits.of_shards * order.pairs
    return few and share > limits.same_shard and null.z(share * order.pairs) > limits.z


def _buffer(orders: list[Order], limits: Limits) -> tuple[int, bool]:
    """(rows in the buffer, whether that is exact: the largest lead + 1 of whole passes that one process reads)."""
    leads = [o.lead for o in orders if o.lead is not None and o.visits == o.extent and _in_order(o, limits)]
    if leads:
        return max(leads) + 1, True
    if all(_in_order(o, limits) for o in orders):
        # Rows wait in a buffer of b for b visits on average, exponentially: two neighbours differ by b.
        return max(round(sum(o.gaps / o.pairs * o.visits / o.extent for o in orders) / len(orders)), 1), False
    order = orders[0]
    share = order.share_same_shard
    assert share is not None
    assert order.shards is not None
    return _within_shards(share, order.visits / order.shards), False


def _within_shards(share: float, size: float) -> int:
    """The buffer that leaves this share of neighbours in one shard of ``size`` rows.

    Their distance is exponential with mean b, so they share the shard with probability 1 - b/s (1 - exp(-s/b)).
    """
    low, high = 1e-6, 1e6
    for _ in range(60):
        middle = math.sqrt(low * high)
        if 1 - middle * -math.expm1(-1 / middle) > share:
            low = middle
        else:
            high = middle
    return max(round(low * size), 1)


def _windows(n: int, width: int) -> tuple[tuple[int, ...], ...]:
    """n rows in order, each window of ``width`` rows by itself in an order that looks random (37 is coprime)."""
    rows = [base + i * 37 % width for base in range(0, n, width) for i in range(width)]
    return tuple(tuple(rows[i : i + 10]) for i in range(0, n, 10))


RULE = Rule(
    code="CA303",
    name="local-shuffle",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=72,
    limits=Limits(),
    quiet=(
        Example((1000,), (_windows(1000, 1000),)),
        Example((30,), (_windows(30, 10),)),
        Example((1000,), (_windows(1000, 20),), evaluation=True),
    ),
    fires=(Example((1000,), (_windows(1000, 20),)),),
)
