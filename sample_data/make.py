"""Rebuilds this folder byte for byte: a few small .npy shards, and run logs of five training runs over them.

    python sample_data/make.py [FOLDER]

Each run is recorded through the public API by a loop that steps as a trainer does. A log holds facts about where and
when it was made; here these are the same on every machine: this script sets the clock, the host and so on of its own
process before it records. What is left are the versions of coverage-audit and of the Parquet writer: see VERSIONS.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import coverage_audit as ca
from coverage_audit.sources import home

HERE = Path(__file__).resolve().parent
ROWS = (120, 93, 101, 30)
BATCH = 16
EPOCHS = 3
MADE = 1_767_225_600  # 2026-01-01 00:00:00 UTC, in seconds since 1970
TICK = 1_000_000  # nanoseconds between two looks at the clock

Array = npt.NDArray[np.uint8]
Ids = npt.NDArray[np.int64]
Loader = Callable[[list[Path]], Iterable[tuple[Array, ...]]]


def slices(files: list[Path]) -> Iterator[tuple[Array, ...]]:
    """Shard by shard in slices of 16, each shard's partial batch kept; for ever."""
    while True:
        for file in files:
            x, y = np.load(file, mmap_mode="r"), np.load(partner(file), mmap_mode="r")
            for at in range(0, len(x), BATCH):
                yield x[at : at + BATCH], y[at : at + BATCH]


def without_the_last(files: list[Path]) -> Iterator[tuple[Array, ...]]:
    """An off-by-one in the list of files."""
    return slices(files[:-1])


class Full:
    """Batches filled across shards, in another order in every pass; a batch carries the ids of its rows."""

    def __init__(self, files: list[Path]) -> None:
        self.x = np.concatenate([np.load(file) for file in files])
        self.y = np.concatenate([np.load(partner(file)) for file in files])
        self.random = np.random.RandomState(0)  # its numbers are the same in every version of numpy

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        order = self.random.permutation(len(self.x)).astype(np.int64)
        for at in range(0, len(order), BATCH):
            rows = order[at : at + BATCH]
            yield self.x[rows], self.y[rows], rows


class FullInOrder(Full):
    """The same in storage order: every iteration is the same, from the first row."""

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for at in range(0, len(self.x), BATCH):
            rows = np.arange(at, min(at + BATCH, len(self.x)))
            yield self.x[rows], self.y[rows], rows


@dataclass(frozen=True)
class Run:
    """One sample: its folder, the loader, steps_per_epoch, and after how many steps it is killed (None: never)."""

    name: str
    loader: Loader
    steps: int
    killed_after: int | None = None


RUNS = (
    Run("clean", Full, 22),
    Run("short-epoch", FullInOrder, 21),
    Run("drifting", slices, 22),
    Run("missed-shard", without_the_last, 21),
    Run("killed", slices, 23, killed_after=33),
)


def build(folder: Path) -> None:
    """Make everything below ``folder``; what was made there before is replaced."""
    write_shards(folder / "shards")
    for run in RUNS:
        shutil.rmtree(folder / run.name, ignore_errors=True)
        (folder / run.name).mkdir(parents=True)
        # Each run is a process, as each run of a user is: process numbers, exit marks, and one of them is killed.
        ended = subprocess.run([sys.executable, __file__, str(folder), run.name], check=False)
        wanted = 0 if run.killed_after is None else -signal.SIGKILL
        if ended.returncode != wanted:
            raise SystemExit(f"{run.name}: exit status {ended.returncode}, wanted {wanted}")
    (folder / "VERSIONS").write_text(versions())


def versions() -> str:
    """What the bytes of the logs depend on beside this script."""
    return f"coverage-audit {ca.__version__}\npyarrow {pa.__version__}\n"


def write_shards(folder: Path) -> None:
    """x_0.npy … x_3.npy: three numbers per row; y_0.npy … y_3.npy: one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for shard, rows in enumerate(ROWS):
        row = np.arange(rows)
        x = np.stack([np.full(rows, shard), row, row * 7 % 251], axis=1).astype(np.uint8)
        np.save(folder / f"x_{shard}.npy", x)
        np.save(folder / f"y_{shard}.npy", (x.sum(axis=1) % 2).astype(np.uint8))
    for file in folder.iterdir():
        os.utime(file, (MADE, MADE))


def partner(file: Path) -> Path:
    return file.with_name(file.name.replace("x_", "y_"))


def record(folder: Path, run: Run) -> None:
    """Train three epochs, recording."""
    shards = folder / "shards"
    data = ca.Dataset.open(str(shards / "x_*.npy"), aligned=str(shards / "y_*.npy"))
    loader = ca.wrap(
        run.loader(sorted(shards.glob("x_*.npy"))), data, folder / run.name / "run.parquet",
        batch_size=BATCH, steps_per_epoch=run.steps, epochs=EPOCHS, run_id=run.name,
        ids=2 if run.loader in (Full, FullInOrder) else None,
    )  # fmt: skip
    recorder = loader.recorder
    weights, steps = np.zeros(3), 0
    for _ in range(EPOCHS):
        with recorder.epoch():
            # Over a generator this goes on where it stopped; over anything else it begins anew.
            for x, y in itertools.islice(loader, run.steps):
                if steps == run.killed_after:
                    os.kill(real_pid, signal.SIGKILL)
                weights += 0.001 * (y - x @ weights / 1000) @ x / len(x)
                recorder.step()
                steps += 1
    recorder.close()


real_pid = os.getpid()


def settle() -> None:
    """Give this process the same clock, number, host, interpreter, folder and command line everywhere."""
    ticks = itertools.count(MADE * 1_000_000_000, TICK)
    gmtime = time.gmtime
    time_ns = time.time_ns

    def tick() -> int:
        # Others ask for the time as well, and not as often in every version of Python.
        asking = sys._getframe(1).f_globals.get("__name__", "")
        return next(ticks) if asking.startswith("coverage_audit.") else time_ns()

    time.time_ns = tick
    time.gmtime = lambda seconds=None: gmtime(MADE if seconds is None else seconds)
    os.getpid = lambda: 1
    socket.gethostname = lambda: "sample"
    platform.python_version = lambda: "3"
    home._hash = lambda _: "0" * 16  # of the folder the data lies in
    sys.argv = ["make.py"]


if __name__ == "__main__":
    place, *names = sys.argv[1:] or [str(HERE)]
    if names:
        settle()
        record(Path(place), next(run for run in RUNS if run.name == names[0]))
    else:
        build(Path(place))
