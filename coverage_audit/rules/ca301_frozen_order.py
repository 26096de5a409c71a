"""Passes come in the identical order: the shuffle is drawn once.

## What it looks for
Two or more training passes of one writer with the same rows in the same order, more often than chance allows. Data
that is not shuffled at all is unshuffled-order (CA302).

## Why it matters
The model meets the same batches in the same sequence in every epoch. Under several ranks each of them also keeps the
same rows for ever. Coverage looks perfect, so nothing else shows it.

## How to fix it
Draw a new order for every pass: `sampler.set_epoch(epoch)`, a generator that is not seeded anew inside the epoch loop,
`shuffle` after `cache` instead of before it, `reshuffle_each_iteration=True`.

## When it is fine
When runs are compared batch by batch, or in a single pass cut into "virtual" epochs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Evidence, Severity
from coverage_audit.model.words import number
from coverage_audit.rules._order import alike, by_chance_alike, judged_orders, unshuffled
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``chance``: how probable equal orders may be until they are no chance. Five rows in three passes are none."""

    chance: float = 1e-4


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """The writer with the most passes in one order speaks for all."""
    best, passes, frozen, streams = None, 0, 0, judged_orders(counts)
    for orders in streams:
        same = alike(orders)
        if not same or by_chance_alike(same, orders, limits.chance) or unshuffled(orders, limits.chance):
            continue
        frozen += 1
        if best is None or len(same) > len(best):
            best, passes = same, len(orders)
    if best is None:
        return
    which = f"all {number(passes)} passes" if len(best) == passes else f"{number(len(best))} of {number(passes)} passes"
    ranks = f" on {'each' if frozen == len(streams) else number(frozen)} of {number(len(streams))} writers"
    share = best[0].visits < counts.expected.size and counts.divided
    yield Evidence(
        message=f"{which} come in the identical order{ranks if len(streams) > 1 else ''}",
        cause="the order is drawn once, or from the same seed each time"
        + ("; each rank therefore sees the same part of the data in every pass" if share else ""),
        fix="draw a new order for each pass: sampler.set_epoch(epoch), no constant seed inside the epoch loop, "
        "shuffle after cache",
        count=0,
        numbers={"passes": len(best), "of": passes, "first_pass": best[0].pass_},
    )


_SHUFFLED = ((3, 7), (1, 10), (0, 5), (9, 2), (11, 4), (6, 8))
_OTHERWISE = ((8, 2), (6, 1), (11, 3), (0, 9), (4, 5), (10, 7))
_FIVE = ((3, 0, 4, 1, 2),)
_STORED = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11))
RULE = Rule(
    code="CA301",
    name="frozen-order",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=70,
    limits=Limits(),
    quiet=(
        Example((12,), (_SHUFFLED, _OTHERWISE)),
        Example((12,), (_STORED, _STORED)),
        Example((12,), (_SHUFFLED, _SHUFFLED), evaluation=True),
        Example((3,), (((1,), (0,), (2,)), ((1,), (0,), (2,)))),
        Example((5,), (_FIVE, _FIVE)),
    ),
    fires=(
        Example((12,), (_SHUFFLED, _SHUFFLED)),
        Example((12,), (_SHUFFLED, _OTHERWISE, _SHUFFLED)),
        Example((5,), (_FIVE, _FIVE, _FIVE)),
    ),
)
