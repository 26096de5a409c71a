"""What the iterators of one recorded tf.data dataset show, and which iteration each batch is of."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

from coverage_audit.adapters.feed import Feed, Rows
from coverage_audit.adapters.keras import builds_a_model
from coverage_audit.adapters.tf_elements import Element
from coverage_audit.adapters.tf_pipeline import OURS, changed_behind, made_of, repeats
from coverage_audit.identity.batches import Unknown
from coverage_audit.locks import new_lock
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

_INFINITE = -1
_BEHIND = "{}() behind wrap() changes which batches reach the loop: wrap the dataset last"
_FIRST = 1 << 32
"""What of a token says which iterator it is; what is below says how many batches it has shown."""


class DatasetFeed(Feed):
    """What the iterators of one recorded dataset show.

    Each has a token of its own, given to it with its first batch. Where the cardinality is known, so is each one's end.
    A checkpoint of an iterator holds its token, so one that was restored is known by it, also in another process.
    """

    def __init__(self, data: Any, stream: Stream, element: Element, *, standing: bool = False) -> None:
        super().__init__(data, stream, standing=standing)
        self.element = element
        cardinality = int(data.cardinality())
        self.length = cardinality if cardinality >= 0 else None
        self.told_pass = cardinality != _INFINITE and not any(repeats(part) for part in made_of(data))
        self.prompt = standing
        self._tokens = itertools.count(1 + secrets.randbits(28))
        self._open: dict[int, _Iteration] = {}
        """By their tokens, the newest last."""
        self._last: _Iteration | None = None
        self._overlap = False
        self._of_loop: _Iteration | None = None
        self._behind: str | None = None
        self._lock = new_lock(self)

    def feeds(self, adapter: Any) -> bool:
        return any(getattr(part, OURS, None) is self for part in made_of(getattr(adapter, "_dataset", None)))

    def cannot_follow(self, adapter: Any) -> str | None:
        """What is done to the dataset behind ``wrap()``; also tells whether batches are shown only when asked for."""
        changed, prompt = changed_behind(adapter._dataset, self)
        if changed is not None:
            return f"{changed}() behind wrap() changes which batches reach the model; wrap the dataset last"
        self.prompt = prompt
        return None

    def iterated_by(self, data: Any) -> None:
        """``data``, made of the recorded dataset, is about to be iterated."""
        try:
            changed, _ = changed_behind(data, self)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            changed = f"something that is not known ({type(error).__name__})"
        self._behind = None if changed is None else _BEHIND.format(changed)

    def show(self, token: int, tensors: tuple[Any, ...]) -> int:
        """A batch on its way out of the iterator with this token, 0 for one that shows its first. Returns its token
        from then on."""
        which, given = divmod(token, _FIRST)
        with self._lock:
            iteration = self._open.get(which)
            if iteration is None:
                iteration = self._opened(which if which else next(self._tokens), goes_on=which != 0)
            elif which != next(reversed(self._open)):
                self._overlap = True
            self._last = iteration
            segment = iteration.segment
            if segment is not None:
                self._record(segment, tensors, iteration.hidden)
            if given + 1 == self.length:
                self._end(iteration)
            return iteration.token * _FIRST + given + 1

    def end(self) -> None:
        """An iterator of unknown length has no more: the newest one, unless several were used at once."""
        with self._lock:
            last = self._last
            if self._overlap:
                return
            if last is not None and last.token in self._open:
                self._end(last)
            else:  # it never showed any
                segment = self._begin()
                if segment is not None:
                    self.stream.end(segment, "exhausted")

    def begin(self, adapter: Any) -> None:
        super().begin(adapter)
        self._of_loop = None

    def over(self, adapter: Any) -> None:
        super().over(adapter)
        self._of_loop = None

    def _opened(self, token: int, *, goes_on: bool) -> _Iteration:
        """``goes_on``: it was restored from a checkpoint, so it is in the middle of some pass."""
        iteration = self._open[token] = _Iteration(
            token, self._begin(goes_on=goes_on), None if self.owner is not None else self._behind
        )
        if self.owner is not None and iteration.segment is not None:
            self._of_loop = iteration
        return iteration

    def _begin(self, *, goes_on: bool = False) -> Segment | None:
        """Nothing is recorded of what Keras takes to build a model: the loop begins the data anew."""
        if not self.records(None) or (self.standing and builds_a_model()):
            return None
        if self._of_loop is not None and self._of_loop.token in self._open:
            self._end(self._of_loop)  # a take() behind it; a loop takes nothing new before it has used up the old
        segment = self.open(told_pass=self.told_pass and not goes_on)
        segment.prompt = self.prompt
        return segment

    def _record(self, segment: Segment, tensors: tuple[Any, ...], hidden: str | None) -> None:
        element = self.element
        hidden = element.hidden or hidden
        if hidden is not None:
            self.stream.put(segment, lambda: (self.stream.found, Unknown(-1, hidden)))
        elif element.rows is not None:
            self.stream.put(segment, lambda: (self.stream.found, _rows(element, tensors)))
        else:
            self.stream.take(segment, element.packed(tensors))

    def _end(self, iteration: _Iteration) -> None:
        if iteration.segment is not None:
            self.stream.end(iteration.segment, "exhausted")
        del self._open[iteration.token]


class _Iteration:
    """One iterator; ``segment``: None where it is not recorded. ``hidden``: why it is not known what reaches the loop,
    None where all does."""

    __slots__ = ("hidden", "segment", "token")

    def __init__(self, token: int, segment: Segment | None, hidden: str | None) -> None:
        self.token = token
        self.segment = segment
        self.hidden = hidden


def _rows(element: Element, tensors: tuple[Any, ...]) -> Rows:
    assert element.rows is not None
    return element.rows(tensors)
