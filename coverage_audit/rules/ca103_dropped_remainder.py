"""The last partial batch of a pass is dropped.

## What it looks for
Passes that the loader itself ended, made of full batches only, that leave exactly N mod B rows (or N mod W·B with W
ranks) unvisited. Where that is nothing: two or more passes that leave out exactly one full batch.

## Why it matters
Up to B - 1 rows of every pass are not trained on. Shuffled, they differ each time and the loss is small; in a fixed
order they are the same rows for ever (CA106).

## How to fix it
Keep the last batch (`drop_last=False`, `drop_remainder=False`, `ceil` instead of `floor` in `__len__`), or shuffle so
that the remainder differs between passes.

## When it is fine
Where shapes must be static (TPUs, compiled steps): declare `contract="drop-remainder"` and it becomes a note.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.tables import PassCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete passes that leave one remainder."""
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None:
        return
    remainder = remainder_of(counts)
    # N is a multiple of B, and a bound that is one too strict loses the last batch all the same.
    full = not remainder
    lost = remainder or size * max(counts.run.ranks, 1)
    dropping = [p for p in counts.passes if _drops(p, lost)]
    ended = [p for p in counts.passes if p.ended_by == "loader"]
    if not dropping or len(dropping) < len(ended):
        return
    fixed = len({p.missed for p in dropping}) == 1 and len(dropping) > 1
    if full and (len(dropping) < 2 or (fixed and dropping[0].missed.stops[-1] != shards.n_ids)):
        return
    claims = tuple(_claims(counts, dropping, lost))
    tolerated = counts.info.contract.kind == "drop-remainder" and not full
    yield Evidence(
        message=f"each pass drops its last batch of {several(lost, 'row')}, a full one: "
        f"{number(shards.rows)} is a multiple of {number(size)}"
        if full
        else f"each pass drops its last {several(lost, 'row')}: {number(shards.rows)} mod {number(size)} = {lost}",
        cause=("the loader stops one batch too early" if full else "the loader yields full batches only")
        + (", in a fixed order: the same rows are dropped each time" if fixed else ""),
        fix="look at the bound of the loop over batches: range(0, n, B), not range(0, n - B, B)"
        if full
        else "keep the last partial batch, or declare contract='drop-remainder'",
        epochs=tuple(c.epoch for c in claims),
        rows=dropping[0].missed,
        count=sum(c.missed.size for c in claims) or lost,
        claims=claims,
        severity=Severity.INFO if tolerated else None,
        numbers={"remainder": lost, "batch_size": size},
    )


def drops_remainder(counts: SplitCounts) -> bool:
    """Whether every pass that the loader ended, and some did, leaves out one remainder."""
    lost = remainder_of(counts)
    ended = [p for p in counts.passes if p.ended_by == "loader"]
    return lost > 0 and bool(ended) and all(_drops(p, lost) for p in ended)


def remainder_of(counts: SplitCounts) -> int:
    """N mod (W·B), 0 where N or B is unknown."""
    if counts.batch_size is None or counts.shards is None:
        return 0
    return counts.shards.rows % (counts.batch_size * max(counts.run.ranks, 1))


def _drops(count: PassCount, remainder: int) -> bool:
    return count.ended_by == "loader" and not count.partial_batches and count.missed.size == remainder


def _claims(counts: SplitCounts, dropping: list[PassCount], remainder: int) -> Iterator[Claim]:
    passes = {(p.rank, p.pass_): p.missed for p in dropping}
    for epoch in counts.complete_epochs:
        mine = RowSet.empty()
        for span in epoch.spans:
            mine = mine | passes.get((span.rank, span.pass_), RowSet.empty())
        # The record may end with the very batch after which the loader begins anew.
        missed = epoch.missed if epoch.missed.size == remainder else epoch.missed & mine
        if missed:
            yield Claim(epoch.epoch, missed=missed)


_TEN = (((0, 1, 2, 3), (4, 5, 6, 7)), ((0, 1, 2, 3), (4, 5, 6, 7)), ((0, 1, 2, 3), (4, 5, 6, 7)))
RULE = Rule(
    code="CA103",
    name="dropped-remainder",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=25,
    quiet=(Example((10,), (((0, 1, 2, 3), (4, 5, 6, 7), (8, 9)), ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9))), batch_size=4),),
    fires=(Example((10,), _TEN, batch_size=4, reported=(8, 9)),),
)
