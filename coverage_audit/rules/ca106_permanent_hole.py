"""The same rows are missed in every epoch.

## What it looks for
Rows missed in each of two or more complete epochs: the intersection of what the epochs miss, where it is larger than
chance would have it and does not shrink from epoch to epoch.

## Why it matters
A remainder that changes from epoch to epoch evens out; this one never does. The rows might as well not exist.

## How to fix it
If another finding claims it, fix that one. Otherwise look at what the rows share: the ends of files, the last row (an
exclusive bound too many), a filter, a fixed subset.

## When it is fine
When the rows are held out on purpose: use `Dataset.select(rows)` so that they are not expected.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._place import Place, place_of
from coverage_audit.rules._rule import Example, Rule
from coverage_audit.rules._shares import divided_epochs
from coverage_audit.rules._stride import readers_of, stride_of

CHANCE = 1e-3
"""How probable so many common misses may be if each epoch missed rows of its own."""
SHRINKING = 0.75
"""A common set that loses more than a quarter with the last epoch added would go on shrinking."""


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Rows missed in every complete epoch."""
    epochs = [e for e in counts.complete_epochs if e.steps]
    if len(epochs) < 2 or counts.shards is None:
        return
    missed = [e.missed for e in epochs]
    rows = functools.reduce(lambda a, b: a & b, missed)
    if not rows or _by_chance(rows.size, counts.expected.size, [m.size for m in missed]) or _shrinks(rows, missed):
        return
    unknown = sum(e.unidentified for e in epochs)
    if rows.size <= unknown:  # each of them may have been in a batch whose rows nobody knows
        return
    many = f"{number(rows.size)}," if unknown else several(rows.size, "row")
    place = place_of(rows, counts.shards) or _strided(counts, rows) or _uneven(counts, rows)
    yield Evidence(
        message=f"the same {'rows, at most ' if unknown else ''}{many} missed in all {len(epochs)} epochs",
        cause=f"no epoch ever comes to {'this row' if rows.size == 1 else 'these rows'}"
        if place is None
        else f"{'it is' if rows.size == 1 else 'they are'} {place.where}: no epoch ever comes there",
        fix="look at what these rows share: a file, a filter, their place in the files" if place is None else place.fix,
        epochs=tuple(e.epoch for e in epochs),
        rows=rows,
        count=rows.size * len(epochs),
        claims=tuple(Claim(e.epoch, missed=rows) for e in epochs),
        severity=Severity.INFO if counts.info.contract.kind == "subset" else None,
        numbers={"rows": rows.size},
    )


def _strided(counts: SplitCounts, rows: RowSet) -> Place | None:
    stride = stride_of(rows, counts)
    return None if stride is None else stride.place(readers_of(counts))


def _uneven(counts: SplitCounts, rows: RowSet) -> Place | None:
    """What does not divide evenly among ranks that drop it, in an order that never changes."""
    told = [d.share for d in divided_epochs(counts)]
    if not told or any(len({r.visits for r in share.ranks}) > 1 for share in told):
        return None
    ranks, n = len(told[0].ranks), counts.expected.size
    for by in (ranks, ranks * (counts.batch_size or 1)):
        if ranks > 1 and rows.size == n % by:
            return Place(
                f"what {number(n)} rows leave over of {number(by)}, and their order is the same in every epoch",
                "give each epoch its own order (sampler.set_epoch(epoch)), or keep the rest (drop_last=False)",
            )
    return None


def _by_chance(common: int, n: int, missed: Sequence[int]) -> bool:
    """Whether independent misses may well have so many rows in common.

    They have N Π(m/N) on average; the Chernoff bound of a Poisson count with that mean says how probable ``common`` is.
    """
    mean = n * math.prod(m / n for m in missed)
    if common <= mean:
        return True
    return common - mean - common * math.log(common / mean) > math.log(CHANCE)


def _shrinks(rows: RowSet, missed: Sequence[RowSet]) -> bool:
    """Whether leaving out one of three or more epochs makes the common set much larger, whichever it is.

    Misses that crowd at the end of the data (a buffer that is never emptied) have rows in common without being fixed.
    """
    if len(missed) < 3:
        return False
    before, after = [missed[0]], [missed[-1]]
    for ours, theirs in zip(missed[1:], missed[-2::-1], strict=True):
        before.append(before[-1] & ours)
        after.append(after[-1] & theirs)
    without = [after[-2].size, before[-2].size]
    without += [(before[i - 1] & after[len(missed) - 2 - i]).size for i in range(1, len(missed) - 1)]
    return rows.size + 2 < SHRINKING * min(without)


_ALL_BUT_ONE = tuple((i,) for i in range(59))
RULE = Rule(
    code="CA106",
    name="permanent-hole",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=60,
    quiet=(Example((3,), (((0,), (1,)), ((1,), (2,)), ((2,), (0,)))), Example((3,), (((0,), (1,)),))),
    fires=(Example((60,), (_ALL_BUT_ONE, _ALL_BUT_ONE[::-1], _ALL_BUT_ONE), reported=(59,)),),
)
