"""Loops over real DataLoaders whose datasets and collate functions hand on other rows than they were asked for,
bare and wrapped. Run by test_torch_others.py.

    python torch_others_scenarios.py FOLDER [NAMES]

What is written is that of torch_data_scenarios.py.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Subset,
    default_collate,
    random_split,
)
from torch_data_scenarios import (
    Got,
    NpyRows,
    Rows,
    Scenario,
    files,
    from_files,
    loader,
    run,
    saved_and_resumed,
    stateful,
)

BAD = frozenset((3, 4, 17))


class Corrupt(Rows):
    """Some rows cannot be read. Counts what it was asked for on itself."""

    asked = 0
    bad = BAD

    def load(self, i: int) -> Any:
        self.asked += 1
        if self.first + i in self.bad:
            raise OSError(f"row {i} cannot be read")
        return Rows.__getitem__(self, i)

    def __getitem__(self, i: Any) -> Any:
        return self.load(i)


class Next(Corrupt):
    def __getitem__(self, i: Any) -> Any:
        try:
            return self.load(i)
        except OSError:
            return self[(i + 1) % len(self)]


class ByChance(Corrupt):
    def __getitem__(self, i: Any) -> Any:
        try:
            return self.load(i)
        except OSError:
            return self.__getitem__(random.randrange(len(self)))


class Whole(ByChance):
    bad = frozenset()


class ByAMethod(Corrupt):
    def __getitem__(self, i: Any) -> Any:
        return self.any_other() if i in self.bad else self.load(i)

    def any_other(self) -> Any:
        return self[torch.randint(5, 10, ()).item()]


class MadeAnew(Corrupt):
    """What it gets of itself is not what it gives."""

    def __getitem__(self, i: Any) -> Any:
        if i in self.bad:
            row, worker, chance = self[0]
            return row, worker, chance
        return self.load(i)


class Together(Next):
    """In the order of the rows."""

    def __getitems__(self, many: list[int]) -> list[Any]:
        return [self[i] for i in sorted(many)]


class Slotted(Next):
    __slots__ = ("place",)


class Trying(Corrupt):
    def __getitem__(self, i: Any) -> Any:
        while True:
            try:
                return self.load(i)
            except OSError:
                i = random.randrange(len(self))


class Above(Corrupt):
    def __getitem__(self, i: Any) -> Any:
        return super().__getitem__(i if i not in BAD else i + 2)


class Of(Rows):
    """Around another one."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def __getitem__(self, i: Any) -> Any:
        return self.inner[i]


class FromFile(NpyRows):
    """The rows of one file, of which the second cannot be read."""

    def __getitem__(self, i: Any) -> Any:
        return self[2] if i == 1 else super().__getitem__(i)


class Absent(Rows):
    """None for what cannot be read."""

    def __getitem__(self, i: Any) -> Any:
        return None if i in BAD else super().__getitem__(i)


class Refilling:
    def __init__(self, data: Any) -> None:
        self.data = data

    def __call__(self, samples: list[Any]) -> Any:
        return default_collate([sample if sample is not None else self.data[20] for sample in samples])


def refill(data: Any, samples: list[Any]) -> Any:
    return default_collate([sample or data[21] for sample in samples])


def repeat(samples: list[Any]) -> Any:
    kept = [sample for sample in samples if sample is not None]
    return default_collate(kept + kept[: len(samples) - len(kept)])


def closing_over(data: Any) -> Callable[[list[Any]], Any]:
    def collate(samples: list[Any]) -> Any:
        return default_collate([data[22] if sample is None else sample for sample in samples])

    return collate


class Mixed(Absent):
    def refilled(self, samples: list[Any]) -> Any:
        return default_collate([self[23] if sample is None else sample for sample in samples])


def with_dataset(kind: type[Any], collate: Callable[[Any], Any]) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        del folder
        data = kind()
        return DataLoader(data, batch_size=8, collate_fn=collate(data))

    return make


def split_in_two(folder: Path) -> Any:
    del folder
    first, _ = random_split(ConcatDataset([Next(15), ByChance(25, first=15)]), [30, 10])
    return Subset(first, list(range(0, 30, 2)))


def changing_in_mid_iteration(loader: Any, got: Got) -> None:
    """The list of a Subset is shuffled in place, then another one, then its dataset."""
    rng = random.Random(5)
    subset = loader.dataset
    for number, batch in enumerate(loader):
        got.add(batch)
        if number == 1:
            rng.shuffle(subset.indices)
        elif number == 3:
            subset.indices = list(reversed(subset.indices))
    for number, batch in enumerate(loader):
        got.add(batch)
        if number == 0:
            subset.indices = np.asarray(subset.indices)[::-1]


def changing_below(loader: Any, got: Got) -> None:
    part = loader.dataset.datasets[1]
    for number, batch in enumerate(loader):
        got.add(batch)
        if number == 2:
            part.indices.reverse()


def half_and_half(folder: Path) -> Any:
    del folder
    rows = Rows()
    return ConcatDataset([Subset(rows, range(20)), Subset(rows, list(range(20, 40)))])


def changing_state(loader: Any, got: Got) -> None:
    """What is set on the dataset while it is iterated is what it goes by, and what it counts is found on it."""
    data = loader.dataset
    for number, batch in enumerate(loader):
        got.add(batch)
        assert data.asked >= 6 * (number + 1) - 4
        if number == 1:
            data.first = 0
    assert type(data) is Next
    assert data is loader.dataset


SCENARIOS: dict[str, Scenario] = {
    "next": Scenario(loader(lambda folder: Next(), shuffle=True)),
    "next_in_workers": Scenario(loader(lambda folder: Next(), shuffle=True, num_workers=2)),
    "next_spawned": Scenario(
        loader(
            lambda folder: Next(), shuffle=True, num_workers=2, multiprocessing_context="spawn", persistent_workers=True
        )
    ),
    "by_chance": Scenario(loader(lambda folder: ByChance(), shuffle=True)),
    "by_chance_in_workers": Scenario(loader(lambda folder: ByChance(), num_workers=2)),
    "by_a_method": Scenario(loader(lambda folder: ByAMethod(), num_workers=2, pin_memory=True)),
    "one_by_one": Scenario(loader(lambda folder: Next(), batch_size=None)),
    "together": Scenario(loader(lambda folder: Together(), shuffle=True)),
    "state_kept": Scenario(loader(lambda folder: Next()), changing_state),
    "in_views": Scenario(loader(split_in_two, shuffle=True)),
    "in_views_in_workers": Scenario(loader(split_in_two, shuffle=True, num_workers=2)),
    "stateful": Scenario(stateful(lambda folder: Next(), shuffle=True, num_workers=2), saved_and_resumed),
    "stateful_here": Scenario(stateful(lambda folder: Next()), saved_and_resumed),
    "from_files": Scenario(
        lambda folder: DataLoader(
            ConcatDataset([FromFile(file) for file in files(folder)]), batch_size=6, shuffle=True
        ),
        data=from_files,
    ),
    "nothing_wrong": Scenario(loader(lambda folder: Whole(), shuffle=True, num_workers=2)),
    "made_anew": Scenario(loader(lambda folder: MadeAnew())),
    "slotted": Scenario(loader(lambda folder: Slotted(), num_workers=2)),
    "trying": Scenario(loader(lambda folder: Trying(), shuffle=True)),
    "trying_in_workers": Scenario(loader(lambda folder: Trying(), shuffle=True, num_workers=2)),
    "above": Scenario(loader(lambda folder: Above())),
    "of_next": Scenario(loader(lambda folder: Of(Next()))),
    "refilled_by_object": Scenario(with_dataset(Absent, Refilling)),
    "refilled_by_partial": Scenario(with_dataset(Absent, lambda data: functools.partial(refill, data))),
    "refilled_by_closure": Scenario(with_dataset(Absent, closing_over)),
    "refilled_by_method": Scenario(with_dataset(Mixed, lambda data: data.refilled)),
    "repeated_by_collate": Scenario(with_dataset(Absent, lambda data: repeat)),
    "changing_subset": Scenario(
        loader(lambda folder: Subset(Rows(), list(range(39, -1, -1)))), changing_in_mid_iteration
    ),
    "changing_part": Scenario(loader(half_and_half), changing_below),
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for chosen in sys.argv[2:] or SCENARIOS:
        run(Path(sys.argv[1]), chosen, SCENARIOS[chosen])
