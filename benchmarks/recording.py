"""What recording adds to each step of a training loop, beside the same loop without it.

A step is one ``next()`` of the generator, and for the loop that trains also the mark that the step was consumed. The
loops take turns, 50 steps each, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import coverage_audit as ca
from benchmarks.effort import Effort
from benchmarks.section import Section, Target
from coverage_audit.errors import RecordingWarning

TURN = 50
AIM_US = 10.0
AIM_BATCH = 256

Batch = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of loader: ``make(x, y, batch_size)`` gives its batches for ever; ``ids`` as for ``wrap``."""

    name: str
    make: Callable[[Any, Any, int], Iterator[Batch]]
    ids: int | None


def shuffled(x: Any, _: Any, size: int) -> Iterator[Batch]:
    return _in_order(np.random.default_rng(1).permutation(len(x)), x, size)


def contiguous(x: Any, _: Any, size: int) -> Iterator[Batch]:
    return _in_order(np.arange(len(x)), x, size)


def _in_order(order: Any, x: Any, size: int) -> Iterator[Batch]:
    batch = np.array(x[:size])  # gathering rows would cost the bare loop more than there is to measure
    while True:
        for start in range(0, len(order) - size + 1, size):
            yield batch, order[start : start + size]


def slices_of_x(x: Any, _: Any, size: int) -> Iterator[Batch]:
    while True:
        for start in range(0, len(x) - size + 1, size):
            yield (x[start : start + size],)


def slices_of_both(x: Any, y: Any, size: int) -> Iterator[Batch]:
    while True:
        for start in range(0, len(x) - size + 1, size):
            yield x[start : start + size], y[start : start + size]


CASES = (
    Case("ids, shuffled", shuffled, 1),
    Case("ids, contiguous", contiguous, 1),
    Case("slices of x", slices_of_x, None),
    Case("slices of x and y", slices_of_both, None),
)


def measure(effort: Effort) -> Section:
    """µs per step over the bare loop, for every kind of loader and batch size."""
    rows = []
    targets = []
    with tempfile.TemporaryDirectory() as folder:
        shards = Path(folder) / "shards"
        shards.mkdir()
        length = 64 * max(effort.batch_sizes)
        np.save(shards / "x_0.npy", np.zeros((length, 4), np.float32))
        np.save(shards / "y_0.npy", np.zeros((length, 1), np.float32))
        for case in CASES:
            for size in effort.batch_sizes:
                steps = max(min(effort.steps, effort.steps * 2048 // size), TURN)
                bare, yielded, trained = _one(case, size, steps, Path(folder))
                median = [float(np.median(loop)) for loop in (bare, yielded, trained)]
                p99 = [float(np.percentile(loop, 99)) for loop in (bare, yielded, trained)]
                rows.append(
                    (
                        f"{case.name}, B={size}",
                        f"{median[0]:.1f} / {p99[0]:.1f}",
                        f"{median[1] - median[0]:+.1f} / {p99[1] - p99[0]:+.1f}",
                        f"{median[2] - median[0]:+.1f} / {p99[2] - p99[0]:+.1f}",
                    )
                )
                if size == AIM_BATCH:
                    over = median[2] - median[0]
                    aim = f"{case.name}: median of yield + trained ≤ {AIM_US:g} µs a step at B={size}"
                    targets.append(Target(aim, f"{over:.1f} µs", over <= AIM_US))
    return Section(
        title="Recording: µs per step, median / p99",
        columns=("loader", "bare loop", "yield recorded", "yield + trained"),
        rows=tuple(rows),
        targets=tuple(targets),
        notes="The last two columns are differences to the bare loop over the same generator; 'trained' is the mark "
        "of each consumed step, as the Keras callback or Recorder.step() leaves it.",
    )


def _one(case: Case, size: int, steps: int, folder: Path) -> list[Any]:
    """ns of each step of the bare loop, the recorded one, and the recorded one that says what it trained on."""
    data = ca.Dataset.open(folder / "shards" / "x_*.npy", aligned=folder / "shards" / "y_*.npy")

    def fresh() -> Iterator[Batch]:
        x, y = (np.load(folder / "shards" / f"{name}_0.npy", mmap_mode="r") for name in "xy")
        return case.make(x, y, size)

    recorders: list[ca.Recorder] = []

    def recorded(name: str) -> Any:
        log = folder / f"{name}-{case.name}-{size}.parquet"
        gen = ca.wrap(fresh(), data, log=log, ids=case.ids, batch_size=size)
        recorders.append(gen.recorder)
        return gen

    bare, yields, trains = fresh(), recorded("yielded"), recorded("trained")
    mark = trains.recorder.step
    times: list[list[int]] = [[], [], []]
    clock = time.perf_counter_ns
    for turn in range(1 + -(-steps // TURN)):
        for lane, loop in enumerate((bare, yields, trains)):
            out = []
            for _ in range(TURN):
                began = clock()
                next(loop)
                if lane == 2:
                    mark()
                out.append(clock() - began)
            if turn:  # the first turn warms up
                times[lane] += out
    for recorder in recorders:
        _discard(recorder)
    return [np.array(loop) / 1000 for loop in times]


def _discard(recorder: ca.Recorder) -> None:
    """Close it without its Parquet parts: nobody reads this log."""
    writer = recorder.stream.writer
    assert writer is not None
    state = writer.log.state
    for journal in state.glob("*.journal"):
        journal.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordingWarning)  # that its journal is gone
        recorder.close()
