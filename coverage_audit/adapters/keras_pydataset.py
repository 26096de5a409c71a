"""Keras's PyDataset: its batches in the order in which they are delivered, whoever makes them.

``__getitem__`` says little: Keras calls it twice to learn shapes, its workers call it out of order, and load more than
is trained. So the iterator is followed that ``PyDatasetAdapter`` makes of them: workers' batches come out of it in
order, those of other processes pickled, their provenance with them. A call of ``__getitem__`` from anywhere but Keras
is a yield.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import FEEDS, Feed, Rows
from coverage_audit.adapters.keras import builds_a_model, callback_of, who_iterates
from coverage_audit.identity.batches import Answer, Identified, Unknown
from coverage_audit.identity.explicit import Explicit
from coverage_audit.model.event import BatchRows
from coverage_audit.recorder.proxy import LoaderProxy, wrap_loader
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import warn

_ADAPTER = "keras.src.trainers.data_adapters.py_dataset_adapter"

_installed: list[tuple[Any, str, Any]] = []
_users: list[None] = []
"""One for each that needs the patches."""
_made = threading.local()
"""``rows``: those of the batch that this thread has just taken the ids out of."""

_early: dict[int, tuple[Any, Any, Rows]] = {}
"""Batches that wait in queues of Keras's threads, by their address: (batch, the same without ids, its rows then)."""
_WAITING_AT_MOST = 1024

_set = object.__setattr__


def takes(data: Any) -> bool:
    """Whether this is a PyDataset (or, by its old name, a Sequence)."""
    kind = loaded("keras", "utils.PyDataset")
    return kind is not None and isinstance(data, kind) and not isinstance(data, LoaderProxy)


def adapt(data: Any, recorder: Recorder) -> LoaderProxy:
    """The dataset with ``recorder`` and ``callback()`` on it. What another process gets of it is the dataset itself."""
    proxy = wrap_loader(data, recorder, who_iterates, _make_callback, PyDatasetProxy)
    install()
    if _installed:
        feed = Feed(proxy, recorder.stream, standing=True)
        _set(proxy, "_audit_feed", feed)
        FEEDS.add(feed)
        weakref.finalize(proxy, uninstall)
    else:
        warn(
            "this version of Keras iterates PyDatasets in a way that is not known: what fit and evaluate take out of "
            f"this {type(data).__name__} cannot be recorded; wrap a generator over it"
        )
    return proxy


def follow(data: Any, stream: Stream) -> tuple[Any, Feed] | str:
    """The dataset as it is, and its feed for one call of ``fit``; or why it cannot be followed."""
    if not _installed:
        return "this version of Keras iterates it in a way that is not known"
    return data, Feed(data, stream)


class PyDatasetProxy(LoaderProxy):
    """Around a PyDataset. Workers of Keras, and copies, have the original: only what is delivered here is recorded."""

    _audit_feed: Feed | None = None
    _audit_direct: Segment | None = None

    def __getitem__(self, index: Any) -> Any:
        batch = self._audit_inner[index]
        if sys._getframe(1).f_globals.get("__name__") == _ADAPTER:
            return batch  # a look at shapes, or a worker's: recorded when it is delivered
        if self._audit_direct is None or self._audit_direct.ended is not None:
            _set(self, "_audit_direct", self._audit_stream.open(told_pass=False))
        assert self._audit_direct is not None
        return self._audit_stream.take(self._audit_direct, batch)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _itself, (self._audit_inner,)


def install() -> None:
    """Follow the iterators of every ``PyDatasetAdapter``, where this version of Keras has them, until as many calls of
    :func:`uninstall`."""
    module: Any = sys.modules.get(_ADAPTER)
    kind: Any = getattr(module, "PyDatasetAdapter", None)
    if not (hasattr(kind, "_get_iterator") and hasattr(kind, "_standardize_batch")):
        return
    _users.append(None)
    if _installed:
        return
    iterate, standardize = kind._get_iterator, kind._standardize_batch

    @functools.wraps(iterate)
    def _get_iterator(self: Any) -> Iterator[Any]:
        batches: Iterator[Any] = iterate(self)
        return _followed(self, batches)

    @functools.wraps(standardize)
    def _standardize_batch(self: Any, batch: Any) -> Any:
        return standardize(self, _without_ids(self, batch))

    by_index = getattr(module, "get_index", None)
    if by_index is not None:

        @functools.wraps(by_index)
        def get_index(uid: Any, i: Any) -> Any:
            return _read_early(module, uid, by_index(uid, i))

        _installed.append((module, "get_index", by_index))
        module.get_index = get_index
    _installed.extend(((kind, "_get_iterator", iterate), (kind, "_standardize_batch", standardize)))
    kind._get_iterator, kind._standardize_batch = _get_iterator, _standardize_batch


def uninstall() -> None:
    """Give the methods back, if nobody else needs them patched."""
    if _users:
        _users.pop()
    while _installed and not _users:
        kind, name, original = _installed.pop()
        setattr(kind, name, original)


def _make_callback(proxy: LoaderProxy) -> Any:
    return callback_of(proxy.recorder.stream.writer)


def _itself(data: Any) -> Any:
    return data


def _without_ids(adapter: Any, batch: Any) -> Any:
    """Before Keras looks at the parts of a batch, its ids are taken out; also in its looks at shapes."""
    feed = FEEDS.of(adapter.py_dataset, adapter)
    if feed is None or not feed.stream.way.alters:
        return batch
    early = _early.pop(id(batch), None)
    if early is not None and early[0] is batch:
        _, batch, _made.rows = early
    else:
        batch, _made.rows = feed.stream.identify(batch)
    return batch


def _read_early(module: Any, uid: Any, batch: Any) -> Any:
    """In the thread of Keras that has made a batch: its ids may be a view of what the dataset shuffles while the batch
    waits in a queue. Batches of other processes are copies by themselves.

    Rows that the other parts of a batch show are read when it is delivered: what is trained on is shuffled as well."""
    data = getattr(module, "_SHARED_SEQUENCES", {}).get(uid)
    feed = None if getattr(data, "use_multiprocessing", True) else FEEDS.of(data)
    if feed is not None and isinstance(feed.stream.way, Explicit):
        rest, rows = feed.stream.identify(batch)
        _early[id(batch)] = batch, rest, _copied(rows)
        while len(_early) > _WAITING_AT_MOST:
            _early.pop(next(iter(_early)), None)
    return batch


def _copied(rows: Rows) -> Rows:
    if isinstance(rows, Identified):
        return Identified(rows.found, _copied_rows(rows.rows), rows.notices)
    return _copied_rows(rows)


def _copied_rows(rows: Answer) -> Answer:
    if isinstance(rows, np.ndarray):
        return rows.copy()
    if isinstance(rows, BatchRows) and rows.row is not None:
        return replace(rows, row=rows.row.copy())
    return rows


def _rows_just_made() -> Rows:
    rows: Rows = getattr(_made, "rows", Unknown(-1, "the batch came around the recorder"))
    return rows


def _followed(adapter: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Whose iteration it is shows when it begins: Keras makes iterators that it never uses."""
    data = adapter.py_dataset
    feed = FEEDS.of(data, adapter)
    if feed is not None and not _is_recorded(feed, adapter):
        feed = None
    if feed is None:
        yield from batches
    else:
        rows = _rows_just_made if feed.stream.way.alters else None
        yield from feed.follow(batches, data.num_batches, adapter, rows)


def _is_recorded(feed: Feed, adapter: Any) -> bool:
    if adapter.enqueuer is not None:  # before the loop, too: the queue goes on
        return not feed.standing or feed.records(adapter)
    # Before the loop Keras builds the model; the loop begins the data anew.
    return feed.records(adapter) and not (feed.standing and builds_a_model())
