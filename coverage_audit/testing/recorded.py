"""What a run log holds, batch by batch, as plain values: to be held against what a loop really got."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from coverage_audit.model.event import VERIFIED, Found
from coverage_audit.runlog.reader import Log, read_log
from coverage_audit.runlog.visits import Visits


@dataclass(frozen=True, slots=True)
class RecordedBatch:
    """One consumption of a batch, or one yield that nothing says was consumed (``step`` -1).

    ``rows``: sample ids in the order of the batch; None if its rows are unknown. A row outside the data stands as the
    number that was given for it.
    """

    writer: str
    number: int
    step: int
    pass_: int
    epoch: int
    worker: int
    rows: tuple[int, ...] | None


@dataclass
class _Open:
    batch: RecordedBatch
    rows: list[int] = field(default_factory=list)
    known: bool = True

    def close(self) -> RecordedBatch:
        one = self.batch
        rows = tuple(self.rows) if self.known else None
        return RecordedBatch(one.writer, one.number, one.step, one.pass_, one.epoch, one.worker, rows)


def recorded_batches(log: str | Path, split: str = "train") -> list[RecordedBatch]:
    """Every batch of a split, writer by writer (attempt, rank, process), in the order of the log.

    Raises :class:`~coverage_audit.errors.LogError` if the log cannot be read. For small logs: rows become Python ints.
    """
    read = read_log(log)
    out: list[RecordedBatch] = []
    for writer in read.writers:
        current: _Open | None = None
        offsets = _offsets(read, writer.name, split)
        for visits in read.visits(writer):
            for index in range(len(visits)):
                if visits.splits[visits.split[index]] != split:
                    continue
                batch = _batch(visits, index, writer.name)
                if current is None or (current.batch.number, current.batch.step) != (batch.number, batch.step):
                    if current is not None:
                        out.append(current.close())
                    current = _Open(batch)
                _add_rows(current, visits, index, offsets)
        if current is not None:
            out.append(current.close())
    return out


def _batch(visits: Visits, index: int, writer: str) -> RecordedBatch:
    return RecordedBatch(
        writer,
        int(visits.batch[index]),
        int(visits.step[index]),
        int(visits.pass_[index]),
        int(visits.epoch[index]),
        int(visits.worker[index]),
        None,
    )


def _add_rows(current: _Open, visits: Visits, index: int, offsets: list[int] | None) -> None:
    if (int(visits.found[index]) & ~VERIFIED) == Found.UNKNOWN:
        current.known = False
        return
    shard, row = int(visits.shard[index]), int(visits.row[index])
    first = row if offsets is None or shard < 0 else offsets[shard] + row
    current.rows += range(first, first + int(visits.count[index]))


def _offsets(read: Log, writer: str, split: str) -> list[int] | None:
    """First sample id of each shard; None where no dataset was declared."""
    (declared,) = (w for w in read.writers if w.name == writer)
    info = next((s for s in declared.splits if s.name == split), None)
    if info is None or info.fingerprint is None:
        return None
    return [int(n) for n in read.datasets[info.fingerprint].offsets]
