"""The last partial batch of a pass is dropped.

## What it looks for
Passes that the loader itself ended, made of full batches only, that leave exactly N mod B rows (or N mod W·B with W
ranks) unvisited. Where that is nothing: two or more passes that leave out exactly one full batch. Of data that is
divided: epochs in which every rank and loader worker gives full batches only and together they leave out less than a
batch each, or ranks of equal length leave out N mod W.

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

from coverage_audit.counts.alignment import left_out
from coverage_audit.counts.tables import PassCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs, ended


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete passes that leave one remainder; else what ranks and workers leave of the parts they have."""
    whole = list(_whole(counts))
    yield from whole or _divided(counts)


def _whole(counts: SplitCounts) -> Iterator[Evidence]:
    size, shards = counts.batch_size, counts.shards
    if size is None or shards is None:
        return
    remainder = remainder_of(counts)
    # N is a multiple of B, and a bound that is one too strict loses the last batch all the same.
    full = not remainder
    lost = remainder or size * max(counts.run.ranks, 1)
    ended = [p for p in counts.passes if p.ended_by == "loader"]
    dropped = {(p.rank, p.pass_): rows for p in ended if (rows := _drops(counts, p, lost))}
    if not dropped or len(dropped) < len(ended):
        return
    rows = next(iter(dropped.values()))
    fixed = len(set(dropped.values())) == 1 and len(dropped) > 1
    if full and (len(dropped) < 2 or (fixed and rows.stops[-1] != shards.n_ids)):
        return
    claims = tuple(_claims(counts, dropped, lost))
    if counts.divided and not (claims and all(c.missed.size == lost for c in claims)):
        return  # what a pass of one leaves out, others visit
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
        rows=rows,
        count=sum(c.missed.size for c in claims) or lost,
        claims=claims,
        severity=Severity.INFO if tolerated else None,
        numbers={"remainder": lost, "batch_size": size},
    )


def _divided(counts: SplitCounts) -> Iterator[Evidence]:
    size = counts.batch_size
    found = [(d, how) for d in divided_epochs(counts) if size is not None and (how := _leaves(counts, d, size))]
    if not found or size is None:
        return
    epochs = [d.epoch for d, _ in found]
    fixed = len(found) > 1 and len({e.missed for e in epochs}) == 1
    first, (cause, fix) = found[0]
    several_workers = any(len(r.workers) > 1 for r in first.share.ranks)
    at_the_end = epochs[0].missed.n_ranges == 1 and int(epochs[0].missed.stops[-1]) == int(counts.expected.stops[-1])
    if fixed and not several_workers and not at_the_end:
        return  # one order for ever is the worse fault: CA106
    lost = epochs[0].missed.size
    readers = several(first.n_workers, "loader worker") if several_workers else several(len(first.share.ranks), "rank")
    allowed = counts.info.contract.kind == "drop-remainder" and all(
        e.missed.size <= remainder_of(counts) for e in epochs
    )
    yield Evidence(
        message=f"{readers} together drop {several(lost, 'row')} of {number(counts.expected.size)} at the end of "
        f"{'each' if len(found) > 1 else 'the'} pass",
        cause=cause + (", in a fixed order: the same rows are dropped each time" if fixed else ""),
        fix=fix,
        epochs=tuple(e.epoch for e in epochs),
        rows=epochs[0].missed,
        count=sum(e.missed.size for e in epochs),
        claims=tuple(Claim(e.epoch, missed=e.missed) for e in epochs),
        severity=Severity.INFO if allowed else None,
        numbers={"remainder": lost, "batch_size": size},
    )


def _leaves(counts: SplitCounts, divided: Divided, size: int) -> tuple[str, str] | None:
    """(cause, fix) where what the epoch misses is what its readers leave of their parts, each less than a batch."""
    epoch, share = divided.epoch, divided.share
    ranks, n = share.ranks, counts.expected.size
    if divided.n_workers < 2 or epoch.surplus or not epoch.missed or not divided.one_pass:
        return None
    if ended(counts, epoch) is None:
        return None
    missed = epoch.missed.size
    readers = max(divided.n_workers, len(ranks) * counts.remarks.workers)
    if all(w.smallest == size for r in ranks for w in r.workers) and missed <= max(
        readers * (size - 1), n % (size * len(ranks))
    ):
        whose = "loader worker" if readers > len(ranks) else "rank"
        return (
            f"each {whose} yields full batches of {number(size)} only and drops the rest of its own part",
            "keep the last partial batches, or declare contract='drop-remainder'",
        )
    if len(ranks) > 1 and len({r.visits for r in ranks}) == 1 and missed == n % len(ranks):
        return (
            f"{number(n)} mod {number(len(ranks))} = {missed}: what does not divide evenly among the ranks is dropped",
            "let the sampler pad (drop_last=False), or declare contract='drop-remainder'",
        )
    return None


def drops_remainder(counts: SplitCounts) -> bool:
    """Whether every pass that the loader ended, and some did, leaves out one remainder."""
    lost = remainder_of(counts)
    ended = [p for p in counts.passes if p.ended_by == "loader"]
    return lost > 0 and bool(ended) and all(_drops(counts, p, lost) for p in ended)


def remainder_of(counts: SplitCounts) -> int:
    """N mod (W·B), 0 where N or B is unknown."""
    if counts.batch_size is None or counts.shards is None:
        return 0
    return counts.shards.rows % (counts.batch_size * max(counts.run.ranks, 1))


def _drops(counts: SplitCounts, count: PassCount, remainder: int) -> RowSet:
    """What a pass of full batches leaves out, if it is the remainder; what was yielded and not trained on is not."""
    if count.ended_by != "loader" or count.partial_batches:
        return RowSet.empty()
    rows = left_out(counts, count)
    return rows if rows.size == remainder else RowSet.empty()


def _claims(counts: SplitCounts, dropped: dict[tuple[int, int], RowSet], remainder: int) -> Iterator[Claim]:
    for epoch in counts.complete_epochs:
        mine = RowSet.union([dropped[s.rank, s.pass_] for s in epoch.spans if (s.rank, s.pass_) in dropped])
        # The record may end with the very batch after which the loader begins anew.
        missed = epoch.missed if epoch.missed.size == remainder else epoch.missed & mine
        if missed:
            yield Claim(epoch.epoch, missed=missed)


_TEN = (((0, 1, 2, 3), (4, 5, 6, 7)), ((0, 1, 2, 3), (4, 5, 6, 7)), ((0, 1, 2, 3), (4, 5, 6, 7)))
_OF_WORKERS = (By((0, 3), worker=0), By((1, 4), worker=1), By((2, 5), worker=2), By((6, 7), worker=0))
_DEALT_OUT = (By((0, 1, 2, 3), 0), By((4, 5, 6, 7), 1), By((8, 9, 10, 11), 0), By((12, 13, 14, 15), 1))
_DEALT_AND_FILLED_UP = (By((0, 1, 2, 3), 0), By((4, 5, 6, 7), 1), By((8, 9, 10, 11), 0), By((0, 1, 2, 3), 1))
RULE = Rule(
    code="CA103",
    name="dropped-remainder",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=25,
    quiet=(
        Example((10,), (((0, 1, 2, 3), (4, 5, 6, 7), (8, 9)), ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9))), batch_size=4),
        Example((16,), (_DEALT_OUT, _DEALT_OUT), batch_size=4, exhausted=True),
        Example((12,), (_DEALT_AND_FILLED_UP, _DEALT_AND_FILLED_UP), batch_size=4, exhausted=True),
    ),
    fires=(
        Example((10,), _TEN, batch_size=4, reported=(8, 9)),
        Example((10,), (_OF_WORKERS,), batch_size=2, exhausted=True, reported=(8, 9)),
    ),
)
