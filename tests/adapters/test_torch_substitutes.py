"""May a dataset give another sample than the one it was asked for? What is read off the code of each."""

from __future__ import annotations

import functools
import logging
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from coverage_audit.adapters.torch_substitutes import substitutes_of

N = 10


class Rows(Dataset[Any]):
    bad: frozenset[int] = frozenset((3,))

    def __init__(self) -> None:
        self.n = N
        self.rows = list(range(N))
        self.ends = [4, 10]
        self.transform: Any = None

    def __len__(self) -> int:
        return N

    def load(self, index: int) -> int:
        if index in self.bad:
            raise OSError(index)
        return self.rows[index]

    def load_or_none(self, index: int) -> int | None:
        return None if index in self.bad else self.rows[index]

    def __getitem__(self, index: Any) -> Any:
        return self.load(index)


# Those that give what they were asked for.


class OwnOrder(Rows):
    def __getitem__(self, index: Any) -> Any:
        index = self.rows[index]
        return self.load(index)


class OfTensors(Rows):
    def __getitem__(self, index: Any) -> Any:
        if torch.is_tensor(index):
            index = index.tolist()
        if index < 0:
            index = len(self) + index
        return self.load(int(index))


class InParts(Rows):
    def __getitem__(self, index: Any) -> Any:
        start = 0
        for end in self.ends:
            if index < end - start:
                return self.rows[start + index]
            index -= end - start
            start = end
        raise IndexError(index)


class Shaped(Rows):
    def __getitem__(self, index: Any) -> Any:
        places = []
        for size in (2, 5):
            index, place = divmod(index, size)
            places.append(place)
        return places


class Windows(Rows):
    def __getitem__(self, index: Any) -> Any:
        return [self.rows[(index + k) % N] for k in range(2)], self.rows[(index + 1) % N]


class Cropping(Rows):
    def __getitem__(self, index: Any) -> Any:
        row = self.load(index)
        while True:
            top = random.randint(0, 4)
            if top < 5:
                return row, top


class Mixing(Rows):
    """Another row beside the one that was asked for."""

    def __getitem__(self, index: Any) -> Any:
        row = self.load(index)
        if random.random() < 0.5:
            row = row + self.load(random.randrange(len(self)))
        return row


class Pairs(Rows):
    def __getitem__(self, index: Any) -> Any:
        other = np.random.randint(len(self))  # noqa: NPY002
        return self.rows[index], self.rows[other]


class Failing(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            logging.warning("row %d cannot be read", index + 1)
            return None


class Looking(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            index = int(index)
        except TypeError:
            raise IndexError(index + 1) from None
        return self.load(index)


class Above(Rows):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(index), 1


class Together(Rows):
    def __getitems__(self, many: list[int]) -> Any:
        return [self[i] for i in many]


class TogetherInALoop(Rows):
    def __getitems__(self, many: list[int]) -> Any:
        samples = []
        for _, i in enumerate(many):
            samples.append(self.__getitem__(i))
        return samples


class Holding(Rows):
    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner

    def __getitem__(self, index: Any) -> Any:
        return self.inner[index]


class NextBeside(Rows):
    """The one before it, but at the beginning of a part."""

    def __getitem__(self, index: Any) -> Any:
        before = self.load(index if index in self.ends else index - 1)
        return self.load(index), before


class BeforeBeside(Rows):
    def __getitem__(self, index: Any) -> Any:
        row = self.load(index)
        if index not in self.ends:
            index -= 1
        return row, self.load(index)


class Counted(Rows):
    """From the other end, from 1, of a part, and wherever a setting says."""

    def __getitem__(self, index: Any) -> Any:
        index = index if index >= 0 else index + N
        if index >= self.ends[0]:
            index = index - 4
        if self.transform is None:
            index = index - 1
        if isinstance(index, slice) or torch.is_tensor(index):
            index = index + 1
        if random.random() < 0.5:
            index += 1
        return self.load(index if self.transform else index + 1)


class Mapped(Rows):
    def __getitem__(self, index: Any) -> Any:
        at = self.ends[index] if index in self.bad else index
        if self.rows[index] > 5:
            at = at - self.n
        return self.load(at)


class PairsOfTwo(Rows):
    def __getitem__(self, index: Any) -> Any:
        other = index
        while other == index:
            other = random.choice(self.rows)
        return self.load(index), self.load(other)


class Caching(Rows):
    kept: Any = None
    kept_at: Any = None

    def __getitem__(self, index: Any) -> Any:
        row = self.kept
        if self.kept_at != index:
            row = self.load(index)
            self.kept, self.kept_at = row, index
        return row


class Opening(Rows):
    file: Any = None

    def __getitem__(self, index: Any) -> Any:
        file = self.file if self.file is not None else self.rows
        self.file = file
        return file[index]


class Differences(Rows):
    before: Any = 0

    def __getitem__(self, index: Any) -> Any:
        before = self.before
        now = self.load(index)
        self.before = now
        return now, now - before


@pytest.mark.parametrize(
    "dataset",
    [
        *(NextBeside(), BeforeBeside(), Counted(), Mapped(), PairsOfTwo(), Caching(), Opening(), Differences()),
        *(Rows(), OwnOrder(), OfTensors(), InParts(), Shaped(), Windows(), Cropping(), Mixing(), Pairs(), Failing()),
        *(Looking(), Above(), Together(), TogetherInALoop(), Holding(Rows()), Holding([1, 2])),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_what_gives_the_samples_that_it_is_asked_for(dataset: Any) -> None:
    found = substitutes_of(dataset, together=hasattr(dataset, "__getitems__"))
    assert (found.asks_itself, found.loads) == (None, None)


# Those that ask themselves.


class Next(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            return self[(index + 1) % len(self)]


class ByName(Rows):
    def __getitem__(self, index: Any) -> Any:
        row = self.load_or_none(index)
        if row is None:
            return self.__getitem__(random.randrange(len(self)))
        return row


class NextByName(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            return self.__getitem__((index + 1) % len(self))


class ByAnotherIndex(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            index = random.randrange(len(self))
            logging.info("%d in its place", index)
            return self[index]


class ByAMethod(Rows):
    def __getitem__(self, index: Any) -> Any:
        return self.load_or_none(index) or self.any_other()

    def any_other(self) -> Any:
        return self[0]


class ByChance(Rows):
    def __getitem__(self, index: Any) -> Any:
        return self.load_or_none(index) or random.choice(self)


class TogetherOthers(Rows):
    def __getitems__(self, many: list[int]) -> Any:
        return [self[i] for i in sorted(many)]


@pytest.mark.parametrize("kind", [Next, ByName, NextByName, ByAnotherIndex, ByAMethod, ByChance, TogetherOthers])
def test_what_asks_itself(kind: type[Rows]) -> None:
    found = substitutes_of(kind(), together=hasattr(kind, "__getitems__"))
    assert found.asks_itself is not None
    assert found.loads is None


# Those that load another one.


class Trying(Rows):
    def __getitem__(self, index: Any) -> Any:
        while True:
            try:
                return self.load(index)
            except OSError:
                index = random.randrange(len(self))


class TryingSomeTimes(Rows):
    def __getitem__(self, index: Any) -> Any:
        for _ in range(5):
            row = self.load_or_none(index)
            if row is not None:
                return row
            index = (index + 1) % len(self)
        raise IndexError(index)


class TryingAnother(Rows):
    """As detectron2 does."""

    def __getitem__(self, index: Any) -> Any:
        at = int(index)
        while True:
            row = self.load_or_none(at)
            if row is not None:
                return row
            at = random.sample(self.rows, k=1)[0]


class TryingOneAfterTheOther(Rows):
    def __getitem__(self, index: Any) -> Any:
        for at in range(index, index + N):
            row = self.load_or_none(at % N)
            if row is not None:
                break
        return row


class TryingWithAName(Rows):
    def __getitem__(self, index: Any) -> Any:
        row = self.load_or_none(index)
        while row is None:
            other = random.randint(0, self.n - 1)
            row = self.load_or_none(other)
        return row


class OnceMore(Rows):
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            return self.load((index + 1) % N)


class OnceMoreOfNothing(Rows):
    def __getitem__(self, index: Any) -> Any:
        row = self.load_or_none(index)
        if row is None:
            row = self.load(random.choice(self.rows))
        return row


class OtherAbove(Rows):
    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(self.rows[-1 - index])


class OtherOfTheClass(Rows):
    def __getitem__(self, index: Any) -> Any:
        index = (index + 1) % N
        return Rows.__getitem__(self, index)


class CallingItself(Rows):
    def __getitem__(self, index: Any) -> Any:
        return self.get(index)

    def get(self, index: Any) -> Any:
        row = self.load_or_none(index)
        return self.get(index + 1) if row is None else row


class TogetherTrying(Rows):
    def __getitems__(self, many: list[int]) -> Any:
        samples = []
        for i in many:
            try:
                samples.append(self.load(i))
            except OSError:
                other = random.choice(many)
                samples.append(self.load(other))
        return samples


def retried(function: Any) -> Any:
    @functools.wraps(function)
    def again(self: Any, index: Any) -> Any:
        try:
            return function(self, index)
        except OSError:
            return function(self, index + 1)

    return again


class Decorated(Rows):
    @retried
    def __getitem__(self, index: Any) -> Any:
        return self.load(index)


class Cached(Rows):
    @functools.cache  # noqa: B019
    def __getitem__(self, index: Any) -> Any:
        try:
            return self.load(index)
        except OSError:
            return self.load(random.randrange(N))


class Choosing(Rows):
    def __getitem__(self, index: Any) -> Any:
        return self.load(index if index not in self.bad else index - 1)


class ChoosingByAFunction(Rows):
    def is_bad(self, index: int) -> bool:
        return index in self.bad

    def __getitem__(self, index: Any) -> Any:
        index = int(index)
        at = (index + 1) % len(self) if self.is_bad(index) else index
        return self.rows[at]


class ChoosingByChance(Rows):
    def __getitem__(self, index: Any) -> Any:
        return self.rows[random.randrange(len(self)) if self.rows[index] < 3 else index]


class Moving(Rows):
    def __getitem__(self, index: Any) -> Any:
        if index in self.bad:
            index = max(index - 1, 0)
        return self.load(index)


class MovingOn(Rows):
    def __getitem__(self, index: Any) -> Any:
        if self.rows[index] == 3:
            index += 1
        return self.load(index)


class MovingByChance(Rows):
    def __getitem__(self, index: Any) -> Any:
        if self.rows[index] == 3:
            index = int(np.random.randint(len(self)))  # noqa: NPY002
        return self.load(index)


class TwoBranches(Rows):
    def __getitem__(self, index: Any) -> Any:
        if index in self.bad:
            logging.warning("row %d is bad", index)
            at = index - 1
        else:
            at = index
        return self.load(at)


class TogetherChoosing(Rows):
    def __getitems__(self, many: list[int]) -> Any:
        return [self.load(i - 1 if i in self.bad else i) for i in many]


class Queue(Rows):
    before: Any = None

    def __getitem__(self, index: Any) -> Any:
        now = self.load(index)
        out = self.before if self.before is not None else now
        self.before = now
        return out


class QueueInOneLine(Rows):
    before: Any = None

    def __getitem__(self, index: Any) -> Any:
        now = self.load(index)
        out, self.before = self.before, now
        return out


@pytest.mark.parametrize(
    "dataset",
    [
        *(Choosing(), ChoosingByAFunction(), ChoosingByChance(), Moving(), MovingOn(), MovingByChance()),
        *(TwoBranches(), TogetherChoosing(), Queue(), QueueInOneLine(), Holding(Choosing())),
        *(Trying(), TryingSomeTimes(), TryingAnother(), TryingOneAfterTheOther(), TryingWithAName(), OnceMore()),
        *(OnceMoreOfNothing(), OtherAbove(), OtherOfTheClass(), CallingItself(), TogetherTrying(), Decorated()),
        *(Cached(), Holding(Next()), Holding(Holding(Trying()))),
    ],
    ids=lambda dataset: type(dataset).__name__,
)
def test_what_loads_another_in_its_own_way(dataset: Any) -> None:
    assert substitutes_of(dataset, together=hasattr(dataset, "__getitems__")).loads is not None


def test_where_it_does_is_said() -> None:
    found = substitutes_of(Trying())
    assert found.loads is not None
    line = Trying.__getitem__.__code__.co_firstlineno + 5
    assert found.loads == f"Trying.__getitem__ (line {line} of test_torch_substitutes.py)"


@pytest.mark.parametrize(
    ("body", "asks_itself", "loads"),
    [
        ("return self.load(index)", True, False),  # nothing says that it does not
        (
            "try:\n  return self.load(index)\n except OSError:\n  index = index + 1\n  return self.load(index)",
            True,
            True,
        ),
        ("try:\n  return self.load(index)\n except OSError:\n  return self[random.randrange(10)]", True, True),
    ],
)
def test_without_source_the_bytecode_says_what_it_can(body: str, asks_itself: bool, loads: bool) -> None:
    names: dict[str, Any] = {"random": random}
    exec(f"def __getitem__(self, index):\n {body}", names)
    kind = type("Made", (Rows,), {"__getitem__": names["__getitem__"]})
    found = substitutes_of(kind())
    assert (found.asks_itself is not None, found.loads is not None) == (asks_itself, loads)
