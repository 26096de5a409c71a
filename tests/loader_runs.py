"""Small real loaders recorded through the public API: what a user would write, and the log it leaves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import coverage_audit as ca

Ids = npt.NDArray[np.int64]
OnePass = Callable[[int], Iterable[Any]]
"""The batches of one pass, by the number of the pass."""

SIZES = [1000, 937, 1003, 250]
N = sum(SIZES)
B = 64


def save_shards(folder: Path, sizes: list[int]) -> list[Path]:
    """x_000.npy, x_001.npy, ... of these row counts, two columns each."""
    folder.mkdir()
    paths = [folder / f"x_{i:03d}.npy" for i in range(len(sizes))]
    for path, n in zip(paths, sizes, strict=True):
        np.save(path, np.arange(2 * n, dtype=np.float32).reshape(n, 2))
    return paths


def offsets(sizes: list[int]) -> list[int]:
    return [0, *itertools.accumulate(sizes)]


def cut(rows: Any, size: int = B, *, drop: bool = False) -> Iterator[Ids]:
    """Rows in their order, in batches; the last one may be partial, or is dropped."""
    rows = np.asarray(rows)
    for i in range(0, len(rows) - (size - 1 if drop else 0), size):
        yield rows[i : i + size]


def sliced(sizes: list[int], order: Iterable[int], size: int = B, *, first: int = 0, less: int = 0) -> Iterator[Ids]:
    """Shard by shard from row ``first`` to ``less`` rows before its end, its partial batch kept."""
    start = offsets(sizes)
    for s in order:
        yield from cut(np.arange(start[s] + first, start[s + 1] - less), size)


def joined(sizes: list[int], order: Iterable[int]) -> Ids:
    """The rows of the shards in this order: cut into batches, a loader that carries over."""
    start = offsets(sizes)
    return np.concatenate([np.arange(start[s], start[s + 1]) for s in order])


def cycle(one_pass: OnePass) -> Iterator[Any]:
    """A generator that never ends."""
    for number in itertools.count():
        yield from one_pass(number)


class Anew:
    """A loader that begins with each iter()."""

    def __init__(self, one_pass: OnePass) -> None:
        self.one_pass = one_pass
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        return iter(self.one_pass(self.passes - 1))


def train(
    log: Path, data: ca.Dataset, loader: Iterator[Any], steps: int | list[int], n_epochs: int = 3, **options: Any
) -> Path:
    """A loop over a generator that takes ``steps`` batches an epoch and tells the recorder of each."""
    lengths = [steps] * n_epochs if isinstance(steps, int) else steps
    gen = ca.wrap(loader, data, log, **{"batch_size": B, "ids": _itself, **options})
    for n in lengths:
        with gen.recorder.epoch():
            for _ in itertools.islice(gen, n):
                gen.recorder.step()
    gen.recorder.close()
    return log


def pull(log: Path, data: ca.Dataset, loader: Iterator[Any], steps: int, n_epochs: int = 3, **options: Any) -> Path:
    """The same without a word about epochs or steps: yields are counted."""
    declared = {"batch_size": B, "steps_per_epoch": steps, "ids": _itself, **options}
    gen = ca.wrap(loader, data, log, **declared)
    for _ in itertools.islice(gen, steps * n_epochs):
        pass
    gen.recorder.close()
    return log


def iterate(
    log: Path, data: ca.Dataset, loader: Iterable[Any], n_epochs: int = 3, *, at_most: int | None = None, **options: Any
) -> Path:
    """A loop that iterates the loader anew in each epoch, for ``at_most`` batches."""
    again = ca.wrap(loader, data, log, **{"batch_size": B, "ids": _itself, **options})
    for _ in range(n_epochs):
        with again.recorder.epoch():
            for _ in itertools.islice(again, at_most):
                again.recorder.step()
    again.recorder.close()
    return log


def record(log: Path, data: ca.Dataset, epochs: Iterable[Iterable[Any]], **options: Any) -> Path:
    """A loop of one's own that says itself which rows each step takes."""
    with ca.Recorder(log, data, **options) as rec:
        for batches in epochs:
            with rec.epoch():
                for rows in batches:
                    rec.step(rows)
    return log


def _itself(batch: Any) -> Any:
    return batch
