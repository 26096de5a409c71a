"""Ranks, or loader workers, share rows, and together they miss others.

## What it looks for
Complete epochs in which rows were seen by several ranks in one pass, more than padding needs, while about as many rows
were seen by none, and no rank repeats rows by itself: each rank shuffles in its own order before the data is divided,
or divides a list of files of its own. The same among the loader workers of a rank.

## Why it matters
With W ranks about (1 - 1/W)^W of the rows, a quarter for two ranks and more than a third for many, are missed in each
epoch, and as many visits are spent on rows that another rank had. Every rank's own log looks perfect.

## How to fix it
Shuffle with the same seed on every rank and worker and divide after that, or divide first and shuffle inside each part.
The rank belongs into the division, never into the seed of the permutation. Sort lists of files before they are divided.

## When it is fine
Where every rank samples for itself on purpose: declare `contract="with-replacement"`. A few rows that came in place of
others, of samples that could not be read, are not this, and left to other rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coverage_audit.counts.tables import SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import By, Example, Rule
from coverage_audit.rules._shares import Divided, divided_epochs
from coverage_audit.rules.ca401_replicated_ranks import replicated
from coverage_audit.rules.ca402_replicated_workers import replicating

DRAWN = 0.25
"""Share of what independent draws or orders come to, from which readers are taken to have them."""


@dataclass(frozen=True, slots=True)
class _Overlap:
    """``rows``: what several of ``readers`` ranks or loader workers saw in one pass."""

    divided: Divided
    rows: RowSet
    readers: int


def check(counts: SplitCounts) -> Iterator[Evidence]:
    """Complete epochs whose ranks, or a rank's loader workers, overlap beyond padding."""
    divided = list(divided_epochs(counts))
    for reader, found in (("rank", _ranks(counts, divided)), ("loader worker", _workers(counts, divided))):
        if found:
            yield _evidence(counts, reader, found)


def _ranks(counts: SplitCounts, epochs: Sequence[Divided]) -> list[_Overlap]:
    found = []
    for divided in epochs:
        rows = divided.shared_by_ranks
        if not rows or not divided.epoch.missed or replicated(divided):
            continue
        padding = rows.size < _slack(counts) and divided.one_pass and not rows - divided.share.last
        if not padding and _by_division(counts, divided, rows, [r.visits for r in divided.share.ranks]):
            found.append(_Overlap(divided, rows, len(divided.share.ranks)))
    alone = sum(r.surplus for o in found for r in o.divided.share.ranks)
    return [] if _draws(counts, alone, [r.visits for o in found for r in o.divided.share.ranks]) else found


def _workers(counts: SplitCounts, epochs: Sequence[Divided]) -> list[_Overlap]:
    """The same inside the ranks, in epochs of one pass where what the workers share is about what nobody has."""
    found = []
    for divided in epochs:
        rows, epoch = divided.share.of_workers, divided.epoch
        if not rows or not divided.one_pass or any(replicating(r) for r in divided.share.ranks):
            continue
        shared = epoch.repeated.among(rows)
        if not _by_division(counts, divided, rows, [w.visits for r in divided.share.ranks for w in r.workers]):
            continue
        if abs(shared - epoch.missed.size) <= _slack(counts, divided.n_workers) + shared // 2 and epoch.missed:
            found.append(_Overlap(divided, rows, max(len(r.workers) for r in divided.share.ranks)))
    workers = [w for o in found for r in o.divided.share.ranks for w in r.workers]
    alone = sum(w.visits - w.unique for w in workers)
    return [] if _draws(counts, alone, [w.visits for w in workers]) else found


def _evidence(counts: SplitCounts, reader: str, found: Sequence[_Overlap]) -> Evidence:
    # What an overlap costs elsewhere is at most as much as it is, beside what every division leaves over.
    claims = tuple(_claim(o, _slack(counts, o.divided.n_workers)) for o in found)
    first = found[0]
    epoch = first.divided.epoch
    if _whole_shards(counts, first.rows):
        cause = (
            f"whole shards were given to several {reader}s: they do not have the same list, or divide it differently"
        )
        fix = f"sort the list of files, shuffle it with the same seed on every {reader}, and divide it after that"
    else:
        cause = f"each {reader} puts the data into an order of its own before it takes its part"
        fix = f"use the same seed for the permutation on all {reader}s and divide it after that, or divide first"
    return Evidence(
        message=f"{number(first.readers)} {reader}s see {several(first.rows.size, 'row')} more than once between them "
        f"and miss {number(epoch.missed.size)} of {number(counts.expected.size)}",
        cause=cause,
        fix=fix,
        epochs=tuple(o.divided.epoch.epoch for o in found),
        rows=first.rows,
        count=sum(
            c.missed.size + o.divided.epoch.repeated.among(c.repeated) for c, o in zip(claims, found, strict=True)
        ),
        claims=claims,
        severity=Severity.INFO if counts.info.contract.kind == "with-replacement" else None,
        numbers={
            "ranks" if reader == "rank" else "workers": first.readers,
            "shared": first.rows.size,
            "missed": epoch.missed.size,
        },
    )


def _claim(overlap: _Overlap, slack: int) -> Claim:
    epoch, rows = overlap.divided.epoch, overlap.rows
    missed = epoch.missed if epoch.missed.size <= epoch.repeated.among(rows) + slack else RowSet.empty()
    return Claim(epoch.epoch, missed, epoch.repeated.rows & rows)


def _slack(counts: SplitCounts, readers: int = 0) -> int:
    """What padding or a last batch of each reader come to."""
    return (counts.batch_size or 1) * max(counts.run.ranks, readers, 1)


def _draws(counts: SplitCounts, alone: int, visits: Sequence[int]) -> bool:
    """Whether readers repeat rows by themselves (``alone`` times) as often as independent draws would: v visits of n
    rows about v^2/2n times."""
    return alone > 0 and alone > DRAWN * sum(v**2 for v in visits) / (2 * counts.expected.size)


def _by_division(counts: SplitCounts, divided: Divided, rows: RowSet, visits: Sequence[int]) -> bool:
    """Whether it is the way the data was divided that made readers share ``rows``: most of some shards, or with as
    many rows left to nobody as where each of them takes ``visits`` of n rows in an order of its own, n·Π(1 - v/n).

    A few rows that came in place of others (of samples that could not be read) are neither.
    """
    n = counts.expected.size
    nobody = n * math.prod(max(1 - v / n, 0) for v in visits)
    return divided.epoch.missed.size >= DRAWN * nobody or _most_of_shards(counts, rows)


def _most_of_shards(counts: SplitCounts, rows: RowSet) -> bool:
    if counts.shards is None or len(counts.shards) < 2:
        return False
    mine, whole = counts.shards.count_per_shard(rows), counts.shards.expected_per_shard
    return 2 * int(mine.sum()) >= int(whole[mine > 0].sum())


def _whole_shards(counts: SplitCounts, rows: RowSet) -> bool:
    if counts.shards is None or len(counts.shards) < 2:
        return False
    mine, whole = counts.shards.count_per_shard(rows), counts.shards.expected_per_shard
    return bool(((mine == 0) | (mine == whole)).all())


_EACH_ITS_OWN = (By((0, 3), 0), By((5, 1), 0), By((3, 2), 1), By((0, 4), 1))
_OF_ITS_OWN = tuple(By(b.ids, worker=b.rank) for b in _EACH_ITS_OWN)
_SAME_FILE = (By((0, 1), 0), By((2, 3), 0), By((0, 1), 1), By((6, 7), 1))
_INSTEAD_OF_ROW_3 = (
    *(By((0, 1, 2, 25, *range(4, 10)), 0), By(tuple(range(20, 30)), 1)),
    *(By(tuple(range(10, 20)), 0), By(tuple(range(30, 40)), 1)),
)
_INSTEAD_IN_A_WORKER = tuple(By(b.ids, worker=b.rank) for b in _INSTEAD_OF_ROW_3)
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
        Example((40,), (_INSTEAD_OF_ROW_3,), batch_size=1),
        Example((40,), (_INSTEAD_IN_A_WORKER,), batch_size=1),
    ),
    fires=(
        Example((8,), (_EACH_ITS_OWN,), reported=(0, 3)),
        Example((8,), (_OF_ITS_OWN,), reported=(0, 3)),
        Example((2, 2, 2, 2), (_SAME_FILE,), batch_size=1, reported=(0, 1)),
    ),
)
