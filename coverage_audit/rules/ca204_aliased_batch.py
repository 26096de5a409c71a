"""Consecutive batches hold the very same rows: one buffer is filled again and again.

## What it looks for
Batches that hold exactly the rows of the batch yielded just before, in an epoch that visits these rows more than once;
far beyond what chance does where the data has few rows. Where the rows of such batches are unknown (CA904): that the
recorder saw one array filled anew while the trainer still kept the batch before in it.

## Why it matters
A loader that fills one array and yields it over and over is right for whoever uses each batch at once. Whoever keeps
batches (a queue, a list, a prefetching trainer) holds the last one many times: most rows are never trained on.

## How to fix it
Yield a new array for each batch: `yield buffer.copy()`.

## When it is fine
When a batch is trained on several times on purpose: `contract="at-least-once"`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from coverage_audit.counts.remarks import Reason, Remarks
from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import epochs_text, number
from coverage_audit.rules._order import CHANCE
from coverage_audit.rules._rule import Example, Rule, Unknown

FIX = "yield a new array for each batch (batch.copy())"
ONE_ARRAY = "writes every batch into the same memory"
"""Words of the reason that a recorder gives. Arrays shuffled in place while batches wait have another."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``batches``: how many at least; ``share``: of all batches. ``chance``: how probable so many may be in shuffles of
    very few rows."""

    batches: int = 2
    share: float = 0.01
    chance: float = CHANCE


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Epochs with such batches; where none can be told, what the recorder saw of them."""
    counted = list(_counted(counts, limits))
    yield from counted or _seen(counts)


def _seen(counts: SplitCounts) -> Iterator[Evidence]:
    reasons = [r for r in counts.remarks.unidentified if ONE_ARRAY in r.reason]
    if reasons:
        yield Evidence(
            message="batches that the trainer keeps lie in one array, which is filled anew for each",
            cause="the loader fills one buffer again and again; what was pulled before it is used holds the rows of a "
            "later batch by then, so that these are trained on again in place of its own",
            fix=FIX,
            count=0,
            numbers={"reason": reasons[0].reason},
        )


def _counted(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    epochs = [e for e in counts.epochs if e.aliased_batches and e.aliased & e.repeated.rows]
    n, of = sum(e.aliased_batches for e in epochs), sum(sum(e.steps_by_rank.values()) for e in epochs)
    if n < limits.batches or n < limits.share * of or _by_chance(counts, n, of, limits.chance):
        return
    claims = tuple(_claim(e) for e in epochs if e.complete)
    tolerated = counts.info.contract.tolerates_repeats
    yield Evidence(
        message=f"{number(n)} of {number(of)} batches in {epochs_text([e.epoch for e in epochs], len(counts.epochs))} "
        "hold the very rows of the batch before",
        cause="the loader fills one buffer again and again, and whatever keeps its batches holds the last one many "
        "times; or it yields each batch several times",
        fix="" if tolerated else FIX,
        epochs=tuple(e.epoch for e in epochs),
        rows=epochs[0].aliased,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        severity=Severity.INFO if tolerated else None,
        numbers={"batches": n, "of": of},
    )


def _claim(epoch: EpochCount) -> Claim:
    """The repeats, and the misses if these batches took the place of about as many rows."""
    displaced = epoch.visits * epoch.aliased_batches / max(epoch.steps, 1)
    missed = epoch.missed if 2 * displaced >= epoch.missed.size else RowSet.empty()
    return Claim(epoch.epoch, missed, epoch.repeated.rows & epoch.aliased)


def _by_chance(counts: SplitCounts, n: int, of: int, limit: float) -> bool:
    """Whether shuffles may well put the same rows into ``n`` of ``of`` neighbouring batches.

    Two batches of b of N rows are the same with probability 1 / C(N, b); P(X >= n) <= m^n / n! for a mean of m.
    """
    rows = counts.expected.size
    size = min(counts.batch_size or max(counts.batch_sizes, default=1), rows)
    same = math.lgamma(size + 1) + math.lgamma(rows - size + 1) - math.lgamma(rows + 1)
    return n * (math.log(max(of, 1)) + same) - math.lgamma(n + 1) > math.log(limit)


def _why(reason: str) -> Remarks:
    return Remarks(unidentified=(Reason(reason, "batches [0, 1]: what they hold by then"),))


_PEEKED = _why("the loader writes every batch into the same memory, and the trainer keeps those it peeked at")
_PULLED = _why("the loader writes into the memory of batches that the trainer has pulled and not yet trained on")
_FIRST = ((0, 1, 2), (2, 1, 0), (0, 1, 2), (1, 2, 0))
_LAST = ((3, 4, 5), (3, 4, 5), (3, 4, 5), (3, 4, 5))
RULE = Rule(
    code="CA204",
    name="aliased-batch",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=17,
    limits=Limits(),
    quiet=(
        Example((3,), (((0, 1, 2),), ((2, 1, 0),), ((1, 2, 0),))),
        Example((6,), (((0, 1, 2), (3, 4, 5)), ((3, 4, 5), (0, 1, 2)), ((0, 1, 2), (3, 4, 5)))),
        Example((6,), ((Unknown(2), Unknown(2), (4, 5)),), remarks=_PULLED),
    ),
    fires=(
        Example((30,), (_FIRST + _LAST,), reported=(0, 1, 2, 3, 4, 5)),
        Example((6,), ((Unknown(2), Unknown(2), (4, 5)),), remarks=_PEEKED),
    ),
)
