"""Rows are drawn with replacement: an epoch repeats some and leaves others out.

## What it looks for
Epochs in which the visits per row vary as much as independent draws do (their variance is about their mean or more),
while the same loader worker repeats rows all along. Drawn evenly, N draws leave out about 1/e = 37 % of N rows; drawn
unevenly (files first, rows second; weights; random windows) more.

## Why it matters
More than a third of the data is not seen in an epoch, and which rows is left to chance; over E epochs some rows are
seen three times as often as others.

## How to fix it
Permute the rows once per pass and cut the permutation into batches; `RandomSampler(replacement=False)`; weights in the
loss instead of in the sampler.

## When it is fine
When it is wanted, as in bootstrap or class-balanced sampling: `contract="with-replacement"` makes it a note. Under
`contract="subset"` rows may be left out, and that others are repeated warns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coverage_audit.counts.tables import EpochCount, SplitCounts
from coverage_audit.model.finding import Claim, Evidence, Severity
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import number, several
from coverage_audit.rules._rule import Example, Rule


@dataclass(frozen=True, slots=True)
class Limits:
    """``dispersion``: variance over mean of the visits per row, from which they look drawn (several passes with their
    own shuffles stay below). ``repeats``: how many repeats at least; ``of_expected``: share of those that even draws
    would make. ``even``: dispersion up to which the draws are even."""

    dispersion: float = 0.8
    repeats: int = 10
    of_expected: float = 0.5
    even: float = 1.3


def check(counts: SplitCounts, limits: Limits) -> Iterator[Evidence]:
    """Complete epochs, taken together."""
    n = counts.expected.size
    epochs = [e for e in counts.complete_epochs if e.visits and not e.unidentified and not e.replayed_batches]
    if not n or not epochs or sum(e.aliased_batches for e in epochs) * 10 > sum(e.steps for e in epochs):
        return
    repeats, even = _repeats(counts, epochs)
    missed = sum(e.missed.size for e in epochs)
    if repeats < limits.repeats or repeats < limits.of_expected * even or not missed:
        return
    mean = sum(e.visits for e in epochs) / n
    dispersion = sum(_variance(e, n) for e in epochs) / mean
    if dispersion < limits.dispersion or not _varied(epochs, n):
        return
    fixed = _never(counts, epochs)
    claims = tuple(Claim(e.epoch, e.missed - fixed, e.repeated.rows) for e in epochs)
    share = missed / (n * len(epochs))
    contract = counts.info.contract
    tolerated = contract.per == "run" or (contract.tolerates_missed and contract.tolerates_repeats)
    evenly = dispersion <= limits.even
    without = "draw the part without replacement" if contract.tolerates_missed else "permute the rows once per pass"
    yield Evidence(
        message=f"an epoch of {number(round(mean * n / len(epochs)))} draws leaves out {100 * share:.0f} % of "
        f"{several(n, 'row')} and repeats others",
        cause="rows are drawn with replacement"
        + (
            f": even draws leave out exp(-draws / N) = {100 * math.exp(-mean / len(epochs)):.0f} %"
            if evenly
            else ", and not evenly: some rows are much more likely than others"
        ),
        fix="" if tolerated else f"{without}, or declare contract='with-replacement'",
        epochs=tuple(e.epoch for e in epochs),
        rows=epochs[0].missed,
        count=sum(c.missed.size for c in claims),
        claims=claims,
        # Of a subset nobody promised all rows: what remains are repeats, which warn.
        severity=Severity.INFO if tolerated else Severity.WARNING if contract.tolerates_missed else None,
        numbers={"dispersion": round(dispersion, 3), "left_out": round(share, 4), "even": evenly},
    )


def _repeats(counts: SplitCounts, epochs: Sequence[EpochCount]) -> tuple[int, float]:
    """(visits that repeat a row of the same loader worker in an epoch, how many even draws would make)."""
    judged, n = {e.epoch for e in epochs}, counts.expected.size
    workers = [
        (worker.visits, worker.unique)
        for share in counts.shares
        if share.epoch in judged
        for rank in share.ranks
        for worker in rank.workers
    ]
    expected = sum(visits + n * math.expm1(visits * math.log1p(-1 / n)) for visits, _ in workers) if n > 1 else 0.0
    return sum(visits - unique for visits, unique in workers), expected


def _variance(epoch: EpochCount, n: int) -> float:
    """Of the visits per expected row."""
    extra = epoch.repeated.extra.astype(np.int64)
    once = n - epoch.missed.size - len(extra)
    return (once + int(((extra + 1) ** 2).sum())) / n - (epoch.visits / n) ** 2


def _varied(epochs: Sequence[EpochCount], n: int) -> bool:
    """Whether rows are visited once, twice, three times and so on, not 0 or k times.

    Where even draws hardly ever come three times, twice is enough.
    """
    times = set[int]()
    for epoch in epochs:
        times |= set((np.unique(epoch.repeated.extra) + 1).tolist())
        if epoch.unique > epoch.repeated.rows.size:
            times.add(1)
    rate = max(e.visits for e in epochs) / n
    three = n * len(epochs) * rate**3 / 6 * math.exp(-rate)
    return len(times) >= (3 if three > 5 else 2)


def _never(counts: SplitCounts, epochs: Sequence[EpochCount]) -> RowSet:
    """Rows that no epoch visits, if by chance there would be none: they cannot be drawn at all."""
    expected = float(counts.expected.size)
    for epoch in epochs:
        expected *= epoch.missed.size / counts.expected.size
    return counts.never_seen if expected < 0.01 else RowSet.empty()


_DRAWS = (
    (3, 8, 3, 0, 5), (17, 8, 1, 12, 19), (8, 4, 19, 3, 10), (6, 1, 15, 0, 14), (14, 14, 2, 11, 3),
    (16, 9, 5, 17, 0), (12, 8, 13, 2, 19), (7, 3, 18, 1, 14),
)  # fmt: skip
_HALVES = tuple(tuple(range(i, i + 5)) for i in range(0, 10, 5))
RULE = Rule(
    code="CA203",
    name="sampling-with-replacement",
    severity=Severity.ERROR,
    role="diagnosis",
    since="0.1",
    check=check,
    rank=20,
    limits=Limits(),
    quiet=(
        Example((20,), (_HALVES + _HALVES,)),
        Example((20,), (tuple(tuple(range(i, i + 5)) for i in range(0, 20, 5)),)),
    ),
    fires=(Example((40,), (_DRAWS,), reported=tuple(range(20, 40))),),
)
