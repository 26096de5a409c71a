"""Hugging Face datasets that are iterated by hand: one example at a time, or in batches by ``.iter(batch_size)``.

A map-style dataset needs nothing but the declaration; what is iterated may be any ``select``, ``shuffle``, ``filter``
or ``train_test_split`` of what was declared::

    full = datasets.load_dataset("imdb", split="train")
    data = ca.Dataset.of(full)
    train = ca.wrap(full.shuffle(seed=0), data, log="run.parquet", batch_size=32)
    for batch in train.iter(batch_size=32):
        step(batch)
    print(ca.audit("run.parquet").verdict)

An iterable dataset says which rows it yields if they are in it. Add the column before it becomes iterable; never by
``map(..., with_indices=True)`` on the iterable, which counts anew in every shard and worker::

    rows = full.add_column("__row__", range(len(full))).to_iterable_dataset(num_shards=8)
    train = ca.wrap(rows.shuffle(buffer_size=1000), data, log="run.parquet", ids="__row__")

Without ``ids=`` a column of that name is read and stays in the examples; ``ids=`` takes it out. The same column tells
the rows to a torch DataLoader over the iterable dataset.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.huggingface_rows import own_rows
from coverage_audit.adapters.keras import make_callback, who_iterates
from coverage_audit.adapters.tellers import Telling
from coverage_audit.adapters.torch_state import tag_of
from coverage_audit.errors import UsageError
from coverage_audit.identity.batches import Answer, Identified, Unknown, count_rows, possible_lengths
from coverage_audit.identity.explicit import Explicit, rows_given
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.event import Found
from coverage_audit.model.rows import Ints
from coverage_audit.recorder.proxy import LoaderProxy, wrap_loader
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

ROW = "__row__"
"""The column of row numbers that is looked for where ``ids=`` names none."""

_DROPS = "the dataset's transform made another number of rows of a batch than there are at its positions"

_NO_COLUMN = f"the examples have no column {ROW!r}: add_column({ROW!r}, range(n)) before to_iterable_dataset()"


def takes(loader: Any) -> bool:
    """Whether this is a dataset of Hugging Face. Raises :class:`UsageError` for several of them in one."""
    if issubclass(type(loader), LoaderProxy):
        return False
    for name in ("DatasetDict", "IterableDatasetDict"):
        kind = loaded("datasets", name)
        if kind is not None and issubclass(type(loader), kind):
            names = ", ".join(map(repr, loader))
            raise UsageError(
                f"a {name} holds several datasets ({names}): wrap each, with split= its name",
                slug="unsupported-loader",
            )
    return _is_map_style(loader) or _is_iterable(loader)


def adapt(loader: Any, recorder: Recorder) -> Any:
    """The dataset behind a proxy that records its iterations; whatever else it can do is the dataset's own."""
    kind = MapDatasetProxy if _is_map_style(loader) else IterableDatasetProxy
    return wrap_loader(loader, recorder, who_iterates, make_callback, kind)


def teller(dataset: Any, _declared: Dataset | None) -> Telling | str | None:
    """For iterable datasets in a torch DataLoader: the rows are in the column ``__row__``; a text if there is none."""
    if not _is_iterable(dataset):
        return None
    columns, states = dataset.column_names, _States()
    if columns is not None and ROW not in columns:
        return _NO_COLUMN
    return Telling(RowColumn(), _rows_of_tags, goes_on=lambda loader: states.begun_from(loader.dataset) is not None)


class RowColumn:
    """Reads the row number off each example, and leaves it there."""

    def tagged(self, _dataset: Any, samples: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """As :meth:`~coverage_audit.adapters.tellers.Teller.tagged`."""
        for sample in samples:
            yield sample, _row_in(sample)


class _Told(Stream):
    """Stands in for the stream of one iteration of which the adapter knows the rows."""

    __slots__ = ()

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.writer, stream.split, stream.way)


class _Positions(_Told):
    """``rows``: the sample ids of all positions, or why they are unknown. ``size``: examples in a batch."""

    __slots__ = ("_at", "_is_batched", "_rows", "_size", "_total")

    def __init__(self, stream: Stream, rows: Ints | str, size: int, total: int, *, is_batched: bool) -> None:
        super().__init__(stream)
        self._rows, self._size, self._total, self._at = rows, size, total, 0
        self._is_batched = is_batched

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        start, rows = self._at, self._rows
        self._at = stop = min(start + self._size, self._total)
        self.put(segment, lambda: (Found.EXPLICIT, self._answer(rows, start, stop, batch)), worker)
        return batch

    def _answer(self, rows: Ints | str, start: int, stop: int, batch: Any) -> Answer:
        if isinstance(rows, str):
            return Unknown(stop - start, rows)
        lengths = possible_lengths(batch) if self._is_batched else ()
        if lengths and stop - start not in lengths:
            came = " or ".join(map(str, sorted(lengths)))
            return Unknown(-1, _DROPS, f"{stop - start} were asked for, {came} came")
        return rows[start:stop]


class _Column(_Told):
    """The rows are in a column of the examples that nobody asked to take out."""

    __slots__ = ("_is_batched",)

    def __init__(self, stream: Stream, *, is_batched: bool) -> None:
        super().__init__(stream)
        self._is_batched = is_batched

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        self.put(segment, lambda: (Found.EXPLICIT, _rows_in(batch, is_batched=self._is_batched)), worker)
        return batch


class _Examples(_Told):
    """``ids=``, of examples that come one by one."""

    __slots__ = ()

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        assert isinstance(self.way, Explicit)
        example, rows = self.way.identify_example(batch)
        self.put(segment, lambda: (Found.EXPLICIT, rows), worker)
        return example


class _DatasetProxy(LoaderProxy):
    """``iter(dataset)`` and ``dataset.iter(batch_size)`` are iterations, each with what is known of its rows."""

    def __iter__(self) -> Any:
        stream = self._audit_stream_of(1, is_batched=False)
        return self._audit_told(sys._getframe(1), iter(self._audit_inner), stream)

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Any:
        """As the dataset's own."""
        inner = self._audit_inner.iter(batch_size, drop_last_batch=drop_last_batch)
        return self._audit_told(sys._getframe(1), inner, self._audit_stream_of(batch_size, is_batched=True))

    def _audit_told(self, frame: Any, inner: Any, stream: Stream) -> Any:
        iterator = self._audit_open(frame, inner, self._audit_pass())
        object.__setattr__(iterator, "_audit_stream", stream)
        return iterator

    def _audit_pass(self) -> int | None:
        """None for an iteration that begins the data anew, -1 for one that goes on somewhere."""
        return None

    def _audit_stream_of(self, size: int, *, is_batched: bool) -> Stream:
        """What is told of one iteration."""
        stream = self._audit_stream
        if isinstance(stream.way, Explicit):
            return stream if is_batched else _Examples(stream)
        if not isinstance(stream.way, Ladder) or not stream.way.made_of:
            return stream
        return self._audit_known(stream, size, is_batched=is_batched)

    def _audit_known(self, stream: Stream, size: int, *, is_batched: bool) -> Stream:
        raise NotImplementedError


class MapDatasetProxy(_DatasetProxy):
    """Around a ``datasets.Dataset``: examples come by their positions."""

    _audit_rows: Ints | str | None = None

    def _audit_known(self, stream: Stream, size: int, *, is_batched: bool) -> Stream:
        if self._audit_rows is None:
            assert isinstance(stream.way, Ladder)
            assert stream.way.made_of is not None
            rows = own_rows(self._audit_inner, stream.way.made_of[0])
            object.__setattr__(self, "_audit_rows", rows)
        assert self._audit_rows is not None
        return _Positions(stream, self._audit_rows, size, len(self._audit_inner), is_batched=is_batched)


class _States:
    """Which iteration of an iterable dataset goes on from a state.

    The dataset keeps the state that it was given, and goes on from it in every iteration of that epoch: the first is
    the resumed one, those after it are passes that begin late.
    """

    def __init__(self) -> None:
        self._known: Any = None

    def begun_from(self, dataset: Any) -> Any:
        """The state that an iteration that begins now is the first to go on from; None for any other iteration."""
        state = getattr(dataset, "_starting_state_dict", None)
        if state is self._known:
            return None
        self._known = state
        return state


class IterableDatasetProxy(_DatasetProxy):
    """Around a ``datasets.IterableDataset``: examples come with their row numbers, if at all."""

    _audit_states: _States

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        object.__setattr__(self, "_audit_states", _States())

    def state_dict(self) -> Any:
        """As the dataset's own; the log knows it for a checkpoint."""
        state = self._audit_inner.state_dict()
        tag = tag_of(state)
        if tag is not None:
            self._audit_recorder.checkpoint(tag)
        return state

    def _audit_pass(self) -> int | None:
        state = self._audit_states.begun_from(self._audit_inner)
        if state is None:
            return None
        tag = tag_of(state)
        if tag is None:
            return -1
        self._audit_recorder.restored(tag)  # from here on, its checkpoint says in which pass it goes on
        return None

    def _audit_known(self, stream: Stream, size: int, *, is_batched: bool) -> Stream:  # noqa: ARG002 - as above
        return _Column(stream, is_batched=is_batched)


def _is_map_style(loader: Any) -> bool:
    kind = loaded("datasets", "Dataset")
    return kind is not None and isinstance(loader, kind)


def _is_iterable(loader: Any) -> bool:
    kind = loaded("datasets", "IterableDataset")
    return kind is not None and isinstance(loader, kind)


def _row_in(example: Any) -> Any:
    """The row number in an example, or those in a batch, as plain numbers; None where there is none."""
    try:
        if not isinstance(example, Mapping) or ROW not in example:
            return None
        rows = np.asarray(example[ROW])
    except Exception:  # noqa: BLE001 - examples may be of any format, and the worker goes on
        return None
    return rows.tolist() if rows.dtype.kind in "iu" and rows.ndim < 2 else None


def _rows_in(batch: Any, *, is_batched: bool) -> Answer | Identified:
    try:
        is_there = ROW in batch
    except TypeError:
        is_there = False
    if not is_there:
        return Unknown(count_rows(batch) if is_batched else 1, _NO_COLUMN)
    rows = np.asarray(batch[ROW])
    return rows_given(rows.reshape(1) if rows.ndim == 0 else rows, None)


def _rows_of_tags(tags: Sequence[Any]) -> Answer:
    rows: list[int] = []
    for tag in tags:
        if tag is None:
            return Unknown(len(tags), _NO_COLUMN)
        rows.extend(tag if isinstance(tag, list) else [tag])
    return np.asarray(rows, np.int64)
