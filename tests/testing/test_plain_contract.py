"""The contract of adapters, for what can be iterated without a framework; and that the contract can fail."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coverage_audit.testing.adapter_contract import AdapterContract


class Shuffled:
    """A loader of lists of rows, shuffled anew each time."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.random = random.Random(3)

    def __len__(self) -> int:
        return (self.rows + 7) // 8

    def __iter__(self) -> Iterator[Any]:
        order = list(range(self.rows))
        self.random.shuffle(order)
        for start in range(0, self.rows, 8):
            yield {"row": order[start : start + 8]}


class TestIterable(AdapterContract):
    options = {"ids": lambda batch: (batch["row"], batch)}  # noqa: RUF012

    def make_loader(self) -> Any:
        return Shuffled(self.rows)

    def rows_in(self, batch: Any) -> list[int]:
        return list(batch["row"])


class TestGenerator(TestIterable):
    restarts = False

    def make_loader(self) -> Any:
        return (batch for batch in Shuffled(self.rows))


class TestIterator(TestIterable):
    restarts = False

    def make_loader(self) -> Any:
        return iter([{"row": [3, 1]}, {"row": [0]}, {"row": [2, 4]}])


class WrongByOne(TestIterable):
    options = {"ids": lambda batch: ([row + 1 for row in batch["row"]], batch)}  # noqa: RUF012


class Altering(TestIterable):
    options = {"ids": "row"}  # noqa: RUF012


def test_wrong_rows_do_not_pass(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        WrongByOne().test_every_delivered_batch_is_recorded_with_its_rows(tmp_path)


def test_other_batches_do_not_pass(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Altering().test_batches_are_those_of_the_loader_itself(tmp_path)
