"""From yields to columns: ids located in shards, neighbours joined into runs, a chunk at a time, without row loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coverage_audit.model.event import Found
from coverage_audit.model.rows import Ints
from coverage_audit.model.run import Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.frames import MAGIC, Frame, Head
from coverage_audit.runlog.journal_read import ids_of, pairs_of, runs_of
from coverage_audit.runlog.visits import I32, Visits

CHUNK = 1 << 16
"""Records after which a chunk is handed on."""

# Members of an enumeration take their time; this is asked once per event.
_BY_ROW, _RUNS = (int(Frame.IDS), int(Frame.IDS_SMALL), int(Frame.PAIRS)), int(Frame.RUNS)

Pieces = tuple[Ints, I32, Ints, I32]
"""(owner, shard, row, count): runs of rows, and which entry each belongs to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One yield on its way to the columns, with what is known about its consumption."""

    head: Head
    payload: bytes | memoryview
    fit: int
    epoch: int
    step: int
    stage: int


def unknown_step(split: int, fit: int, epoch: int, step: int, stage: int) -> Entry:
    """A step that consumed nobody knows what: batch -1, and a count of 0 because even its size is unknown."""
    head: Head = (MAGIC, Frame.UNKNOWN, int(Found.UNKNOWN), split, -1, -1, -1, 0, -1, 0, 0, 0, 0)
    return Entry(head, b"", fit, epoch, step, stage)


def forgotten(head: Head, fit: int, epoch: int, step: int, stage: int) -> Entry:
    """A yield whose rows are not those that were recorded with it: only how many there were is still known."""
    unknown: Head = (*head[:1], Frame.UNKNOWN, int(Found.UNKNOWN), *head[3:10], 0, 0, 0)
    return Entry(unknown, b"", fit, epoch, step, stage)


def n_records_at_most(head: Head) -> int:
    """How many records a yield can become, shard boundaries inside runs aside."""
    frame = head[1]
    many = head[7] if frame in _BY_ROW else head[10] if frame == _RUNS else 1
    return many if many > 1 else 1


def columns(
    entries: Sequence[Entry], writer: Writer, splits: tuple[str, ...], shards: Sequence[Shards | None]
) -> Visits:
    """Entries of one writer -> visits, in the same order.

    ``shards[i]`` is the dataset of split ``i``, None if it has none: then ids stay raw with shard -1. Rows outside the
    dataset get shard -1 and the id (or, told as a pair, the row) as it was given. An entry without rows is one record
    with shard -1 and row -1; its count is 0 if its size is unknown, too.
    """
    facts = np.array([(*e.head[2:6], e.head[8], e.fit, e.epoch, e.step, e.stage) for e in entries], np.int64).reshape(
        -1, 9
    )
    found, split, pass_, worker, batch, fit, epoch, step, stage = facts.T
    groups: list[Pieces] = []
    for index in np.unique(split).tolist():
        own = np.flatnonzero(split == index)
        groups.extend(_pieces_of(entries, own, shards[index] if index < len(shards) else None))
    owner, shard, row, count = _in_order(groups)
    return Visits(
        splits=splits,
        attempt=writer.attempt,
        rank=writer.rank,
        process=writer.process,
        split=split.astype(np.int32)[owner],
        worker=worker.astype(np.int32)[owner],
        fit=fit.astype(np.int32)[owner],
        epoch=epoch.astype(np.int32)[owner],
        pass_=pass_.astype(np.int32)[owner],
        batch=batch[owner],
        step=step[owner],
        stage=stage.astype(np.int8)[owner],
        found=found.astype(np.int8)[owner],
        shard=shard,
        row=row,
        count=count,
    )


def _pieces_of(entries: Sequence[Entry], own: Ints, shards: Shards | None) -> list[Pieces]:
    """The runs of these entries, grouped by the form in which their rows came."""
    ids: list[Ints] = []
    id_owners: list[tuple[int, int]] = []
    pairs: list[tuple[Ints, I32]] = []
    pair_owners: list[tuple[int, int]] = []
    runs: list[Ints] = []
    run_owners: list[tuple[int, int]] = []
    spans: list[tuple[int, int, int]] = []
    blank: list[tuple[int, int]] = []
    for at in own.tolist():
        head, payload = entries[at].head, entries[at].payload
        frame, count, a, b = head[1], head[7], head[10], head[11]
        if frame in (Frame.IDS, Frame.IDS_SMALL) and count > 0:
            ids.append(ids_of(entries[at].head, payload))
            id_owners.append((at, count))
        elif frame == Frame.RUN and a < 0 and count > 0:
            spans.append((at, b, count))
        elif frame == Frame.RUN and count > 0:
            runs.append(np.array([[a, b, count]], np.int64))
            run_owners.append((at, 1))
        elif frame == Frame.RUNS and len(table := _not_empty(runs_of(payload))):
            runs.append(table)
            run_owners.append((at, len(table)))
        elif frame == Frame.PAIRS and count > 0:
            pairs.append(pairs_of(count, payload))
            pair_owners.append((at, count))
        else:
            blank.append((at, max(count, 0)))
    groups: list[Pieces] = []
    if ids:
        every = np.concatenate(ids)
        shard, row = (np.full(len(every), -1, np.int32), every) if shards is None else shards.locate(every)
        groups.append(_as_runs(_owners(id_owners), shard, row))
    if pairs:
        row = np.concatenate([r for r, _ in pairs])
        shard = _known_shards(np.concatenate([s for _, s in pairs]), row, row, shards)
        groups.append(_as_runs(_owners(pair_owners), shard, row))
    if runs:
        table = np.concatenate(runs)
        groups.append(_checked_runs(_owners(run_owners), table, shards))
    if spans:
        groups.append(_cut_spans(np.array(spans, np.int64), shards))
    if blank:
        table = np.array(blank, np.int64)
        none = np.full(len(table), -1, np.int64)
        groups.append((table[:, 0], none.astype(np.int32), none, table[:, 1].astype(np.int32)))
    return groups


def _not_empty(table: Ints) -> Ints:
    return table if table[:, 2].all() else table[table[:, 2] > 0]


def _owners(lengths: list[tuple[int, int]]) -> Ints:
    table = np.array(lengths, np.int64)
    return np.repeat(table[:, 0], table[:, 1])


def _as_runs(owner: Ints, shard: I32, row: Ints) -> Pieces:
    """Join what is consecutive inside one entry and one shard (or outside all of them)."""
    new = np.empty(len(row), np.bool_)
    new[:1] = True
    new[1:] = (owner[1:] != owner[:-1]) | (shard[1:] != shard[:-1]) | (row[1:] != row[:-1] + 1)
    if new.all():
        return owner, shard, row, np.ones(len(row), np.int32)
    first = np.flatnonzero(new)
    count = np.diff(np.append(first, len(row))).astype(np.int32)
    return owner[first], shard[first], row[first], count


def _known_shards(shard: npt.NDArray[np.int32], first: Ints, last: Ints, shards: Shards | None) -> I32:
    """``shard`` where rows ``first..last`` of it exist, else -1."""
    if shards is None or not len(shards):
        return np.full(len(shard), -1, np.int32)
    rows = np.diff(shards.offsets)
    real = (shard >= 0) & (shard < len(shards))
    inside = real & (first >= 0) & (last < rows[np.where(real, shard, 0)])
    return np.where(inside, shard, -1).astype(np.int32)


def _checked_runs(owner: Ints, table: Ints, shards: Shards | None) -> Pieces:
    """Runs (shard, row, count) as they are; one that leaves its shard is cut where it does."""
    first, last = table[:, 1], table[:, 1] + table[:, 2] - 1
    shard = _known_shards(table[:, 0].astype(np.int32), first, last, shards)
    odd = np.flatnonzero((shard != table[:, 0]) & (table[:, 0] >= 0)) if shards is not None else np.zeros(0, np.int64)
    if not len(odd):
        return owner, shard, first, table[:, 2].astype(np.int32)
    out: list[tuple[int, int, int, int]] = []
    for at, (which, start, count) in zip(owner.tolist(), table.tolist(), strict=True):
        rows = shards[which].rows if shards is not None and 0 <= which < len(shards) else 0
        for low, high, place in ((start, 0, -1), (max(start, 0), rows, which), (max(start, rows), None, -1)):
            stop = start + count if high is None else min(start + count, high)
            if stop > low:
                out.append((at, place, low, stop - low))
    return _as_pieces(out)


def _cut_spans(spans: Ints, shards: Shards | None) -> Pieces:
    """Spans (owner, first sample id, count) cut at shard boundaries; ids outside stay raw."""
    owner, start, count = spans[:, 0], spans[:, 1], spans[:, 2]
    if shards is None or not len(shards):
        return owner, np.full(len(spans), -1, np.int32), start, count.astype(np.int32)
    shard, row = shards.locate(start)
    end_shard, _ = shards.locate(start + count - 1)
    one_side = (shard >= 0) | (start >= shards.n_ids) | (start + count <= 0)
    whole = (shard == end_shard) & one_side
    if whole.all():
        return owner, shard, row, count.astype(np.int32)
    out: list[tuple[int, int, int, int]] = []
    offsets = shards.offsets
    for at, low, length in spans.tolist():
        high = low + length
        if low < 0:
            out.append((at, -1, low, min(high, 0) - low))
        inner, end = max(low, 0), min(high, shards.n_ids)
        if inner < end:
            between = offsets[(offsets > inner) & (offsets < end)]
            bounds = np.unique(np.concatenate(([inner], between, [end]))).tolist()
            which, first = shards.locate(np.array(bounds[:-1], np.int64))
            lengths = np.diff(bounds)
            out.extend((at, *piece) for piece in zip(which.tolist(), first.tolist(), lengths.tolist(), strict=True))
        beyond = max(low, shards.n_ids)
        if beyond < high:
            out.append((at, -1, beyond, high - beyond))
    return _as_pieces(out)


def _as_pieces(out: list[tuple[int, int, int, int]]) -> Pieces:
    table = np.array(out, np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1].astype(np.int32), table[:, 2], table[:, 3].astype(np.int32)


def _in_order(groups: list[Pieces]) -> Pieces:
    """All pieces by their entry; the order inside an entry stays."""
    if len(groups) == 1:
        return groups[0]
    if not groups:
        return _as_pieces([])
    owner, shard, row, count = (np.concatenate(column) for column in zip(*groups, strict=True))
    order = np.argsort(owner, kind="stable")
    return owner[order], shard[order], row[order], count[order]
