"""What every adapter promises, as tests: subclass, say how a loader of the framework is made, and run them.

::

    class TestMyLoader(AdapterContract):
        rows = 40

        def make_loader(self):
            return my_framework.Loader(range(40), batch_size=8, shuffle=True, seed=1)

        def rows_in(self, batch):
            return batch["row"].tolist()

The truth is what the loop gets: ``rows_in`` reads the rows off the delivered batch itself, so the data has to hold its
own row numbers. Each test wraps a fresh loader through :func:`coverage_audit.adapters.choice.wrap`, as users do.
"""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from coverage_audit.adapters.choice import wrap
from coverage_audit.errors import RecordingWarning, UsageError
from coverage_audit.model.rows import RowSet
from coverage_audit.sources.dataset import Dataset
from coverage_audit.testing.recorded import RecordedBatch, recorded_batches


class AdapterContract:
    """Every test of it must pass for an adapter to be shipped. Collected by pytest under a name that begins with Test.

    ``rows``: how many the data has. ``options``: further arguments of ``wrap``. ``restarts``: whether each ``iter()``
    begins the data anew. ``in_order``: whether batches are delivered in an order that is the same for equal loaders.
    """

    rows: int = 40
    options: ClassVar[Mapping[str, Any]] = {}
    restarts: bool = True
    in_order: bool = True

    def make_loader(self) -> Any:
        """A fresh loader; two of them deliver the same batches."""
        raise NotImplementedError

    def rows_in(self, batch: Any) -> list[int]:
        """The rows that a delivered batch holds, in its order, read off its contents."""
        raise NotImplementedError

    def dataset(self) -> Dataset:
        """The data as declared; by default just its length."""
        return Dataset.of(self.rows, name="rows")

    def iterate(self, loader: Any) -> Iterator[Any]:
        """How a loop goes through the loader once."""
        return iter(loader)

    def plain(self, batch: Any) -> Any:
        """A batch as values that compare: lists, numbers, text, with the types of what holds them."""
        if isinstance(batch, Mapping):
            return type(batch).__name__, {key: self.plain(value) for key, value in batch.items()}
        if isinstance(batch, list | tuple):
            return type(batch).__name__, [self.plain(part) for part in batch]
        values = batch.numpy() if hasattr(batch, "numpy") else batch
        return type(batch).__name__, str(getattr(batch, "dtype", "")), getattr(values, "tolist", lambda: values)()

    def record(self, folder: Path, loader: Any, **options: Any) -> Any:
        """The loader, wrapped."""
        log = folder / "run.parquet"
        return wrap(loader, self.dataset(), log, **{**self.options, **options})

    def test_every_delivered_batch_is_recorded_with_its_rows(self, tmp_path: Path) -> None:
        loader = self.record(tmp_path, self.make_loader())
        truth = [self.rows_in(batch) for batch in self.iterate(loader)]
        assert sum(map(len, truth)) > 0
        assert self._rows(self._close(tmp_path, loader)) == truth

    def test_batches_are_those_of_the_loader_itself(self, tmp_path: Path) -> None:
        bare = [self.plain(batch) for batch in self.iterate(self.make_loader())]
        loader = self.record(tmp_path, self.make_loader())
        wrapped = [self.plain(batch) for batch in self.iterate(loader)]
        self._close(tmp_path, loader)
        self._assert_alike(wrapped, bare)

    def test_a_second_iteration_is_recorded_as_the_first(self, tmp_path: Path) -> None:
        loader = self.record(tmp_path, self.make_loader())
        truth = [[self.rows_in(batch) for batch in self.iterate(loader)] for _ in range(2)]
        recorded = self._close(tmp_path, loader)
        assert self._rows(recorded) == truth[0] + truth[1]
        if self.restarts:
            assert truth[1], "a loader that restarts delivers again"
            passes = [batch.pass_ for batch in recorded]
            assert passes == [0] * len(truth[0]) + [1] * len(truth[1])

    def test_a_loop_left_early_pulled_what_it_got(self, tmp_path: Path) -> None:
        loader = self.record(tmp_path, self.make_loader())
        iterator = self.iterate(loader)
        truth = [self.rows_in(batch) for batch in itertools.islice(iterator, 2)]
        del iterator
        assert len(truth) == 2
        assert self._rows(self._close(tmp_path, loader)) == truth

    def test_what_was_iterated_before_is_not_recorded(self, tmp_path: Path) -> None:
        bare = self.make_loader()
        for _ in itertools.islice(self.iterate(bare), 1):
            continue
        loader = self.record(tmp_path, bare)
        truth = [self.rows_in(batch) for batch in self.iterate(loader)]
        assert self._rows(self._close(tmp_path, loader)) == truth

    def test_wrapping_twice_is_refused(self, tmp_path: Path) -> None:
        loader = self.record(tmp_path, self.make_loader())
        refusal = _error_of(lambda: self.record(tmp_path, loader))
        self._close(tmp_path, loader)
        assert isinstance(refusal, UsageError)
        assert refusal.slug == "wrapped-twice"

    def test_what_a_trainer_asks_of_the_loader_is_answered_as_before(self, tmp_path: Path) -> None:
        bare = self.make_loader()
        loader = self.record(tmp_path, self.make_loader())
        assert isinstance(loader, type(bare))
        assert (hasattr(loader, "__len__"), hasattr(loader, "__getitem__")) == (
            hasattr(bare, "__len__"),
            hasattr(bare, "__getitem__"),
        )
        if hasattr(type(bare), "__len__"):
            assert _length(loader) == _length(bare)
        self._close(tmp_path, loader)

    def test_without_recording_everything_else_is_the_same(self, tmp_path: Path, monkeypatch: Any) -> None:
        bare = [self.rows_in(batch) for batch in self.iterate(self.make_loader())]
        monkeypatch.setenv("COVERAGE_AUDIT_DISABLE", "1")
        loader = self.record(tmp_path, self.make_loader())
        self._assert_alike([self.rows_in(batch) for batch in self.iterate(loader)], bare)
        assert list(tmp_path.iterdir()) == []

    def test_batches_go_on_when_recording_has_ended(self, tmp_path: Path) -> None:
        bare = [self.rows_in(batch) for batch in self.iterate(self.make_loader())]
        loader = self.record(tmp_path, self.make_loader())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RecordingWarning)
            loader.recorder.stream.writer.fail(OSError("no space left on the device"))
            self._assert_alike([self.rows_in(batch) for batch in self.iterate(loader)], bare)
            assert self._close(tmp_path, loader) == []

    def test_a_copy_leaves_the_log_alone(self, tmp_path: Path) -> None:
        loader = self.record(tmp_path, self.make_loader())
        truth = [self.rows_in(batch) for batch in self.iterate(loader)]
        copies: list[Any] = []
        refusal = _error_of(lambda: copies.append(copy.deepcopy(loader)))
        assert copies or refusal, "many loaders cannot be copied, and say so as they like"
        for other in copies:
            for _ in self.iterate(other):
                continue
        assert self._rows(self._close(tmp_path, loader)) == truth

    def test_a_selection_keeps_the_ids(self, tmp_path: Path) -> None:
        """GIVEN fewer rows as the denominator WHEN all are delivered THEN each is recorded under its own id."""
        chosen = self.dataset().select(RowSet.span(0, self.rows - 1))
        loader = wrap(self.make_loader(), chosen, tmp_path / "run.parquet", **self.options)
        truth = [self.rows_in(batch) for batch in self.iterate(loader)]
        assert self._rows(self._close(tmp_path, loader)) == truth

    def _close(self, folder: Path, loader: Any) -> list[RecordedBatch]:
        loader.recorder.close()
        return recorded_batches(folder / "run.parquet")

    def _rows(self, recorded: list[RecordedBatch]) -> list[list[int]]:
        assert all(batch.rows is not None for batch in recorded), f"rows are unknown: {recorded}"
        return [list(batch.rows) for batch in recorded if batch.rows is not None]

    def _assert_alike(self, got: list[Any], wanted: list[Any]) -> None:
        if self.in_order:
            assert got == wanted
        else:
            assert sorted(map(repr, got)) == sorted(map(repr, wanted))


def _error_of(call: Callable[[], Any]) -> Exception | None:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is for the caller to say which is right
        return error
    return None


def _length(loader: Any) -> Any:
    try:
        return len(loader)
    except TypeError as error:
        return type(error)
