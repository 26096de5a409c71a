"""Every pass stops after its first few batches.

## What it looks for
Two or more passes that all begin the data anew and all stop after the same number of full batches, more than the
remainder short of the data. The loop left them (a `break`, a limit on batches that nobody declared), or the loader
ended by itself: at the same place of storage order, or after each of several different shuffles.

## Why it matters
In a fixed order the rest of the data is never trained on; shuffled, every epoch leaves out other rows.

## How to fix it
Look for `break`, `islice`, `take(k)`, `limit_train_batches`, `num_samples=` and debugging limits that were left in. To
have short epochs, keep one iterator over all of them instead of beginning anew each time.

## When it is fine
While debugging, or with epochs that are shortened on purpose: `contract="subset"`, or a contract per run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coverage_audit.counts.order import Order
from coverage_audit.counts.tables import PassCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._order import is_stored
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``chance_common``: rows that all passes leave out, over how many would by chance, up to which each stops at a
    place of its own shuffle."""

    chance_common: float = 2.0


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Passes of one writer, all of the same number of full batches."""
    if counts.divided or not counts.expected or counts.evaluation:
        return
    passes = [p for p in counts.passes if p.ended_by]
    if len(passes) < 2 or any(not _stops_early(p) for p in passes) or len({p.batches for p in passes}) > 1:
        return
    ended_by = {p.ended_by for p in passes}
    if ended_by == {"trainer"}:
        # Epochs of a number of steps that somebody chose are another cause (short-epoch).
        if counts.info.steps_per_epoch is not None or any(e.declared is not None for e in counts.epochs):
            return
        cause, fix = "the loop leaves the loader there and begins it anew", "look for a break or a limit on batches"
    elif ended_by == {"loader"} and _cut_off(counts, passes, limits):
        cause = "the loader itself ends there and begins anew"
        fix = "look for take(k), islice, num_samples or a limit on batches in the loader"
    else:
        return
    claims = tuple(_claims(counts, passes))
    contract = counts.info.contract
    k, rows = passes[0].batches, passes[0].unique
    yield Evidence(
        message=f"every pass stops after {several(k, 'batch')}: {number(rows)} of "
        f"{several(counts.expected.size, 'row')}",
        cause=cause,
        fix=fix,
        epochs=tuple(c.epoch for c in claims),
        rows=passes[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        severity=Severity.INFO if contract.tolerates_missed or contract.per == "run" else None,
        numbers={"batches": k, "rows": rows, "passes": len(passes)},
    )


def _stops_early(count: PassCount) -> bool:
    """Whether a pass of full batches, each row once, lacks more rows than a batch holds."""
    if count.pass_from == "unknown" or not count.batches or count.repeated or count.untrained_batches:
        return False
    return not count.partial_batches and count.missed.size > count.visits // count.batches > 0


def _cut_off(counts: SplitCounts, passes: Sequence[PassCount], limits: Limits) -> bool:
    """Whether what the passes leave out is what comes after their last batch, not certain rows."""
    orders: dict[int, Order] = {o.pass_: o for o in counts.orders}
    missed = [p.missed for p in passes]
    if all(m == missed[0] for m in missed):
        stored = all(p.pass_ in orders and is_stored(orders[p.pass_]) for p in passes)
        return stored and _is_tail(counts, missed[0]) and not _whole_shards(counts, missed[0])
    common, expected = missed[0], float(counts.expected.size)
    for rows in missed:
        common = common & rows
        expected *= rows.size / counts.expected.size
    return common.size <= limits.chance_common * expected + 10


def _is_tail(counts: SplitCounts, rows: RowSet) -> bool:
    """Whether these are the last of the expected rows."""
    return rows == counts.expected & RowSet.span(int(rows.starts[0]), int(counts.expected.stops[-1]))


def _whole_shards(counts: SplitCounts, rows: RowSet) -> bool:
    assert counts.shards is not None
    mine, whole = counts.shards.count_per_shard(rows), counts.shards.expected_per_shard
    return bool(((mine == 0) | (mine == whole)).all())


def _claims(counts: SplitCounts, passes: Sequence[PassCount]) -> Iterator[Claim]:
    missed = {p.pass_: p.missed for p in passes}
    for epoch in counts.complete_epochs:
        mine = [missed[s.pass_] for s in epoch.spans if s.pass_ in missed]
        # An epoch of several such passes misses what all of them do.
        if mine and epoch.missed:
            yield Claim(epoch.epoch, missed=epoch.missed & RowSet.union(mine))


_FIRST = ((0, 1), (2, 3))
_PASS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
RULE = Rule(
    code="CA107",
    name="truncated-pass",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=40,
    limits=Limits(),
    quiet=(
        Example((10,), (_PASS, _PASS)),
        Example((10,), (_PASS[:4], _PASS[:4], _PASS[:4])),
        Example((4, 6), (_FIRST, _FIRST, _FIRST)),
    ),
    fires=(Example((10,), (_FIRST, _FIRST, _FIRST), reported=(4, 5, 6, 7, 8, 9)),),
)
