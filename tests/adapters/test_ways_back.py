"""Datasets that ask themselves by something they hold: nothing tells which sample they gave."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from torch.utils.data import Dataset

from coverage_audit.adapters.torch_substitutes import substitutes_of

N = 10


class Rows(Dataset[Any]):
    def __init__(self) -> None:
        self.n = N
        self.me = weakref.ref(self)
        self.box = {"all": [self]}
        self.asking = [self.__getitem__]
        self.reading = {"plain": self.load}
        self.only = self.load
        self.others = Others(self)
        self.facts = [0] * N

    def __len__(self) -> int:
        return N

    def load(self, index: int) -> int:
        return index


class Others:
    """A helper that holds the dataset."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.__private = rows

    def another(self, index: int) -> Any:
        return self.rows[index + 1]

    def privately(self, index: int) -> Any:
        return self.__private[index + 1]

    def fact(self, index: int) -> int:
        return self.rows.facts[index]


class ByWeakReference(Rows):
    def __getitem__(self, index: int) -> Any:
        rows = self.load(index)
        return self.me()[index + 1] if rows == 3 else rows  # type: ignore[index]


class ByContainer(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.box["all"][0][index + 1] if index == 3 else self.load(index)


class ByMethod(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.asking[0](index + 1) if index == 3 else self.load(index)


class ByHelper(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.others.another(index) if index == 3 else self.load(index)


class ByPrivateHelper(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.others.privately(index) if index == 3 else self.load(index)


@pytest.mark.parametrize("kind", [ByWeakReference, ByContainer, ByMethod, ByHelper, ByPrivateHelper])
def test_ways_back_to_the_dataset(kind: Any) -> None:
    assert substitutes_of(kind()).loads is not None


class Reading(Rows):
    def __getitem__(self, index: int) -> Any:
        return self.reading["plain"](index) + self.only(index) + self.others.fact(index)


def test_methods_and_helpers_that_only_read() -> None:
    found = substitutes_of(Reading())
    assert (found.loads, found.asks_itself) == (None, None)


class Private(Rows):
    def __another(self, index: int) -> Any:
        return self[index + 1]

    def __getitem__(self, index: int) -> Any:
        return self.__another(index) if index == 3 else self.load(index)


class Inheriting(Private):
    pass


class Kept(Rows):
    """Its own method, out of a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = {"plain": self.load, "other": self.other}

    def other(self, index: int) -> Any:
        return self[index + 1]

    def __getitem__(self, index: int) -> Any:
        return self.reading["other" if index == 3 else "plain"](index)


@pytest.mark.parametrize("kind", [Private, Inheriting, Kept])
def test_methods_that_are_found_in_other_ways_than_by_their_name(kind: Any) -> None:
    assert substitutes_of(kind()).asks_itself is not None
