"""What it costs that arrays know their rows, beside the same loader over the same files without it.

Both loops take turns. The files of the bare loop are opened before recording begins, so that its arrays are plain ones.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import coverage_audit as ca
from benchmarks.effort import Effort
from benchmarks.section import Section, Target

TURN = 20
BATCH = 256
ROWS = 64 * BATCH
ROW = 3072  # bytes, as a small colour image
TOKENS = 128

Make = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """``make(x)`` yields batches of ``x`` for ever. ``aim``: µs per batch over the bare loop, None for none."""

    name: str
    make: Make
    aim: float | None
    identify: str = "auto"
    file: str = "x_0.npy"
    mode: str | None = "r"


def slices(x: Any) -> Iterator[Any]:
    while True:
        for start in range(0, len(x) - BATCH + 1, BATCH):
            yield x[start : start + BATCH]


def fancy(x: Any) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    while True:
        yield x[rng.integers(0, len(x), BATCH)]


def scaled(x: Any) -> Iterator[Any]:
    for batch in fancy(x):
        yield batch / np.float32(255)


def stacked(x: Any) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    while True:
        yield np.stack([x[i] for i in rng.integers(0, len(x), BATCH)])


def windows(x: Any) -> Iterator[Any]:
    rng = np.random.default_rng(1)
    while True:
        yield np.stack([x[i : i + TOKENS] for i in rng.integers(0, len(x) - TOKENS, BATCH)])


def copies(x: Any) -> Iterator[Any]:
    """Batches nobody can follow: only their bytes say which rows they are."""
    rng = np.random.default_rng(1)
    plain = np.asarray(x)
    while True:
        yield np.array(plain[rng.integers(0, len(plain), BATCH)])


CASES = (
    Case("contiguous slice", slices, 15.0),
    Case("fancy index", fancy, 40.0),
    Case("fancy index of a file in memory", fancy, 40.0, mode=None),
    Case("fancy index, scaled to float", scaled, None),
    Case("np.stack of single rows", stacked, None),
    Case("np.stack of token windows", windows, None, file="tokens.npy"),
    Case("copies, by content", copies, 150.0, identify="content"),
)


def measure(effort: Effort) -> Section:
    """µs per batch over the plain loader, for each way a loader makes its batches."""
    rows = []
    targets = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        np.save(folder / "x_0.npy", rng.integers(0, 256, (ROWS, ROW), np.uint8))
        np.save(folder / "tokens.npy", rng.integers(0, 50_000, 1 << 20).astype(np.uint16))
        for case in CASES:
            bare, recorded = _one(case, max(effort.steps // 10, TURN), folder)
            over = float(np.median(recorded) - np.median(bare))
            rows.append(
                (
                    case.name,
                    f"{np.median(bare):.1f} / {np.percentile(bare, 99):.1f}",
                    f"{np.median(recorded):.1f} / {np.percentile(recorded, 99):.1f}",
                    f"{over:+.1f}",
                    f"{np.median(recorded) / np.median(bare):.2f}",
                )
            )
            if case.aim is not None:
                aim = f"{case.name}: ≤ {case.aim:g} µs a batch of {BATCH} rows"
                targets.append(Target(aim, f"{over:.1f} µs", over <= case.aim))
    return Section(
        title=f"Knowing the rows: µs per batch of {BATCH} rows of {ROW / 1024:g} KB, median / p99",
        columns=("loader", "bare", "recorded", "added", "ratio"),
        rows=tuple(rows),
        targets=tuple(targets),
        notes="'recorded' includes writing the batch to the log. One batch in 64 is held against the file.",
    )


def _one(case: Case, steps: int, folder: Path) -> tuple[Any, Any]:
    data = ca.Dataset.open(folder / case.file)
    if case.identify == "content":
        data.index(folder / "index", progress=False)
    bare = case.make(np.load(folder / case.file, mmap_mode=case.mode))

    def recorded() -> Iterator[Any]:
        yield from case.make(np.load(folder / case.file, mmap_mode=case.mode))

    log = folder / f"{case.name}.parquet"
    loop = ca.wrap(recorded(), data, log=log, identify=case.identify)
    times: list[list[int]] = [[], []]
    clock = time.perf_counter_ns
    for turn in range(1 + -(-steps // TURN)):
        for lane, loader in enumerate((bare, loop)):
            for _ in range(TURN):
                began = clock()
                next(loader)
                if turn:  # the first turn warms up
                    times[lane].append(clock() - began)
    loop.recorder.close()
    return tuple(np.array(lane) / 1000 for lane in times)
