"""Runs a training script unchanged under `coverage-audit run`, and holds what was recorded against what it says itself.

The scripts are tests/run_styles/styles/*.py. Their training step writes the rows it is really given, one line of JSON
per step, to the file that is their first argument.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras_processes import keras_environment
from tensorflow_forks import Forks

from coverage_audit.model.event import VERIFIED, Found, Stage
from coverage_audit.model.run import Writer
from coverage_audit.runlog.reader import Log, read_log

TIMEOUT = 120.0
"""Seconds, of one script."""
STYLES = Path(__file__).parent / "run_styles" / "styles"
NPY = ("--data", "shards/x_*.npy", "--aligned", "shards/y_*.npy")
HELD_OUT = (*NPY, "--validation-data", "held_out/x_*.npy")
FORKED = frozenset((
    "all_in_one_array", "arrays_of_lists", "augmented", "buffer_of_copies", "buffer_of_rows", "cast_down", "evaluated",
    "images", "images_in_lists", "misaligned", "mixed_up", "moved", "npz_members", "odd_files", "one_buffer",
    "permuted_copies", "preallocated", "producer_of_lists", "producer_thread", "repeated", "repeated_in_lists",
    "replaced", "shuffled_in_flight", "shuffled_in_place", "slices_of_maps", "stacked_lists", "standardised",
    "standardised_lists", "train_on_batch", "whole_arrays", "windows", "with_validation",
))  # fmt: skip
"""Scripts that need not import TensorFlow themselves; others of their kind, and what is about processes, do."""

WITH_DATA_FRAMES = frozenset(("numpy_ways",))
"""Scripts that use pandas."""


def _made() -> Any:
    """The module with which the scripts make their data."""
    spec = spec_from_file_location("made", STYLES / "made.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MADE = _made()


@dataclass(frozen=True)
class Style:
    """One script with its data and arguments, and what is promised of it.

    ``expect``: "right" (every step), "unknown" (none can be known), "either" (right or unknown, as numpy lets us see).
    ``status``: the exit status that the script has by itself.
    ``told_by``: "x", or "y" where only labels tell rows apart.
    """

    script: str
    args: tuple[str, ...] = ()
    data: str = "npy"
    options: tuple[str, ...] = NPY
    expect: str = "right"
    backend: str = "tensorflow"
    status: int = 0
    told_by: str = "x"

    def __str__(self) -> str:
        data = () if self.data == "npy" else (self.data.replace(" ", "_"),)
        return "-".join((self.script, *self.args, *data, *(() if self.backend == "tensorflow" else (self.backend,))))

    @property
    def forked(self) -> bool:
        """Whether it finds TensorFlow imported."""
        return self.backend == "tensorflow" and self.script in FORKED


class Step(NamedTuple):
    """One step as it was recorded; ``rows``: sample ids in order, None where unknown."""

    number: int
    rows: list[int] | None
    found: str
    stage: Stage


@dataclass(frozen=True)
class Ran:
    """What is left of one run."""

    style: Style
    folder: Path
    status: int
    out: str
    err: str

    @property
    def log_path(self) -> Path:
        return self.folder / "run.parquet"

    @cached_property
    def log(self) -> Log:
        assert self.log_path.with_name("run.parquet.state").exists() or self.log_path.exists(), self.err
        return read_log(self.log_path)

    @cached_property
    def told(self) -> list[dict[str, Any]]:
        """What the script says of each step."""
        path = self.folder / "truth.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def truth(self, part: str = "train") -> list[list[int]]:
        """Sample ids of each step that really was done, in order."""
        return [_ids(step, self.style.told_by) for step in self.told if step["part"] == part]

    def said(self, what: str) -> list[str]:
        """What else it says of each training step."""
        return [step[what] for step in self.told if step["part"] == "train"]

    def steps(self, split: str = "train") -> list[Step]:
        """What was recorded of each step; of each yield where nobody told of steps."""
        steps = [step for writer in self.log.writers for step in recorded(self.log, writer, split)]
        done = [step for step in steps if step.stage is Stage.TRAINED]
        return sorted(done, key=lambda step: step.number) if done else steps

    def compare(self, split: str = "train", same: Callable[[list[int]], list[int]] = list) -> Compared:
        """Recorded steps beside true ones. ``same`` maps rows that cannot be told apart to one."""
        truth, steps = self.truth(split), self.steps(split)
        compared = Compared(len(truth), len(steps), self.trained(split))
        for number, (true, step) in enumerate(zip(truth, steps, strict=False)):
            compared.found[step.found] += 1
            if step.rows is None:
                compared.unknown.append(number)
            elif same(step.rows) == same(true):
                compared.right.append(number)
            else:
                compared.wrong.append((number, step.found, step.rows, true))
        return compared

    def trained(self, split: str) -> bool:
        """Whether steps were told, and not only yields."""
        steps = self.steps(split)
        return bool(steps) and steps[0].stage is Stage.TRAINED


@dataclass
class Compared:
    """``trained``: steps were told. Without, yields are compared, of which there may be more than steps."""

    truth: int
    recorded: int
    trained: bool
    right: list[int] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    wrong: list[tuple[int, str, list[int], list[int]]] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)

    @property
    def all_steps(self) -> bool:
        return self.recorded == self.truth if self.trained else self.recorded >= self.truth


def recorded(log: Log, writer: Writer, split: str) -> Iterator[Step]:
    """The steps (or yields) of one split that one writer recorded, rows put together."""
    info = next((info for info in writer.splits if info.name == split), None)
    if info is None:
        return
    shards = None if info.fingerprint is None else log.datasets[info.fingerprint]
    step: Step | None = None
    last: tuple[int, int] | None = None
    for visits in log.visits(writer):
        for at in np.flatnonzero(visits.split == visits.splits.index(split)).tolist():
            key = int(visits.batch[at]), int(visits.step[at])
            if key != last:
                if step is not None:
                    yield step
                found = Found(int(visits.found[at]) & ~VERIFIED).name.lower()
                step, last = Step(key[1], [], found, Stage(int(visits.stage[at]))), key
            assert step is not None
            shard, row, count = int(visits.shard[at]), int(visits.row[at]), int(visits.count[at])
            if row < 0:
                step = step._replace(rows=None)
            elif step.rows is not None:
                first = row if shard < 0 or shards is None else int(shards.offsets[shard]) + row
                step.rows.extend(range(first, first + count))
    if step is not None:
        yield step


def _ids(said: dict[str, Any], told_by: str) -> list[int]:
    if "windows" in said:
        return [first + k for first, length in said["windows"] for k in range(length)]
    return list(said[told_by])


def command(style: Style, folder: Path) -> list[str]:
    """The command line that records one style."""
    script = str(STYLES / f"{style.script}.py")
    return [
        *(sys.executable, "-m", "coverage_audit", "run", "--log", "run.parquet"),
        *(*style.options, script, "truth.jsonl", *style.args),
    ]


def run(style: Style, folder: Path, forks: Forks) -> Ran:
    """Make the data and run the script, recorded."""
    MADE.DATA[style.data](folder)
    if style.forked:
        done = forks.run(command(style, folder)[2:], folder, TIMEOUT)
        return Ran(style, folder, done.returncode, done.stdout, done.stderr)
    try:
        done = _start(style, folder)
    except subprocess.TimeoutExpired:
        # TensorFlow hangs now and then in the shutdown of a program that left fit() by sys.exit(), recorded or not.
        if style.backend != "tensorflow" or style.status == 0:
            raise
        (folder / "truth.jsonl").unlink(missing_ok=True)
        done = _start(style, folder)
    return Ran(style, folder, done.returncode, done.stdout, done.stderr)


def _start(style: Style, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(style, folder),
        cwd=folder,
        env=environment(style),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def environment(style: Style) -> dict[str, str]:
    path = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")} if style.script in WITH_DATA_FRAMES else {}
    return keras_environment(style.backend, PYTHONDONTWRITEBYTECODE="1", **path)


class Runs:
    """Runs styles two at a time, ahead of the tests that ask for them."""

    def __init__(self, styles: list[Style], folder: Path) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._forks = [Forks(environment(Style(""))) for _ in range(2)]
        self._idle = deque(self._forks)
        self._runs: dict[Style, Future[Ran]] = {}
        for number, style in enumerate(dict.fromkeys(styles)):
            self._runs[style] = self._pool.submit(self._run, style, folder / f"{number:02}-{style}")

    def _run(self, style: Style, folder: Path) -> Ran:
        folder.mkdir()
        forks = self._idle.pop()
        try:
            return run(style, folder, forks)
        finally:
            self._idle.append(forks)

    def of(self, style: Style) -> Ran:
        """The run of a style, waited for."""
        return self._runs[style].result()

    def close(self) -> None:
        """What has not begun is not run."""
        self._pool.shutdown(cancel_futures=True)
        for forks in self._forks:
            forks.close()
