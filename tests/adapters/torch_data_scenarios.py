"""Loops over real DataLoaders, bare and wrapped. Run by test_torch_data.py.

    python torch_data_scenarios.py FOLDER [NAMES]

Per scenario: a run log ``<name>.parquet``, and ``<name>.json`` with what the loop got: the rows of each batch, in
order (each sample holds its own row), the loader worker of each batch where the sample can say it, what was raised, and
whether batches and random states are those of the bare loader.
"""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
    get_worker_info,
    random_split,
)
from torchdata.stateful_dataloader import StatefulDataLoader

import coverage_audit as ca
from coverage_audit.errors import RecordingWarning

N, B = 40, 6


def worker() -> int:
    info = get_worker_info()
    return -1 if info is None else info.id


class Rows(Dataset[Any]):
    """Each sample holds its row, the worker that made it, and something random."""

    def __init__(self, n: int = N, first: int = 0, fails_at: int | None = None) -> None:
        self.n, self.first, self.fails_at = n, first, fails_at

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, list):
            return torch.tensor(i) + self.first, torch.full((len(i),), worker()), torch.rand(len(i))
        if i == self.fails_at:
            raise RuntimeError("the disk is on fire")
        return self.first + int(i) % self.n, worker(), torch.rand(()) + random.random() + float(np.random.rand())  # noqa: NPY002


class Together(Rows):
    def __getitems__(self, many: list[int]) -> list[Any]:
        return [self[i] for i in many]


class TakingApart(Rows):
    """Empties the list it is asked for."""

    def __getitems__(self, many: list[int]) -> list[Any]:
        return [self[many.pop(0)] for _ in range(len(many))]


class Sorting(Rows):
    """Reads in the order of the file, as h5py wants it."""

    def __getitems__(self, many: list[int]) -> list[Any]:
        many.sort()
        return [self[i] for i in many]


class Dropping(Rows):
    """Leaves out what could not be read."""

    def __getitems__(self, many: list[int]) -> list[Any]:
        return [self[i] for i in many if i % 5]

    def __getitem__(self, i: Any) -> Any:
        return super().__getitem__([j for j in i if j % 5] if isinstance(i, list) else i)


class Backwards(Subset[Any]):
    """A subset that counts from its end."""

    def __getitem__(self, i: Any) -> Any:
        return self.dataset[self.indices[-1 - i]]

    def __getitems__(self, many: list[int]) -> list[Any]:
        return [self[i] for i in many]


class OneList(Sampler[list[int]]):
    """Gives the same list again and again."""

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for start in range(0, N, 8):
            batch[:] = range(start, start + 8)
            yield batch

    def __len__(self) -> int:
        return 5


class Stream(IterableDataset[Any]):
    """Every worker reads all of it, or its share."""

    def __init__(self, n: int = N, *, shared: bool = False) -> None:
        self.n, self.shared = n, shared

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        start, step = (0, 1) if info is None or not self.shared else (info.id, info.num_workers)
        for i in range(start, self.n, step):
            yield i, worker(), torch.rand(())


class FromFiles(IterableDataset[Any]):
    """Rows of .npy files, read by the worker; column 0 is the sample id."""

    def __init__(self, files: list[str]) -> None:
        self.files = files

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        for file in self.files if info is None else self.files[info.id :: info.num_workers]:
            for row in np.load(file, mmap_mode="r"):
                yield row, worker(), torch.rand(())


class WindowsOfFiles(Dataset[Any]):
    """Fewer positions than rows: two rows each."""

    def __init__(self, file: str) -> None:
        self.rows = np.load(file, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.rows) // 2

    def __getitem__(self, i: int) -> Any:
        return self.rows[2 * i], worker(), torch.rand(())


class Endless(Sampler[int]):
    def __iter__(self) -> Iterator[int]:
        return itertools.cycle(reversed(range(N)))


class Tensors(Sampler[Any]):
    """Indices as tensors and as numbers of numpy."""

    def __iter__(self) -> Iterator[Any]:
        yield from torch.randperm(N // 2)
        yield from np.arange(N // 2, N)


class Uneven(Sampler[list[int]]):
    def __iter__(self) -> Iterator[list[int]]:
        yield [3]
        yield [5, 5, 7, -1]
        yield list(range(20))

    def __len__(self) -> int:
        return 3


def drop_some(samples: list[Any]) -> Any:
    """A collate function that leaves samples out, as those do that skip what could not be read."""
    return torch.utils.data.default_collate([s for s in samples if s[0] % 5])


def listed(samples: list[Any]) -> Any:
    return {"rows": [s[0] for s in samples], "workers": [s[1] for s in samples], "r": [float(s[2]) for s in samples]}


def seed_worker(number: int) -> None:
    random.seed(number)
    np.random.seed(torch.initial_seed() % 2**31)  # noqa: NPY002


def said(batch: Any) -> Any:
    """For ``ids=``: the rows that a batch says it holds."""
    return batch[0].numpy()


def said_alone(batch: Any) -> Any:
    """The same of a batch that is one sample."""
    return batch[0]


def rows_in(batch: Any) -> list[int]:
    rows = batch["rows"] if isinstance(batch, dict) else batch[0]
    rows = torch.as_tensor(rows)
    if rows.is_floating_point():  # read from files: column 0
        rows = rows[..., 0]
    return [int(row) for row in rows.reshape(-1)]


def worker_of(batch: Any) -> int:
    told = batch["workers"] if isinstance(batch, dict) else batch[1]
    return int(torch.as_tensor(told).reshape(-1)[0])


def plain(batch: Any) -> Any:
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [type(batch).__name__, *map(plain, batch)]
    if isinstance(batch, torch.Tensor):
        return [str(batch.dtype), batch.tolist()]
    return [type(batch).__name__, batch]


@dataclass
class Got:
    """What a loop got."""

    rows: list[list[int]] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    batches: list[Any] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, batch: Any) -> None:
        self.rows.append(rows_in(batch))
        self.workers.append(worker_of(batch))
        self.batches.append(plain(batch))


Loop = Callable[[Any, Got], None]


def two_epochs(loader: Any, got: Got) -> None:
    for _ in range(2):
        for batch in loader:
            got.add(batch)


def left_early(loader: Any, got: Got) -> None:
    for _ in range(2):
        for batch in itertools.islice(loader, 3):
            got.add(batch)


def going_on_after_failures(loader: Any, got: Got) -> None:
    for _ in range(2):
        iterator = iter(loader)
        while True:
            try:
                got.add(next(iterator))
            except StopIteration:
                break
            except RuntimeError as error:
                got.errors.append(type(error).__name__)


def two_at_once(loader: Any, got: Got) -> None:
    for one, other in zip(loader, loader, strict=True):
        got.add(one)
        got.add(other)


def from_two_threads(loader: Any, got: Got) -> None:
    """Each thread has an iterator of its own; which batch comes when is for the lock to say."""
    lock = threading.Lock()

    def run() -> None:
        iterator = iter(loader)
        while True:
            with lock:
                try:
                    got.add(next(iterator))
                except StopIteration:
                    return

    with lock:
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()


def never_asked(loader: Any, got: Got) -> None:
    iter(loader)
    len(loader)
    for batch in loader:
        got.add(batch)


def three_epochs(loader: Any, got: Got) -> None:
    for _ in range(3):
        for batch in loader:
            got.add(batch)


def another_subset_each_time(loader: Any, got: Got) -> None:
    for indices in ([3, 1, 4, 5], [9, 2, 6, 7]):
        loader.dataset.indices = indices
        for batch in loader:
            got.add(batch)


def used_before(loader: Any, got: Got) -> None:
    """What went before the wrapping is in ``before``; here it is iterated as if nothing had been."""
    two_epochs(loader, got)


def copied(loader: Any, got: Got) -> None:
    two_epochs(loader, got)
    for other in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        assert not hasattr(other, "recorder")
        assert sum(1 for _ in other) == len(loader)


def saved_and_resumed(loader: Any, got: Got) -> None:
    """Three batches, a state; two batches that are lost; then from the state to the end, and once more."""
    iterator = iter(loader)
    for _ in range(3):
        got.add(next(iterator))
    state = loader.state_dict()
    for _ in range(2):
        got.add(next(iterator))
    del iterator
    loader.load_state_dict(pickle.loads(pickle.dumps(state)))
    two_epochs(loader, got)


def asked_for_its_state_first(loader: Any, got: Got) -> None:
    loader.state_dict()
    two_epochs(loader, got)


def resumed_at_the_end(loader: Any, got: Got) -> None:
    """A state of the end of the data: the next iteration is a whole one."""
    for batch in loader:
        got.add(batch)
    loader.load_state_dict(loader.state_dict())
    two_epochs(loader, got)


def stateful(dataset: Any = None, **options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        data = Rows() if dataset is None else dataset(folder)
        return StatefulDataLoader(data, **({"batch_size": B} | options))

    return make


@dataclass
class Scenario:
    make: Callable[[Path], Any]
    loop: Loop = two_epochs
    data: Callable[[Path], Any] = lambda folder: ca.Dataset.of(N, name="rows")
    before: Callable[[Any], None] = lambda loader: None
    by_luck: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def files(folder: Path) -> list[str]:
    """Four files of 12, 8, 15 and 5 rows; column 0 is the sample id."""
    paths = []
    start = 0
    for number, n in enumerate((12, 8, 15, 5)):
        path = folder / f"x_{number}.npy"
        if not path.exists():
            rows = np.random.default_rng(number).normal(size=(n, 4))
            rows[:, 0] = np.arange(start, start + n)
            np.save(path, rows)
        paths.append(str(path))
        start += n
    return paths


def from_files(folder: Path) -> Any:
    return ca.Dataset.open(files(folder))


def loader(dataset: Any = None, **options: Any) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        data = Rows() if dataset is None else dataset(folder) if callable(dataset) else dataset
        return DataLoader(data, **({"batch_size": B} | options))

    return make


def nested(folder: Path) -> Any:
    """Rows 0 to 39 in two datasets, split at random, and of that a part again."""
    both: Dataset[Any] = ConcatDataset([Rows(15), Rows(25, first=15)])
    part, _ = random_split(both, [30, 10], generator=torch.Generator().manual_seed(1))
    return Subset(part, list(range(29, 4, -1)))


def half_of_one(folder: Path) -> Any:
    rows = Rows()
    return ConcatDataset([Subset(rows, [1, 3]), rows])


def one_pass_after_another(loader: Any) -> None:
    for _ in itertools.islice(loader, 2):
        continue


SCENARIOS: dict[str, Scenario] = {
    "in_this_process": Scenario(loader(shuffle=True)),
    "two_workers": Scenario(loader(shuffle=True, num_workers=2)),
    "four_workers": Scenario(loader(shuffle=True, num_workers=4)),
    "persistent": Scenario(loader(shuffle=True, num_workers=2, persistent_workers=True)),
    "spawned": Scenario(loader(shuffle=True, num_workers=2, multiprocessing_context="spawn", persistent_workers=True)),
    "as_they_come": Scenario(loader(num_workers=2, in_order=False), by_luck=True),
    "seeded_workers": Scenario(
        lambda folder: DataLoader(
            Rows(),
            batch_size=B,
            shuffle=True,
            num_workers=2,
            worker_init_fn=seed_worker,
            generator=torch.Generator().manual_seed(3),
        )
    ),
    "left_early": Scenario(loader(shuffle=True, num_workers=2), left_early),
    "left_early_persistent": Scenario(loader(shuffle=True, num_workers=2, persistent_workers=True), left_early),
    "failing": Scenario(lambda folder: DataLoader(Rows(fails_at=9), batch_size=B), going_on_after_failures),
    "failing_in_a_worker": Scenario(
        lambda folder: DataLoader(Rows(fails_at=9), batch_size=B, num_workers=2), going_on_after_failures
    ),
    "failing_as_they_come": Scenario(
        lambda folder: DataLoader(Rows(fails_at=9), batch_size=B, num_workers=2, in_order=False),
        going_on_after_failures,
        by_luck=True,
    ),
    "one_by_one": Scenario(loader(batch_size=None, shuffle=True)),
    "lists_of_indices": Scenario(
        lambda folder: DataLoader(Rows(), batch_size=None, sampler=BatchSampler(RandomSampler(Rows()), B, True))
    ),
    "read_together": Scenario(loader(Together(), shuffle=True, num_workers=2)),
    "one_list_for_all": Scenario(lambda folder: DataLoader(Rows(), batch_sampler=OneList())),
    "asked_list_taken_apart": Scenario(loader(TakingApart(), shuffle=True)),
    "asked_list_sorted": Scenario(loader(Sorting(), shuffle=True)),
    "read_together_dropping": Scenario(loader(Dropping(), num_workers=2)),
    "lists_of_indices_dropping": Scenario(
        lambda folder: DataLoader(
            Dropping(), batch_size=None, sampler=BatchSampler(SequentialSampler(Rows()), B, False)
        )
    ),
    "subset_of_another_kind": Scenario(loader(Backwards(Rows(), range(N)))),
    "last_dropped": Scenario(loader(shuffle=True, drop_last=True)),
    "uneven_batches": Scenario(lambda folder: DataLoader(Rows(), batch_sampler=Uneven(), num_workers=2)),
    "endless": Scenario(loader(sampler=Endless(), num_workers=2), left_early),
    "tensor_indices": Scenario(loader(sampler=Tensors())),
    "weighted": Scenario(loader(sampler=WeightedRandomSampler([1.0] * N, N))),
    "distributed": Scenario(lambda folder: DataLoader(Rows(), batch_size=B, sampler=DistributedSampler(Rows(), 1, 0))),
    "pinned": Scenario(loader(shuffle=True, pin_memory=True, num_workers=2)),
    "collated_into_lists": Scenario(loader(shuffle=True, collate_fn=listed, num_workers=2)),
    "nested_subsets": Scenario(loader(nested, shuffle=True)),
    "changing_subset": Scenario(
        loader(lambda folder: Subset(Rows(), range(4)), batch_size=3, num_workers=2), another_subset_each_time
    ),
    "upsampled": Scenario(loader(half_of_one, shuffle=True)),
    "two_at_once": Scenario(loader(shuffle=True, num_workers=2), two_at_once),
    "two_threads": Scenario(loader(), from_two_threads, by_luck=True),
    "never_asked": Scenario(loader(shuffle=True), never_asked),
    "used_before": Scenario(
        loader(shuffle=True, num_workers=2, persistent_workers=True), used_before, before=one_pass_after_another
    ),
    "copied": Scenario(loader(shuffle=True, num_workers=2), copied),
    "files_by_index": Scenario(
        lambda folder: DataLoader(
            ConcatDataset([Subset(NpyRows(file), range(len(NpyRows(file)))) for file in files(folder)]),
            batch_size=B,
            shuffle=True,
        ),
        data=from_files,
    ),
    "files_in_another_order": Scenario(
        lambda folder: DataLoader(ConcatDataset([NpyRows(file) for file in reversed(files(folder))]), batch_size=B),
        data=from_files,
    ),
    "last_files_in_another_order": Scenario(
        lambda folder: DataLoader(ConcatDataset([NpyRows(files(folder)[at]) for at in (0, 1, 3, 2)]), batch_size=B),
        data=from_files,
    ),
    "files_scaled": Scenario(
        lambda folder: DataLoader(ConcatDataset([NpyRows(file, 2.0) for file in files(folder)]), batch_size=B),
        data=from_files,
    ),
    "files_iterated": Scenario(loader(lambda folder: FromFiles(files(folder))), data=from_files),
    "files_iterated_by_workers": Scenario(
        loader(lambda folder: FromFiles(files(folder)), num_workers=2), data=from_files
    ),
    "files_iterated_by_spawned": Scenario(
        loader(
            lambda folder: FromFiles(files(folder)),
            num_workers=1,
            multiprocessing_context="spawn",
            persistent_workers=True,
        ),
        data=from_files,
    ),
    "files_iterated_unbatched": Scenario(
        loader(lambda folder: FromFiles(files(folder)), batch_size=None, num_workers=2), data=from_files
    ),
    "files_iterated_pinned": Scenario(
        loader(lambda folder: FromFiles(files(folder)), num_workers=2, pin_memory=True), data=from_files
    ),
    "files_iterated_left_early": Scenario(
        loader(lambda folder: FromFiles(files(folder)), num_workers=2, persistent_workers=True),
        left_early,
        data=from_files,
    ),
    "windows": Scenario(
        loader(lambda folder: WindowsOfFiles(files(folder)[0]), num_workers=2, shuffle=True), data=from_files
    ),
    "stateful": Scenario(stateful(shuffle=True)),
    "stateful_resumed": Scenario(stateful(shuffle=True), saved_and_resumed),
    "stateful_workers_resumed": Scenario(stateful(shuffle=True, num_workers=2), saved_and_resumed),
    "stateful_between_snapshots": Scenario(
        stateful(shuffle=True, num_workers=2, snapshot_every_n_steps=2, persistent_workers=True), saved_and_resumed
    ),
    "stateful_as_they_come": Scenario(stateful(num_workers=2, in_order=False), by_luck=True),
    "stateful_asked_first": Scenario(stateful(shuffle=True, num_workers=2), asked_for_its_state_first),
    "stateful_at_the_end": Scenario(stateful(num_workers=2), resumed_at_the_end),
    "stateful_from_files": Scenario(
        stateful(lambda folder: FromFiles(files(folder))), saved_and_resumed, data=from_files
    ),
    "stateful_from_files_by_workers": Scenario(
        stateful(lambda folder: FromFiles(files(folder)), num_workers=2), saved_and_resumed, data=from_files
    ),
    "rows_said_by_the_batch": Scenario(loader(Stream(), num_workers=2), options={"ids": said}),
    "said_by_each_sample": Scenario(loader(batch_size=None, shuffle=True), options={"ids": said_alone}),
    "said_by_each_sample_in_workers": Scenario(loader(batch_size=None, num_workers=2), options={"ids": said_alone}),
    "said_by_each_sample_of_a_stream": Scenario(
        loader(Stream(), batch_size=None, num_workers=2), options={"ids": said_alone, "batch_size": 1}
    ),
    "every_worker_reads_all": Scenario(loader(Stream(), num_workers=2), three_epochs, options={"ids": said}),
    "every_worker_drops_its_last": Scenario(
        loader(Stream(shared=True), num_workers=2, drop_last=True), three_epochs, options={"ids": said}
    ),
    "the_same_are_dropped": Scenario(loader(drop_last=True), three_epochs),
    "with_replacement": Scenario(
        loader(Rows(1000), batch_size=50, sampler=RandomSampler(Rows(1000), replacement=True)),
        three_epochs,
        data=lambda folder: ca.Dataset.of(1000, name="rows"),
    ),
    "as_it_should_be": Scenario(loader(shuffle=True, num_workers=2), three_epochs),
    "samples_dropped": Scenario(loader(collate_fn=drop_some)),
    "stream_without_ids": Scenario(loader(Stream(), num_workers=2)),
}


class NpyRows(Dataset[Any]):
    """All rows of a file; times ``scale`` but for the row's number."""

    def __init__(self, file: str, scale: float = 1.0) -> None:
        self.rows = np.load(file) * [1.0, scale, scale, scale]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Any:
        return self.rows[i], worker(), torch.rand(())


def seeded() -> None:
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)  # noqa: NPY002


def states() -> list[Any]:
    return [
        torch.get_rng_state().tolist(),
        random.getstate(),
        np.random.get_state(legacy=False)["state"]["key"].tolist(),  # noqa: NPY002
    ]


def run(folder: Path, name: str, scenario: Scenario) -> None:
    bare, wrapped = Got(), Got()
    seeded()
    plain_loader = scenario.make(folder)
    scenario.before(plain_loader)
    scenario.loop(plain_loader, bare)
    bare_states = states()
    seeded()
    made = scenario.make(folder)
    scenario.before(made)
    before = states()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loader = ca.wrap(made, scenario.data(folder), folder / f"{name}.parquet", run_id=name, **scenario.options)
        assert states() == before
        scenario.loop(loader, wrapped)
        same_states = states() == bare_states
        loader.recorder.close()
    told = {
        "is_itself": loader is made and type(loader) is type(plain_loader),
        "rows": wrapped.rows,
        "workers": wrapped.workers,
        "errors": wrapped.errors,
        # Which worker makes which batch, with its own random numbers, is a matter of luck there.
        "as_bare": sorted(wrapped.rows) == sorted(bare.rows) if scenario.by_luck else wrapped.batches == bare.batches,
        "same_states": same_states,
        "warnings": [str(one.message) for one in said if issubclass(one.category, RecordingWarning)],
    }
    (folder / f"{name}.json").write_text(json.dumps(told))


def run_rank(folder: Path, rank: int) -> None:
    """One of two ranks that share 11 rows: the sampler pads them to 12."""
    sampler: Any = DistributedSampler(Rows(11), num_replicas=2, rank=rank)
    loader = ca.wrap(
        DataLoader(Rows(11), batch_size=2, sampler=sampler),
        ca.Dataset.of(11, name="rows"),
        folder / "ranks.parquet",
        run_id="ranks",
        data_parallel=(rank, 2),
    )
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for _ in loader:
            continue
    loader.recorder.close()


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    if sys.argv[2:3] == ["rank"]:
        run_rank(target, int(sys.argv[3]))
        sys.exit()
    for chosen in sys.argv[2:] or SCENARIOS:
        run(target, chosen, SCENARIOS[chosen])
