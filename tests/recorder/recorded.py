"""What a recorder left in its journal, as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coverage_audit.model.event import Batch, Consumed
from coverage_audit.runlog.journal import read_journal
from coverage_audit.runlog.reader import read_log


def events(log: Path) -> list[Any]:
    """Without times: (kind, split, data) of marks, (split, steps), (split, number, segment, pass, rows) of yields."""
    state = log.with_name(log.name + ".state")
    out: list[Any] = []
    for path in sorted(state.glob("*.journal")):
        names = splits(log, path.name.rsplit("-", 1)[0])
        for event in read_journal(path, names).events():
            if isinstance(event, Batch):
                out.append((event.split, event.number, event.segment, event.pass_, rows_of(event)))
            elif isinstance(event, Consumed):
                out.append((event.split, event.steps))
            else:
                out.append((event.kind.value, event.split, event.data))
    return out


def marks(log: Path) -> list[Any]:
    return [e for e in events(log) if isinstance(e[-1], dict)]


def batches(log: Path) -> list[Any]:
    """(number, segment, pass, rows) of each yield."""
    return [e[1:] for e in events(log) if len(e) == 5]


def splits(log: Path, stem: str) -> list[str]:
    (writer,) = (w for w in read_log(log).writers if w.name == stem)
    return [s.name for s in writer.splits]


def rows_of(batch: Batch) -> Any:
    """Ids, (shard, row) pairs, runs, or the number of rows whose numbers are unknown."""
    rows = batch.rows
    if rows.ids is not None:
        return rows.ids.tolist()
    if rows.runs is not None:
        return [tuple(run) for run in rows.runs.tolist()]
    if rows.shard is not None and rows.row is not None:
        return list(zip(rows.shard.tolist(), rows.row.tolist(), strict=True))
    return rows.count
