"""Around each restore: which rows the pass (or epoch) it lies in had visited by then, and which came after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from coverage_audit.counts.blocks import Block, Status, read_blocks
from coverage_audit.counts.source import Origin, SplitSource, Stream
from coverage_audit.counts.tally import Tally
from coverage_audit.counts.tracker import Tracker
from coverage_audit.model.rows import Ints, Mask, RowSet

OPENING = 1 << 16
"""Visits of the begin of a pass that are held against those after a restore."""


@dataclass(frozen=True, slots=True)
class Resume:
    """A restore that the run went on from, all ranks together.

    ``unit``: epoch or pass, ``number``: which one the checkpoint lies in. ``cut``: it was going on then;
    ``goes_on``: what follows belongs to it too. ``before`` and ``after``: the rows of it (or of the next unit) that
    were visited by then and from then on, with their visits. Of the first ``compared`` visits after the restore
    ``reopened`` are the rows the unit had begun with. ``again_first``: of the first ``first_visits`` visits after it
    (as many as rows came again in all, or about :data:`OPENING` of each rank), how many are such rows.
    """

    attempt: int
    origin: Origin | None
    unit: str
    number: int
    cut: bool
    goes_on: bool
    before: RowSet
    before_visits: int
    after: RowSet
    after_visits: int
    compared: int
    reopened: int
    first_visits: int
    again_first: int

    @property
    def again(self) -> RowSet:
        """Rows visited before the checkpoint and after the restore."""
        return self.before & self.after


@dataclass(slots=True)
class _Join:
    """One rank's part of a restore."""

    attempt: int
    number: int
    unit: str
    cut: bool
    next_number: int
    before: Mask
    before_visits: int
    opening: Ints
    after: Mask
    after_visits: int = 0
    first: list[Ints] = field(default_factory=list)


def find_resumes(source: SplitSource) -> tuple[Resume, ...]:
    """One entry per restore inside the lineage; nothing without a dataset, which would have no rows to compare."""
    if source.history is None or source.shards is None:
        return ()
    joins: dict[tuple[int, int], list[_Join]] = {}
    for parts, cuts in zip(source.history.parts, source.history.cuts, strict=True):
        seen: dict[int, int] = {}
        for join in _joins(source, parts, cuts):
            seen[join.attempt] = seen.get(join.attempt, 0) + 1
            joins.setdefault((join.attempt, seen[join.attempt]), []).append(join)
    return tuple(_together(source, of_ranks) for _, of_ranks in sorted(joins.items()))


def _joins(source: SplitSource, parts: tuple[Stream, ...], cuts: tuple[bool, ...]) -> list[_Join]:
    if len(parts) < 2:
        return []
    try:
        return _join(source, parts, cuts, _by_epoch(source, parts))
    except _EpochUntold:  # the unit is a pass, which only shows in what came before
        return _join(source, parts, cuts, _by_label(source, parts))


def _join(
    source: SplitSource, parts: tuple[Stream, ...], cuts: tuple[bool, ...], stretches: Iterator[_Stretch]
) -> list[_Join]:
    assert source.shards is not None
    n_ids = source.shards.n_ids
    out: list[_Join] = []
    part, number, unit = 0, -1, "epoch"
    seen, visits, opening = np.zeros(n_ids, np.bool_), 0, np.empty(0, np.int64)
    for stretch in stretches:
        now, kind, label, ids = stretch.part, stretch.unit, stretch.number, stretch.ids
        if now != part:
            attempt = parts[now].writer.attempt
            if visits:
                out.append(
                    _Join(attempt, number, unit, cuts[now - 1], label, seen.copy(), visits, opening,
                          np.zeros(n_ids, np.bool_))
                )  # fmt: skip
            part = now
        if (kind, label) != (unit, number):
            seen, visits, opening = np.zeros(n_ids, np.bool_), 0, np.empty(0, np.int64)
            unit, number = kind, label
        seen[ids] = True
        visits += len(ids)
        if len(opening) < OPENING:
            opening = np.concatenate((opening, ids[: OPENING - len(opening)]))
        if out and out[-1].attempt == parts[part].writer.attempt and label == out[-1].next_number:
            join = out[-1]
            join.after[ids] = True
            join.after_visits += len(ids)
            if sum(map(len, join.first)) < OPENING:
                join.first.append(ids[:OPENING])
    return out


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Consumed visits of one part, inside one unit."""

    part: int
    unit: str
    number: int
    ids: Ints


class _EpochUntold(Exception):
    """Nobody says which epoch a batch belongs to, or the contract is not about epochs."""


def _by_epoch(source: SplitSource, parts: tuple[Stream, ...]) -> Iterator[_Stretch]:
    """All stretches where every batch tells its epoch: no pass has to be looked for."""
    for block, part in _blocks(source, parts):
        if block.status is not Status.HOLE and len(block.ids):
            if block.epoch < 0 or source.info.contract.per != "epoch":
                raise _EpochUntold
            yield _Stretch(part, "epoch", block.epoch, block.ids)


def _by_label(source: SplitSource, parts: tuple[Stream, ...]) -> Iterator[_Stretch]:
    """All stretches, by the epoch if the contract is about epochs and it is told, else by the pass."""
    assert source.shards is not None
    part_of: dict[int, int] = {}

    def blocks() -> Iterator[Block]:
        for block, at in _blocks(source, parts):
            part_of[id(block)] = at
            yield block

    tracker = Tracker(0, source.shards.n_ids, source.shards.rows)
    for piece in tracker.pieces(blocks()):
        if piece.block.status.yielded:
            tracker.commit(piece)
        if piece.block.status is Status.HOLE or not len(piece.ids):
            continue
        told = piece.block.epoch >= 0 and source.info.contract.per == "epoch"
        unit, number = ("epoch", piece.block.epoch) if told else ("pass", piece.pass_)
        yield _Stretch(part_of[id(piece.block)], unit, number, piece.ids)


def _blocks(source: SplitSource, parts: tuple[Stream, ...]) -> Iterator[tuple[Block, int]]:
    for at, part in enumerate(parts):
        for block in read_blocks(source, part, Tally()):
            yield block, at


def _together(source: SplitSource, joins: list[_Join]) -> Resume:
    first = joins[0]
    assert source.history is not None
    before = np.logical_or.reduce([j.before for j in joins])
    after = np.logical_or.reduce([j.after for j in joins])
    again = before & after
    compared = reopened = first_visits = again_first = 0
    for join in joins:
        following = np.concatenate([np.empty(0, np.int64), *join.first])
        m = min(len(join.opening), len(following))
        compared += m
        reopened += len(np.intersect1d(join.opening[:m], following[:m]))
        following = following[: int((join.before & again & join.after).sum())]
        first_visits += len(following)
        again_first += int(again[following].sum())
    return Resume(
        attempt=first.attempt,
        origin=source.history.origins.get(first.attempt),
        unit=first.unit,
        number=first.number,
        cut=first.cut,
        goes_on=first.next_number == first.number,
        before=RowSet.of_mask(before),
        before_visits=sum(j.before_visits for j in joins),
        after=RowSet.of_mask(after),
        after_visits=sum(j.after_visits for j in joins),
        compared=compared,
        reopened=reopened,
        first_visits=first_visits,
        again_first=again_first,
    )
