"""Keras's PyDataset: its batches in the order in which they are delivered, whoever makes them.

``__getitem__`` says little: Keras calls it twice to learn shapes, its workers call it out of order, and load more than
is trained. So the iterator is followed that ``PyDatasetAdapter`` makes of them: workers' batches come out of it in
order, those of other processes pickled, their provenance with them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

from coverage_audit.adapters.choice import loaded
from coverage_audit.adapters.feed import FEEDS, Feed
from coverage_audit.recorder.stream import Stream

_ADAPTER = "keras.src.trainers.data_adapters.py_dataset_adapter"

_installed: list[tuple[Any, Any]] = []


def install() -> None:
    """Follow the iterators of every ``PyDatasetAdapter``, where this version of Keras has them."""
    kind = _adapter_class()
    if kind is None or _installed:
        return
    original = kind._get_iterator
    _installed.append((kind, original))

    @functools.wraps(original)
    def _get_iterator(self: Any) -> Iterator[Any]:
        batches: Iterator[Any] = original(self)
        return _followed(self, batches)

    kind._get_iterator = _get_iterator


def uninstall() -> None:
    """Give the method back."""
    while _installed:
        kind, original = _installed.pop()
        kind._get_iterator = original


def takes(data: Any) -> bool:
    """Whether this is a PyDataset (or, by its old name, a Sequence)."""
    kind = loaded("keras", "utils.PyDataset")
    return kind is not None and isinstance(data, kind)


def follow(data: Any, stream: Stream) -> tuple[Any, Feed] | str:
    """The dataset as it is, and its feed; or why it cannot be followed."""
    if not _installed:
        return "this version of Keras iterates it in a way that is not known"
    return data, Feed(data, stream)


def _adapter_class() -> Any:
    kind = getattr(sys.modules.get(_ADAPTER), "PyDatasetAdapter", None)
    return kind if hasattr(kind, "_get_iterator") else None


def _followed(adapter: Any, batches: Iterator[Any]) -> Iterator[Any]:
    """Whose iteration it is shows when it begins: Keras makes iterators that it never uses."""
    data = adapter.py_dataset
    feed = FEEDS.of(data, adapter)
    if feed is not None and feed.owner is None and adapter.enqueuer is None:
        feed = None  # before the loop, which begins the data anew; a queue would go on
    yield from batches if feed is None else feed.follow(batches, data.num_batches)
