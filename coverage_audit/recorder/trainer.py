"""What the callbacks of a trainer say, turned into events; written for Keras, without knowing it.

One call of ``fit`` or ``evaluate`` tells several callbacks the same things, peeks at its data before it begins, and may
die without a word. What all callbacks of a writer know together is kept here, so that each event is written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from coverage_audit.identity.batches import Unasked
from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.segment import Segment, Split
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import Writer


class Teller(Protocol):
    """A callback. ``params`` is one object for all callbacks of one call, and another for each call."""

    @property
    def params(self) -> Any: ...


@dataclass(slots=True, eq=False)
class _Position:
    """Where a loop stands in its streams: each is the peeked batches, then one segment.

    Needed only where one execution takes several steps: at the end of a stream it takes fewer than it says.
    """

    peek: Segment | None
    streams: list[Segment]
    at: int = 0
    taken: int = 0

    def take(self, steps: int) -> int:
        """How many of ``steps`` were really taken."""
        total = self._length()
        if total is not None and self.taken >= total:
            self.at, self.taken = self.at + 1, 0
            total = self._length()
        if total is not None:
            steps = max(min(steps, total - self.taken), 1)
        self.taken += steps
        return steps

    def _length(self) -> int | None:
        """Batches in the current stream, None while it goes on and is ahead of the steps."""
        if self.peek is None or self.at >= len(self.streams):
            return None
        segment = self.streams[self.at]
        known = segment.prompt or segment.ended == "exhausted"
        return self.peek.yields + segment.yields if known else None


@dataclass(slots=True, eq=False)
class _Loop:
    """A fit or an evaluation. ``params`` is the one object that all callbacks of one call share."""

    params: Any
    owner: Teller
    stream: Stream | None
    position: _Position
    began: int | None = None
    evaluated: Split | None = None
    looked_for_evaluated: bool = False


@dataclass(slots=True, eq=False)
class Trainer:
    """What all Keras callbacks of one writer know together, so that each event is written once.

    Which split a fit or an evaluation uses is told by who peeked (``over``: as the owner of
    :meth:`~coverage_audit.recorder.segment.Split.open`, 0 for what never was a split of ours); where that is not known
    (None), from whose peek came last before it began.
    """

    writer: Writer
    peeks_known: bool
    fit: _Loop | None = None
    evaluation: _Loop | None = None
    handled: int = 0
    displaced: Any = None
    """The ``params`` of a fit that had not ended when another began: as a rule it died."""

    def train_begin(self, owner: Teller, over: int | None = None) -> None:
        if self._is_anothers(self.fit, owner):
            return
        for split in self.writer.splits:  # of a fit that died by an exception
            split.in_fit = False
        split_or_none, peek = self._looked_at(over)
        if self.fit is not None:
            self.displaced = self.fit.params
        self.fit = _Loop(owner.params, owner, *self._loop_over(split_or_none, peek, whole=True))
        self.evaluation = None
        self.writer.trainer_busy = True
        self.writer.quiet_at = None
        if split_or_none is not None and self.fit.stream is not None:
            split_or_none.in_fit = True
            params = owner.params or {}
            self.fit.stream.mark(
                MarkKind.FIT_BEGIN,
                peek=-1 if peek is None else peek.number,
                steps=params.get("steps"),
                epochs=params.get("epochs"),
            )

    def train_end(self, owner: Teller) -> None:
        fit = self.fit
        if fit is None or fit.owner is not owner:
            return
        if fit.stream is not None:
            fit.stream.mark(MarkKind.FIT_END)
            fit.stream.split.in_fit = False
        self.fit = None
        self.writer.trainer_busy = False
        self.writer.rest()

    def epoch(self, owner: Teller, kind: MarkKind, number: int) -> None:
        if self.fit is not None and self.fit.owner is owner and self.fit.stream is not None:
            self.fit.stream.mark(kind, number=int(number))

    def test_begin(self, owner: Teller, over: int | None = None) -> None:
        if self._is_anothers(self.evaluation, owner) or self._is_anothers(self.fit, owner):
            return
        fit = self.fit
        in_fit = fit is not None and fit.params is owner.params
        split, peek = self._looked_at(over)
        if fit is not None and in_fit and over is None:  # a fit peeks at its validation data once
            if not fit.looked_for_evaluated:
                fit.evaluated, fit.looked_for_evaluated = split, True
            split = fit.evaluated
            peek = None if split is None else self._peek(split)
        self.handled = self.writer.opened
        self.evaluation = _Loop(owner.params, owner, *self._loop_over(split, peek, whole=False))
        if self.evaluation.stream is not None:
            self.writer.quiet_at = None
            self.evaluation.stream.mark(
                MarkKind.EVALUATION_BEGIN,
                in_fit=in_fit,
                peek=-1 if peek is None or not self.peeks_known else peek.number,
                steps=None if in_fit else (owner.params or {}).get("steps"),  # in a fit these are the training's
            )

    def test_end(self, owner: Teller) -> None:
        loop = self.evaluation
        if loop is None or loop.owner is not owner:
            return
        self.evaluation = None
        if loop.stream is not None:
            loop.stream.mark(MarkKind.EVALUATION_END)
            if not self.writer.in_fit:
                self.writer.rest()

    def batch_begin(self, owner: Teller, loop: _Loop | None, batch: int) -> None:
        if loop is not None and loop.owner is owner:
            loop.began = batch

    def batch_end(self, owner: Teller, loop: _Loop | None, batch: int) -> None:
        if loop is None or loop.owner is not owner:
            self._require_one_fit(owner)
            return
        if loop.stream is None:
            return
        steps = 1 if loop.began is None else batch - loop.began + 1
        loop.began = None
        # An execution of several steps is cut short by the end of its stream, and says nothing of it.
        loop.stream.consumed(loop.position.take(steps))

    def predict_begin(self) -> None:
        """Batches that are only predicted on are neither trained nor evaluated."""
        self.handled = self.writer.opened

    def _require_one_fit(self, owner: Teller) -> None:
        """Raise if a fit goes on that another one displaced: then their steps cannot be told apart."""
        if self.displaced is not None and owner.params is self.displaced:
            raise RuntimeError("two fits at once in one process: give each a log= of its own")

    def _is_anothers(self, loop: _Loop | None, owner: Teller) -> bool:
        """Whether another callback of the very same call has it already."""
        return loop is not None and loop.owner is not owner and loop.params is owner.params

    def _peek(self, split: Split) -> Segment | None:
        return split.last_peek if self.peeks_known else split.last

    def _looked_at(self, over: int | None) -> tuple[Split | None, Segment | None]:
        """The split of a loop that begins, and its peek: told by ``over``, else peeked at last and not yet used."""
        since, self.handled = (self.handled if over is None else 0), self.writer.opened
        peeks = [
            (peek.opened_at, split, peek)
            for split in self.writer.splits
            if (peek := self._peek(split) if over is None else split.peek_by(over)) is not None
        ]
        opened_at, newest, peek = max(peeks, key=lambda found: found[0], default=(0, None, None))
        return (newest, peek) if opened_at > since else (None, None)

    def _loop_over(self, split: Split | None, peek: Segment | None, *, whole: bool) -> tuple[Stream | None, _Position]:
        if split is None:
            return None, _Position(None, [])
        # Somebody else may have peeked since: then nothing tells where this loop's own streams end.
        streams = split.streams if peek is split.last_peek else []
        return Stream(self.writer, split, Unasked()), _Position(peek, streams, 0 if whole else len(streams))
