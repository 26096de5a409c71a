"""The same rows always share a batch.

## What it looks for
Training passes that come in different orders and yet share batches: sets of two rows or more that were a batch in the
pass before as well, far beyond chance.

## Why it matters
Only batches are shuffled, not rows: the gradient of a batch is the same in every epoch, batch normalisation sees the
same company, and rows stored together are trained on together. Keras' `fit(shuffle=True)` on a PyDataset permutes
batches only.

## How to fix it
Shuffle the rows before they are cut into batches: in `on_epoch_end` of a PyDataset, `shuffle` before `batch`.

## When it is fine
When batches are meant to be kept, such as bags of one patient or graphs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.batch_hashes import SKETCH
from coverage_audit.counts.order import Order
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number
from coverage_audit.rules._order import (
    CHANCE,
    beyond_chance,
    is_sequential_by_shard,
    judged_orders,
    log_orders,
    unshuffled,
)
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``share``: of its batches that a pass has in common with the one before. ``common``: how many at least, where not
    all are. ``chance``: how probable it may be that a shuffle keeps all."""

    share: float = 0.2
    common: int = 8
    chance: float = CHANCE


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Neighbouring passes of one writer that differ in order and share batches."""
    fixed, compared, shares, chances = 0, 0, [], []
    for orders in judged_orders(counts):
        # Rows that are not shuffled at all, or inside no shard, share batches for that reason.
        if unshuffled(orders) or all(is_sequential_by_shard(o) for o in orders):
            continue
        for before, after in itertools.pairwise(orders):
            if min(before.batches.several, after.batches.several) < 2 or before.order_hash == after.order_hash:
                continue
            compared += 1
            share, common = _in_common(before, after)
            whole = before.batches.sums == after.batches.sums and before.batches.several == after.batches.several
            if whole or (share >= limits.share and common >= limits.common):
                fixed += 1
                shares.append(share)
                chances.append(-_log_batchings(after) if whole else -math.inf)
    if not fixed or 2 * fixed < compared or not beyond_chance(chances, limits.chance):
        return
    least = min(shares)
    what = "the same batches" if least == 1 else f"{math.floor(100 * least)} % of its batches"
    yield Evidence(
        message=f"each pass holds {what} as the one before" if least == 1 else f"each pass shares {what} with the next",
        cause="batches are shuffled, rows are not",
        fix="shuffle the rows before they are cut into batches, anew for every pass",
        count=0,
        numbers={"passes": number(fixed + 1), "share": round(least, 4)},
    )


def _in_common(before: Order, after: Order) -> tuple[float, int]:
    """(share of a pass's batches that the other has, how many of those compared); exact below SKETCH batches."""
    one, two = set(before.batches.sketch), set(after.batches.sketch)
    if max(len(one), len(two)) < SKETCH:
        both = len(one & two)
        return both / min(len(one), len(two)), both
    smallest = set(sorted(one | two)[:SKETCH])
    both = len(smallest & one & two)
    jaccard = both / len(smallest)
    return 2 * jaccard / (1 + jaccard), both


def _log_batchings(order: Order) -> float:
    """ln of how many ways there are to cut the rows of a pass into its batches: n! / (b!^k k!)."""
    k = order.batches.n
    return log_orders(order) - k * math.lgamma(order.visits / k + 1) - math.lgamma(k + 1)


def _cut(rows: tuple[int, ...], size: int) -> tuple[tuple[int, ...], ...]:
    return tuple(rows[i : i + size] for i in range(0, len(rows), size))


_ROWS = (7, 2, 11, 5, 14, 0, 9, 3, 12, 6, 1, 10, 4, 13, 8, 15)
_BATCHES = _cut(_ROWS, 4)
RULE = Rule(
    code="CA305",
    name="fixed-batches",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=74,
    limits=Limits(),
    quiet=(
        Example((16,), (_BATCHES, _cut(_ROWS[5:] + _ROWS[:5], 4))),
        Example((16,), (_BATCHES, _BATCHES)),
        Example((4,), (((0, 1), (2, 3)), ((3, 2), (0, 1)))),
    ),
    fires=(Example((16,), (_BATCHES, _BATCHES[::-1], _BATCHES[2:] + _BATCHES[:2])),),
)
