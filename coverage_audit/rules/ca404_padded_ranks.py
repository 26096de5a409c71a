"""A few rows come twice to even out ranks or to fill the last batch.

## What it looks for
Complete epochs without a missed row whose repeats are fewer than one batch on every rank, all lie in the last batches
of the pass, and make the ranks equally long (N mod W, N mod W·B) or the last batch full (N mod B).

## Why it matters
In training it is next to nothing. In an evaluation these rows count twice, so that metrics depend on the number of
ranks and the batch size.

## How to fix it
Leave the remainder uneven (`even_batches=False`, `drop_last=False` with a sampler that does not pad), trim the gathered
results to the length of the data (`gather_for_metrics`), or choose a number of rows that W·B divides.

## When it is fine
Where ranks have to take the same number of steps: declare `contract="padded"` and it becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs, ended


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs that repeat just what makes them even, if one of them is known to end with the data."""
    found = [d for d in divided_epochs(counts) if _pads(counts, d)]
    if not any(ended(counts, d.epoch) is not None for d in found):
        return
    first = found[0]
    n, size = counts.expected.size, counts.batch_size
    ranks = len(first.share.ranks)
    surplus = first.epoch.surplus
    whole = size is not None and (n + surplus) % (size * ranks) == 0 and (ranks == 1 or surplus >= ranks)
    by = [number(k) for k in ((ranks, size) if whole else (ranks,)) if k is not None and k > 1]
    unit = by[0] if len(by) == 1 else f"({' · '.join(by)})"
    rest = n % (ranks * (size or 1) if whole else ranks)
    yield Evidence(
        message=f"{several(surplus, 'visit')} beyond the data at the end of {'each' if len(found) > 1 else 'the'} "
        f"pass: {number(n)} mod {unit} = {number(rest)}, filled up to {number(n + surplus)}",
        cause="the loader fills up the last batch"
        if ranks == 1
        else "the loader repeats rows so that all ranks get equally many" + (" full batches" if whole else ""),
        fix="declare contract='padded' where that is meant; in an evaluation count these rows once",
        epochs=tuple(d.epoch.epoch for d in found),
        rows=first.epoch.repeated.rows,
        count=sum(d.epoch.surplus for d in found),
        claims=tuple(Claim(d.epoch.epoch, repeated=d.epoch.repeated.rows) for d in found),
        severity=Severity.INFO if counts.info.contract.kind == "padded" else None,
        numbers={"padding": surplus, "ranks": ranks, "batch_size": size},
    )


def _pads(counts: SplitCounts, divided: Divided) -> bool:
    epoch, share = divided.epoch, divided.share
    ranks, size = len(share.ranks), counts.batch_size
    if epoch.missed or not 0 < epoch.surplus < ranks * (size or 1) or not divided.one_pass:
        return False
    if epoch.repeated.rows - share.last:
        return False
    if ranks == 1:
        return size is not None and epoch.visits % size == 0
    return len({r.visits for r in share.ranks}) == 1


_TEN = (By((0, 4, 8), 0), By((1, 5, 9), 1), By((2, 6, 0), 2), By((3, 7, 1), 3))
_BATCHES = (By((0, 1), 0), By((4, 5), 0), By((8, 9), 0), By((2, 3), 1), By((6, 7), 1), By((10, 0), 1))
RULE = Rule(
    code="CA404",
    name="padded-ranks",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=20,
    quiet=(
        Example((8,), ((By((0, 4), 0), By((1, 5), 1), By((2, 6), 2), By((3, 7), 3)),), exhausted=True),
        Example((10,), (((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 0, 1)),), batch_size=4),
    ),
    fires=(
        Example((10,), (_TEN,), batch_size=3, exhausted=True, reported=(0, 1)),
        Example((11,), (_BATCHES,), batch_size=2, exhausted=True, reported=(0,)),
    ),
)
