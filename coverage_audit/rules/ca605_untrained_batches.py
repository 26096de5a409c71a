"""Batches were yielded and never trained on.

## What it looks for
Yields that no training step consumed, while later batches were: holes where a `fit()` or an evaluation ended, or
batches somebody took before the first step. The
batches prefetched after the last step of all are named too, as a note.

## Why it matters
A trainer pulls ahead. When it drops its queue, the rows in it are gone for this pass, and the next epoch starts later
in the data than it should.

Where the loader runs on behind them and rows are missed for it, this is an error like the misses themselves. Where the
loop left the loader at that place and began it anew, what cut the pass explains more (CA107, CA601) and is named first.

## How to fix it
Train in one `fit()` call; give each call a fresh iterator; or hand over an object the trainer can index (a PyDataset)
or restart (a tf.data.Dataset).

## When it is fine
The tail after the last step is harmless. Holes are harmless where the stream is endless anyway: judge per run.
"""

from __future__ import annotations

from collections.abc import Iterator

from coverage_audit.counts.alignment import Alignment, fits_pass
from coverage_audit.counts.tables import Hole, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import several
from coverage_audit.rules._rule import Example, Lost, Rule


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Holes between trained batches, and the tail after them."""
    holes = [h for h in counts.holes if not h.tail]
    if holes:
        yield _holes(counts, holes)
    tail = [h for h in counts.holes if h.tail]
    if tail:
        batches = sum(h.batches for h in tail)
        broke_off = any(end.state == "open" for end in counts.run.writers)
        yield Evidence(
            message=f"{several(batches, 'batch')} yielded after the last step "
            + ("on record" if broke_off else "and never trained on"),
            cause="the record ends before anybody says whether they were trained on"
            if broke_off
            else "the trainer pulls ahead of itself and drops what is left",
            rows=_rows(tail),
            count=sum(h.n_rows for h in tail),
            severity=Severity.INFO,
            numbers={"batches": batches, "tail": True},
        )


def _holes(counts: SplitCounts, holes: list[Hole]) -> Evidence:
    batches = sum(h.batches for h in holes)
    claims = []
    first = min(h.after_epoch for h in holes)
    alignment = Alignment(counts)
    for epoch in counts.complete_epochs:
        mine = {(s.rank, s.pass_) for s in epoch.spans}
        missed = _rows([h for h in holes if (h.rank, h.pass_) in mine]) & epoch.missed
        shifted = alignment.of(epoch) if fits_pass(counts) and epoch.epoch > first else Claim(epoch.epoch)
        claims.append(Claim(epoch.epoch, missed | shifted.missed, shifted.repeated))
    places = len(holes)
    claims = [c for c in claims if c.missed or c.repeated]
    behind = any(_runs_on(counts, h) for h in holes)
    contract = counts.info.contract
    costly = behind and contract.per == "epoch" and not contract.tolerates_missed and any(c.missed for c in claims)
    # Nothing was trained yet: no queue was dropped, somebody looked.
    before = all(h.after_epoch < 0 for h in holes)
    return Evidence(
        message=f"{several(batches, 'batch')} yielded and never trained on, in {several(places, 'place')}; "
        "later batches were",
        cause="they were taken from the loader before the first step"
        if before
        else "a trainer pulls ahead and drops its queue when a fit() or an evaluation ends, or a loop takes a batch "
        "and leaves without training on it",
        fix="look at a generator of its own, and train on a fresh one"
        if before
        else "train in one fit() call, or give each call a fresh iterator; in a loop of your own leave before the next "
        "batch is taken: itertools.islice(loader, steps)",
        epochs=tuple(sorted({h.after_epoch for h in holes if h.after_epoch >= 0})),
        rows=_rows(holes),
        count=sum(h.n_rows for h in holes),
        claims=tuple(claims),
        severity=Severity.INFO if contract.per == "run" else Severity.ERROR if costly else None,
        late=not behind,
        numbers={"batches": batches, "places": places, "tail": False},
    )


def _runs_on(counts: SplitCounts, hole: Hole) -> bool:
    """Whether the loader went on behind the hole, in its pass or into the next one; else the pass was left there."""
    for count in counts.passes:
        if (count.rank, count.pass_) == (hole.rank, hole.pass_):
            return count.ended_by == "loader" or count.first_batch + count.batches > hole.first_batch + hole.batches
    return False


def _rows(holes: list[Hole]) -> RowSet:
    rows = RowSet.empty()
    for hole in holes:
        rows = rows | hole.rows
    return rows


RULE = Rule(
    code="CA605",
    name="untrained-batches",
    severity=Severity.WARNING,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=30,
    quiet=(Example((4,), (((0, 1), (2, 3)),)),),
    fires=(
        Example((6,), (((0, 1),), (Lost((2, 3)), (4, 5))), reported=(2, 3)),
        Example((4,), (((0, 1), Lost((2, 3))),), reported=(2, 3)),
    ),
)
