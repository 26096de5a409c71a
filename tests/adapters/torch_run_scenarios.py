"""Trains for real with DataLoaders of torch, patched as `coverage-audit run` does it. Run by test_torch_run.py.

    python torch_run_scenarios.py FOLDER [NAMES]

Per scenario: a run log ``<name>.parquet`` and ``<name>.json`` with the rows of every batch that was trained on, in
order, and of every batch of an evaluation.
"""

from __future__ import annotations

import gc
import itertools
import json
import pickle
import queue
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_session import Session
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torch.utils.data.dataloader import _BaseDataLoaderIter

from coverage_audit.adapters import torch_run
from coverage_audit.errors import RecordingWarning

B = 4


def rows_of(batch: Any) -> Any:
    while isinstance(batch, tuple | list):
        batch = batch[0]
    return batch.numpy()[:, 0].astype(np.int64)


class Rows(Dataset[Any]):
    def __init__(self, n: int, first: int = 0, fails_at: int = -1, shape: tuple[int, ...] = (3,)) -> None:
        self.n, self.first, self.fails_at, self.shape = n, first, fails_at, shape

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        if i == self.fails_at:
            raise RuntimeError("the disk is on fire")
        return torch.full(self.shape, float(self.first + i)), torch.zeros((*self.shape[:-1], 1))


class Stream(IterableDataset[Any]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[Any]:
        for i in range(self.n):
            yield torch.full((3,), float(i)), torch.zeros(1)


class Bench:
    """One scenario: its log, its session, its model, its truth."""

    def __init__(self, folder: Path, name: str) -> None:
        self.log = folder / f"{name}.parquet"
        self.session = Session(self.log, rows_of, rows=40, held_out=6000, held_out_from=5000)
        self.trained: list[list[int]] = []
        self.evaluated: list[list[int]] = []
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-9)
        torch.manual_seed(0)
        torch_run.install(self.session)

    def loader(self, n: int = 40, first: int = 0, **options: Any) -> DataLoader[Any]:
        return DataLoader(Rows(n, first), **({"batch_size": B, "shuffle": first == 0} | options))

    def backward(self, *batches: Any) -> None:
        for x, y in batches:
            torch.nn.functional.mse_loss(self.model(x), y).backward()

    def train(self, *batches: Any) -> None:
        """One step on these batches."""
        self.optimizer.zero_grad()
        self.backward(*batches)
        self.optimizer.step()
        self.trained += [rows_of(batch).tolist() for batch in batches]

    def evaluate(self, batch: Any) -> None:
        with torch.no_grad():
            self.model(batch[0])
        self.evaluated.append(rows_of(batch).tolist())

    def save(self) -> None:
        torch_run.uninstall()
        for recorder in self.session.recorders.values():
            recorder.close()
        facts = {"trained": self.trained, "evaluated": self.evaluated, "facts": self.session.facts}
        facts |= {"failures": self.session.failures, "notes": self.session.notes}
        self.log.with_suffix(".json").write_text(json.dumps(facts))


def plain(b: Bench) -> None:
    loader = b.loader()
    for _ in range(2):
        for batch in loader:
            b.train(batch)


def workers(b: Bench) -> None:
    loader = b.loader(num_workers=2)
    for _ in range(2):
        for batch in loader:
            b.train(batch)


def persistent(b: Bench) -> None:
    """The second epoch is left early, and its iterator is used again by the third."""
    loader = b.loader(num_workers=2, persistent_workers=True)
    for stop in (99, 3, 99):
        for k, batch in enumerate(loader):
            if k == stop:
                break
            b.train(batch)


def left_early(b: Bench) -> None:
    """The batch pulled last is not trained on."""
    loader = b.loader()
    for _ in range(3):
        for k, batch in enumerate(loader):
            if k >= 4:
                break
            b.train(batch)


def behaves_as_ever(b: Bench) -> None:
    loader = b.loader()
    iterator = iter(loader)
    assert isinstance(iterator, _BaseDataLoaderIter)
    assert iter(iterator) is iterator
    assert len(iterator) == len(loader) == 10
    assert iterator._num_workers == 0
    b.train(next(iterator))
    assert iterator._num_yielded == 1
    del iterator
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(iter(loader))
    assert [k for k, _ in enumerate(loader)] == list(range(10))


def validated(b: Bench) -> None:
    training, held_out = b.loader(), b.loader(12, 5000)
    for _ in range(2):
        for batch in training:
            b.train(batch)
        with torch.no_grad():
            for batch in held_out:
                b.evaluate(batch)


def validated_inside(b: Bench) -> None:
    """In the middle of an epoch, in inference mode, on a part: nobody knows whether its last batch was used."""
    training, held_out = b.loader(), b.loader(12, 5000)
    for k, batch in enumerate(training):
        b.train(batch)
        if k == 4:
            with torch.inference_mode():
                for j, other in enumerate(held_out):
                    b.evaluate(other)
                    if j == 1:
                        break


def validated_carelessly(b: Bench) -> None:
    """Gradients stay on where batches are pulled."""
    training, held_out = b.loader(), b.loader(12, 5000)
    for _ in range(2):
        for batch in training:
            b.train(batch)
        for batch in held_out:
            b.evaluate(batch)


def peeked(b: Bench) -> None:
    loader = b.loader()
    next(iter(loader))
    for batch in loader:
        b.train(batch)


def accumulated(b: Bench) -> None:
    """Two batches per step, the last step of an epoch on one."""
    loader = b.loader(36)
    for _ in range(2):
        waiting: list[Any] = []
        for k, batch in enumerate(loader):
            waiting.append(batch)
            if len(waiting) == 2 or k + 1 == len(loader):
                b.train(*waiting)
                waiting = []


def accumulated_over_epochs(b: Bench) -> None:
    """The last batch of an epoch is trained on with the first of the next."""
    loader = b.loader(36)
    waiting: list[Any] = []
    for _ in range(2):
        for batch in loader:
            waiting.append(batch)
            if len(waiting) == 2:
                b.train(*waiting)
                waiting = []


def all_in_one_step(b: Bench) -> None:
    loader = b.loader(12)
    for _ in range(3):
        b.train(*loader)


def two_optimizers(b: Bench) -> None:
    other = torch.optim.Adam(b.model.parameters(), lr=1e-9)
    for batch in b.loader():
        b.train(batch)
        other.step()


def left_out(b: Bench) -> None:
    """Some batches are skipped: one of the two before the next step was trained on, nobody knows which."""
    for k, batch in enumerate(b.loader()):
        if k not in (4, 9):
            b.train(batch)


def pulled_ahead(b: Bench) -> None:
    """A prefetcher of one's own: nothing tells it from a batch left out."""
    iterator = iter(b.loader())
    following = next(iterator)
    for _ in range(8):
        batch, following = following, next(iterator)
        b.train(batch)


def pulled_by_a_thread(b: Bench) -> None:
    ready: queue.Queue[Any] = queue.Queue(3)

    def pull() -> None:
        for batch in b.loader():
            ready.put(batch)
        ready.put(None)

    thread = threading.Thread(target=pull)
    thread.start()
    time.sleep(0.05)
    for batch in iter(ready.get, None):
        b.train(batch)
    thread.join()


def two_loaders(b: Bench) -> None:
    for first, second in zip(b.loader(20), b.loader(20), strict=True):
        b.train(first, second)


def cycled(b: Bench) -> None:
    """What is trained on again is kept by the loop, and no loader gives it a second time."""
    for batch in itertools.islice(itertools.cycle(b.loader(16)), 10):
        b.train(batch)


def stream(b: Bench) -> None:
    for _ in range(2):
        for batch in DataLoader(Stream(18), batch_size=B):
            b.train(batch)


def single_rows(b: Bench) -> None:
    for batch in DataLoader(Rows(10, shape=(1, 3)), batch_size=None):
        b.train(batch)


def failing(b: Bench) -> None:
    iterator = iter(DataLoader(Rows(40, fails_at=17), batch_size=B))
    for _ in range(4):
        b.train(next(iterator))
    with pytest.raises(RuntimeError, match="the disk is on fire"):
        next(iterator)
    for batch in b.loader(8):
        b.train(batch)


def overridden(b: Bench) -> None:
    class Own(DataLoader[Any]):
        def __iter__(self) -> Any:
            yield from super().__iter__()

    for batch in Own(Rows(40), batch_size=B, shuffle=True):
        b.train(batch)


def accelerated(b: Bench) -> None:
    """As accelerate does it: one batch is pulled before the loop gets the one before."""
    source = "def ahead(loader):\n    it = iter(loader)\n    now = next(it)\n    for after in it:\n        yield now\n"
    module = {"__name__": "accelerate.data_loader"}
    exec(source + "        now = after\n    yield now\n", module)
    for batch in module["ahead"](b.loader()):  # type: ignore[operator]
        b.train(batch)
    for batch in itertools.islice(module["ahead"](b.loader()), 3):  # type: ignore[operator]
        b.train(batch)


def recorded_by_name(b: Bench) -> None:
    """What is no DataLoader, given to the same loop."""
    rows = Rows(40)

    def generate() -> Iterator[Any]:
        for i in range(0, 40, B):
            xs, ys = zip(*(rows[i + k] for k in range(B)), strict=True)
            yield torch.stack(xs), torch.stack(ys)

    for batch in torch_run.record(generate()):
        b.train(batch)


SCENARIOS = (
    plain, workers, persistent, left_early, behaves_as_ever, validated, validated_inside, validated_carelessly, peeked,
    accumulated, accumulated_over_epochs, all_in_one_step, two_optimizers, left_out, pulled_ahead, pulled_by_a_thread,
    two_loaders, cycled, stream, single_rows, failing, overridden, accelerated, recorded_by_name,
)  # fmt: skip


def main(folder: Path, names: list[str]) -> None:
    warnings.filterwarnings("error", category=RecordingWarning)
    warnings.filterwarnings("ignore", message=".*the rows of a batch cannot be told: which of the batches")
    for scenario in SCENARIOS:
        if names and scenario.__name__ not in names:
            continue
        bench = Bench(folder, scenario.__name__)
        scenario(bench)
        gc.collect()
        bench.save()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
