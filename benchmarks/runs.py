"""Run logs to measure, recorded by the real recorder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import coverage_audit as ca
from coverage_audit.model.rows import Ints
from coverage_audit.runlog.folder import state_of
from coverage_audit.runlog.parts import finish_log

SHARD_ROWS = 10_000
BATCH = 256


def sharded(rows: int, shard_rows: int = SHARD_ROWS) -> ca.Dataset:
    """``rows`` rows in equal shards of ``shard_rows``, the last one shorter."""
    counts = [min(shard_rows, rows - start) for start in range(0, rows, shard_rows)]
    return ca.Dataset.of({f"x_{at:05d}.npy": count for at, count in enumerate(counts)})


def batches(order: Ints, size: int = BATCH) -> Iterator[Ints]:
    """An epoch's order cut into batches, the last one shorter."""
    for start in range(0, len(order), size):
        yield order[start : start + size]


def record_epochs(log: Path, data: ca.Dataset, epochs: Iterator[Iterator[Ints]], killed: Path | None = None) -> None:
    """A finished run of these epochs of batches of sample ids, as Parquet parts.

    ``killed``: also leave here what a process killed just before the end would have left: nothing but journals.
    """
    recorder = ca.Recorder(log, data, batch_size=BATCH, run_id="benchmark")
    for epoch in epochs:
        with recorder.epoch():
            for ids in epoch:
                recorder.step(ids)
    if killed is not None:
        shutil.copytree(state_of(log), state_of(killed))
    recorder.close()
    finish_log(log)  # of a log too large for close() to make its parts


def record_ranks(log: Path, data: ca.Dataset, epochs: Sequence[Sequence[Ints]], ranks: int) -> None:
    """The same batches, dealt out to so many ranks one by one."""
    for rank in range(ranks):
        dealt = (iter(epoch[rank::ranks]) for epoch in epochs)
        recorder = ca.Recorder(log, data, batch_size=BATCH, run_id="benchmark", data_parallel=(rank, ranks))
        _record(recorder, dealt)
    finish_log(log)


def record_restart(log: Path, data: ca.Dataset, epochs: Sequence[Sequence[Ints]]) -> None:
    """The same batches in two attempts: the second goes on from the middle, after the first did one epoch more."""
    half = len(epochs) // 2
    recorder = ca.Recorder(log, data, batch_size=BATCH, run_id="benchmark")
    for number, epoch in enumerate(epochs[: half + 1]):
        if number == half:
            recorder.checkpoint("middle")
        with recorder.epoch():
            for ids in epoch:
                recorder.step(ids)
    recorder.close()
    recorder = ca.Recorder(log, data, batch_size=BATCH, run_id="benchmark", resume=True)
    recorder.restored("middle")
    _record(recorder, (iter(epoch) for epoch in epochs[half:]))
    finish_log(log)


def _record(recorder: ca.Recorder, epochs: Iterator[Iterator[Ints]]) -> None:
    for epoch in epochs:
        with recorder.epoch():
            for ids in epoch:
                recorder.step(ids)
    recorder.close()


def sliced_epochs(rows: int, epochs: int, shard_rows: int = SHARD_ROWS) -> Iterator[Iterator[Ints]]:
    """Slices of the shards, in file order, the shards shuffled: a log keeps a record per batch, not per row."""
    rng = np.random.default_rng(7)
    for _ in range(epochs):
        starts = rng.permutation(np.arange(0, rows, shard_rows)).tolist()
        yield (ids for start in starts for ids in batches(np.arange(start, min(start + shard_rows, rows))))


def damaged_epochs(rows: int, epochs: int) -> Iterator[Iterator[Ints]]:
    """Shuffled epochs; epoch ``e`` visits ``e`` rows twice in place of ``e`` others: there is something to find.

    No two neighbours are consecutive rows. A log stores those as one record, which whoever counts records with a plain
    group-by would have to spell out first; the comparison does not charge them for that.
    """
    rng = np.random.default_rng(7)
    for number in range(epochs):
        order = rng.permutation(rows)
        order[:number] = order[rows - number :]
        while len(at := np.flatnonzero(order[1:] == order[:-1] + 1)):
            for here, there in zip(at.tolist(), rng.integers(0, rows, len(at)).tolist(), strict=True):
                order[[here, there]] = order[[there, here]]
        yield batches(order)
