"""A wrapped loader is the loader, and what passes is in the journal."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import types
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import batches, events, marks

import coverage_audit as ca
from coverage_audit.errors import UsageError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run.parquet"


def ids(k: int) -> Any:
    """Two rows that are no run."""
    return np.array([2 * k + 1, 2 * k])


def counting(n: int | None = None) -> Iterator[Any]:
    for k in itertools.count() if n is None else range(n):
        yield np.full((2, 1), k), ids(k)


def wrapped(loader: Any, log: Path, **options: Any) -> Any:
    return ca.wrap(loader, ca.Dataset.of(1000), log, **({"ids": 1} | options))


OPENED = ("opened", "train", {"segment": 0})
EXHAUSTED = ("ended", "train", {"segment": 0, "how": "exhausted"})


def test_a_generator_stays_a_generator(log: Path) -> None:
    """What trainers ask before they take a loader for a generator."""
    gen = wrapped(counting(), log)
    assert isinstance(gen, types.GeneratorType)
    assert isinstance(gen, Generator)
    assert inspect.isgenerator(gen)
    assert inspect.getgeneratorstate(gen) == "GEN_CREATED"
    assert not hasattr(gen, "__len__")
    assert not hasattr(gen, "__array__")
    assert not hasattr(gen, "shape")
    assert bool(gen) is True
    assert isinstance(iter(gen), types.GeneratorType)


def test_batches_pass_as_they_are_and_none_is_pulled_early(log: Path) -> None:
    """GIVEN a generator that tells how far it is WHEN batches are pulled THEN it is never further than asked."""
    pulled: list[int] = []

    def source() -> Iterator[Any]:
        for k in range(5):
            pulled.append(k)
            yield given[k]

    given = [(np.zeros((2, 1)), None) for _ in range(5)]
    gen = wrapped(source(), log, ids=None, identify="off")
    assert pulled == []
    for k, batch in enumerate(gen):
        assert batch is given[k]
        assert pulled == list(range(k + 1))


def test_a_loop_in_the_journal(log: Path) -> None:
    gen = wrapped(counting(3), log)
    assert [batch[0][0, 0] for batch in gen] == [0, 1, 2]
    assert events(log) == [
        OPENED,
        ("train", 0, 0, -1, [1, 0]),
        ("train", 1, 0, -1, [3, 2]),
        ("train", 2, 0, -1, [5, 4]),
        EXHAUSTED,
        ("idle", "", {}),
    ]


def test_next_of_the_proxy_itself(log: Path) -> None:
    """GIVEN no iter() at all THEN the first next() opens the segment, and its end is told once."""
    gen = wrapped(counting(1), log)
    assert marks(log) == []
    next(gen)
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(gen)
    assert events(log) == [OPENED, ("train", 0, 0, -1, [1, 0]), EXHAUSTED, ("idle", "", {})]


def test_each_iter_is_a_segment_of_its_own(log: Path) -> None:
    """GIVEN an iterator that goes on after another was taken THEN each batch belongs to the one that pulled it."""
    gen = wrapped(counting(), log)
    old = iter(gen)
    next(old)
    new = iter(gen)
    next(new)
    next(old)
    next(new)
    next(gen)
    assert [(number, segment) for number, segment, _, _ in batches(log)] == [(0, 0), (1, 1), (2, 0), (3, 1), (4, 2)]


def test_an_iterator_of_an_iterator(log: Path) -> None:
    """GIVEN iter(iter(gen)), as for does THEN it is one segment; taken up again later, it is a new one."""
    gen = wrapped(counting(), log)
    it = iter(gen)
    assert iter(it) is it
    next(it)
    again = iter(it)
    assert again is not it
    next(again)
    assert [segment for _, segment, _, _ in batches(log)] == [0, 1]


def test_send_throw_and_close_reach_the_generator(log: Path) -> None:
    said: list[Any] = []

    def source() -> Generator[Any, Any, None]:
        k = 0
        try:
            while True:
                try:
                    said.append((yield np.zeros(2), ids(k)))
                except KeyError as error:
                    said.append(error)
                k += 1
        finally:
            said.append("closed")

    gen = wrapped(source(), log)
    next(gen)
    assert len(gen.send("hello")) == 1
    error = KeyError("x")
    gen.throw(error)
    gen.close()
    assert said == ["hello", error, "closed"]
    assert [rows for _, _, _, rows in batches(log)] == [[1, 0], [3, 2], [5, 4]]
    assert marks(log)[-1] == ("ended", "train", {"segment": 0, "how": "closed"})


def test_closing_one_iteration_closes_the_generator(log: Path) -> None:
    inner = counting()
    it = iter(wrapped(inner, log))
    next(it)
    it.close()
    assert inspect.getgeneratorstate(inner) == "GEN_CLOSED"  # type: ignore[arg-type]
    assert marks(log) == [OPENED, ("ended", "train", {"segment": 0, "how": "closed"})]


def test_closing_what_never_began_leaves_nothing(log: Path) -> None:
    wrapped(counting(), log).close()
    assert events(log) == []


def test_an_exception_of_the_generator_is_the_very_same(log: Path) -> None:
    """GIVEN an exception inside THEN the same object comes out, with its traceback, and the log has it."""
    error = RuntimeError("no such file")

    def source() -> Iterator[Any]:
        yield np.zeros(2), ids(0)
        raise error

    gen = wrapped(source(), log)
    next(gen)
    with pytest.raises(RuntimeError) as caught:
        next(gen)
    assert caught.value is error
    assert caught.traceback[-1].name == "source"
    failed = {"segment": 0, "how": "failed", "error": "RuntimeError: no such file"}
    assert events(log) == [OPENED, ("train", 0, 0, -1, [1, 0]), ("ended", "train", failed)]


def test_an_iterable_tells_its_passes(log: Path) -> None:
    """GIVEN a list of batches WHEN it is iterated three times, the second time in part THEN these are three passes."""
    loader = wrapped(list(counting(2)), log)
    assert isinstance(loader, list)
    assert len(loader) == 2
    list(loader)
    next(iter(loader))
    list(loader)
    assert [(number, pass_) for number, _, pass_, _ in batches(log)] == [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2)]
    assert [m[2].get("how", m[0]) for m in marks(log)] == [
        "opened", "exhausted", "idle", "opened", "opened", "exhausted", "idle",
    ]  # fmt: skip


def test_going_on_with_one_iterator_is_no_new_pass(log: Path) -> None:
    it = iter(wrapped(list(counting(3)), log))
    next(it)
    for _ in it:
        pass
    assert [pass_ for _, _, pass_, _ in batches(log)] == [0, 0, 0]


class Loader:
    """As frameworks have them: a length, attributes, methods."""

    batch_size = 2

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, k: int) -> Any:
        return np.full((2, 1), k), ids(k)

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def __contains__(self, item: Any) -> bool:
        return item == "it"

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *error: object) -> None:
        self.epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def test_everything_else_is_the_loaders_own(log: Path) -> None:
    inner = Loader()
    loader = wrapped(inner, log)
    assert isinstance(loader, Loader)
    assert (len(loader), loader.batch_size, loader[1][0][0, 0], "it" in loader, bool(loader)) == (3, 2, 1, True, True)
    loader.set_epoch(4)
    loader.note = "mine"
    assert (inner.epoch, inner.note) == (4, "mine")  # type: ignore[attr-defined]
    del loader.note
    assert not hasattr(inner, "note")
    with loader as entered:
        assert entered is loader
    assert inner.epoch == -1
    assert not hasattr(loader, "__call__")  # noqa: B004 - the attribute itself is asked for
    assert len(list(loader)) == 3
    with pytest.raises(AttributeError, match="'Loader' object has no attribute 'nothing'"):
        loader.nothing  # noqa: B018


def test_an_iterator_is_its_own_iterator(log: Path) -> None:
    """GIVEN an iterator that is no generator THEN nothing says where passes begin."""
    it = wrapped(iter(list(counting(3))), log)
    assert it.__length_hint__() == 3
    next(it)
    assert len(list(it)) == 2
    assert [(segment, pass_) for _, segment, pass_, _ in batches(log)] == [(0, -1), (1, -1), (1, -1)]


def test_a_proxy_is_neither_pickled_nor_copied(log: Path) -> None:
    """A generator cannot be either; a copy that records twice would be worse than none."""
    gen = wrapped(counting(), log)
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle a recorded generator"):
            act(gen)


def test_two_loaders_of_one_split_go_on_counting(log: Path) -> None:
    list(wrapped(counting(2), log))
    list(wrapped(counting(1), log))
    assert [(number, segment) for number, segment, _, _ in batches(log)] == [(0, 0), (1, 0), (2, 1)]


def test_disabled_everything_is_the_same_but_nothing_is_written(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN COVERAGE_AUDIT_DISABLE=1 THEN ids are removed, errors are raised, and there is no log."""
    monkeypatch.setenv("COVERAGE_AUDIT_DISABLE", "1")
    gen = wrapped(counting(2), log)
    assert isinstance(gen, types.GeneratorType)
    assert [len(batch) for batch in gen] == [1, 1]
    with gen.recorder.epoch():
        gen.recorder.step()
    gen.recorder.checkpoint("a")
    gen.recorder.close()
    assert gen.recorder.run_id is None
    assert list(log.parent.iterdir()) == []
    with pytest.raises(UsageError, match="steps_per_epoch=0"):
        wrapped(counting(), log, steps_per_epoch=0)


@pytest.mark.parametrize("text", ["0", ""])
def test_not_disabled(log: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("COVERAGE_AUDIT_DISABLE", text)
    list(wrapped(counting(1), log))
    assert len(batches(log)) == 1
