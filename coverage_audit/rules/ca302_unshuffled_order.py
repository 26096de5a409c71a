"""Training rows come in storage order.

## What it looks for
Training passes in which each row comes after the one stored before it (or every k-th row, as one rank of several reads
them), passes that read file by file in an order of files that never changes, or runs of consecutive rows that always
come in the same order; beyond what chance allows for so few rows.

## Why it matters
Stored data is often sorted by class, source or time. Batches of neighbours are correlated, and the model sees the same
correlations, and ends on the same rows, in every epoch.

## How to fix it
Shuffle: `shuffle=True`, a permutation of the rows drawn for every pass, `shuffle(buffer_size=N)`.

## When it is fine
When the data was shuffled before it was written and one pass is made, when order carries meaning (time series,
curricula), or while a loader is being tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.order import Order
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._order import CHANCE, judged_orders, unshuffled
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``chance``: how probable an order may be under a shuffle before it is taken for chance."""

    chance: float = CHANCE


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """All writers must agree: one that is shuffled among several is another matter."""
    streams = judged_orders(counts)
    kinds = [unshuffled(orders, limits.chance) for orders in streams]
    if not kinds or "" in kinds:
        return
    passes = sum(len(orders) for orders in streams)
    kind = max(set(kinds), key=kinds.count)
    yield Evidence(
        message=_said(kind, streams[kinds.index(kind)]),
        cause="the loader does not shuffle",
        fix="shuffle the rows anew for every pass; leave it if they were shuffled before they were written",
        count=0,
        numbers={"passes": passes, "kind": kind},
    )


def _said(kind: str, orders: list[Order]) -> str:
    n = len(orders)
    which = {1: "the one pass", 2: "both passes"}.get(n, f"all {number(n)} passes")
    if kind == "stored":
        return f"rows come in storage order in {which}"
    if kind == "files":
        return f"rows come file by file in storage order, the files in the same order in {which}"
    first = orders[0]
    length = max(round(first.visits / max(first.visits - first.consecutive, 1)), 2)
    return f"rows come in runs of about {several(length, 'neighbour')}, in the same order in {which}"


_STORED = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
_SHUFFLED = ((3, 7), (1, 8), (0, 5), (9, 2), (6, 4))
_FILES = ((6, 7, 8, 9), (3, 4, 5), (0, 1, 2))
RULE = Rule(
    code="CA302",
    name="unshuffled-order",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=71,
    limits=Limits(),
    quiet=(
        Example((10,), (_STORED, _STORED), evaluation=True),
        Example((10,), (_SHUFFLED, _STORED)),
        Example((4,), (((0, 1), (2, 3)),)),
    ),
    fires=(Example((10,), (_STORED, _STORED)), Example((3, 3, 4), (_FILES,) * 6)),
)
