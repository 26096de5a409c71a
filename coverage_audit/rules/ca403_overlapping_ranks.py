"""Ranks share rows, and together they miss others.

## What it looks for
Complete epochs in which rows were seen by several ranks in one pass, more than padding needs, while about as many rows
were seen by none, and no rank repeats rows by itself: each rank shuffles in its own order before the data is divided.

## Why it matters
With W ranks about (1 - 1/W)^W of the rows, a quarter for two ranks and more than a third for many, are missed in each
epoch, and as many visits are spent on rows that another rank had. Every rank's own log looks perfect.

## How to fix it
Shuffle with the same seed on every rank and divide after that, or divide first and shuffle inside each part. The rank
belongs into the division, never into the seed of the permutation.

## When it is fine
Where every rank samples for itself on purpose: declare `contract="with-replacement"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs
from coverage_audit.rules.ca401_replicated_ranks import replicated


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs whose ranks overlap beyond padding."""
    slack = (counts.batch_size or 1) * max(counts.run.ranks, 1)
    found: list[tuple[Divided, RowSet]] = []
    for divided in divided_epochs(counts):
        rows = divided.shared_by_ranks
        if not rows or not divided.epoch.missed or replicated(divided) or _draws(counts, divided):
            continue
        padding = rows.size < slack and divided.one_pass and not rows - divided.share.last
        if not padding:
            found.append((divided, rows))
    if not found:
        return
    # What an overlap costs elsewhere is at most as much as it is, beside what every division leaves over.
    claims = tuple(
        Claim(
            d.epoch.epoch,
            d.epoch.missed if d.epoch.missed.size <= d.epoch.repeated.among(rows) + slack else RowSet.empty(),
            d.epoch.repeated.rows & rows,
        )
        for d, rows in found
    )
    first, rows = found[0]
    share = first.share
    yield Evidence(
        message=f"{number(len(share.ranks))} ranks see {several(rows.size, 'row')} more than once between them and "
        f"miss {number(first.epoch.missed.size)} of {number(counts.expected.size)}, while none repeats one by itself",
        cause="each rank puts the data into an order of its own before it takes its part",
        fix="use the same seed for the permutation on all ranks and divide it after that, or divide first",
        epochs=tuple(d.epoch.epoch for d, _ in found),
        rows=rows,
        count=sum(c.missed.size + d.epoch.repeated.among(c.repeated) for c, (d, _) in zip(claims, found, strict=True)),
        claims=claims,
        severity=Severity.INFO if counts.info.contract.kind == "with-replacement" else None,
        numbers={"ranks": len(share.ranks), "shared": rows.size, "missed": first.epoch.missed.size},
    )


def _draws(counts: SplitCounts, divided: Divided) -> bool:
    """Whether the ranks repeat rows by themselves as often as independent draws would: v visits of n rows about v²/2n
    times."""
    n = counts.expected.size
    alone = sum(r.surplus for r in divided.share.ranks)
    return alone > 0 and alone > sum(r.visits**2 for r in divided.share.ranks) / (4 * n)


_EACH_ITS_OWN = (By((0, 3), 0), By((5, 1), 0), By((3, 2), 1), By((0, 4), 1))
RULE = Rule(
    code="CA403",
    name="overlapping-ranks",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=7,
    quiet=(
        Example((4,), ((By((0, 1), 0), By((2, 3), 1)),)),
        Example((4,), ((By((0, 1), 0), By((2, 3), 0), By((0, 1), 1), By((2, 3), 1)),)),
    ),
    fires=(Example((8,), (_EACH_ITS_OWN,), reported=(0, 3)),),
)
