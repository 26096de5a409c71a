"""The events of one split of one writer -> entries: by consumption, and the never consumed in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coverage_audit.model.event import Stage
from coverage_audit.runlog.consumer import DIRECT, Consumer, Yield
from coverage_audit.runlog.frames import Head
from coverage_audit.runlog.records import Entry, forgotten, unknown_step
from coverage_audit.runlog.summary import EpochMark, Place, Segment

PEEKED_AT_MOST = 16
"""Batches of a segment that are kept where nothing can be consumed any more: the peek of a fit that is to come."""


@dataclass(slots=True)
class _Epoch:
    epoch: int
    fit: int
    number: int | None
    declared: int | None
    evaluation: bool
    first_step: int = 0
    taken: int = 0
    ended: bool = False


@dataclass(slots=True)
class _Segment:
    first: int = -1
    batches: int = 0
    pass_: int = -1
    ended: str = ""
    error: str = ""


class SplitMatcher:
    """Takes the events of one split in order and emits entries: by consumption, the never consumed in their place.

    ``windows``: how many fits and evaluations its record holds; ``consumed``: whether it holds consumption at all;
    ``trained``: whether it holds a fit, so that evaluating it is not what it is for.
    """

    def __init__(
        self,
        name: str,
        index: int,
        emit: Callable[[Entry], None],
        *,
        windows: int = 0,
        consumed: bool = False,
        trained: bool = False,
    ) -> None:
        self.name = name
        self._index = index
        self._emit = emit
        self._windows_left = windows
        self._yields_only = windows == 0 and not consumed
        self._trained = trained
        self._pending: dict[int, Yield] = {}
        self._consumer: Consumer | None = None if windows or not consumed else Consumer(evaluation=False)
        self._suspended: Consumer | None = None  # the fit during which this very split is evaluated
        self._overwritten: set[int] = set()
        self._segments: dict[int, _Segment] = {}
        self._peek_of: dict[int, int] = {}  # where the opening of a segment told it
        self._latest: int | None = None  # the segment opened last
        self._opened: list[int] = []  # segments opened since the scope of an evaluation's peek began
        self._peek: tuple[int, tuple[Yield, ...]] | None = None  # the evaluations' peek, for as long as its fit
        self._own_stream = False  # whether the evaluation before opened a stream before it ended
        self._epochs: list[_Epoch] = []
        self._epoch: _Epoch | None = None
        self._declared: int | None = None
        self._n_epochs = self._n_steps = 0
        self._latest_batch = -1  # of those consumed
        self.fit = -1
        self._fits = 0

    # --- what happens to the loader

    def yielded(self, head: Head, payload: bytes | memoryview) -> None:
        """A batch left the loader."""
        segment = self._segments.setdefault(head[6], _Segment())
        if segment.first < 0:
            segment.first, segment.pass_ = head[8], head[4]
        segment.batches += 1
        if self._latest is None or head[6] > self._latest:
            self.opened(head[6])
        batch = Yield(head, payload)
        if self._yields_only or (self._consumer is None and self._suspended is None and self._windows_left == 0):
            self._put(batch, Stage.YIELDED)
            return
        self._pending[batch.number] = batch
        if self._consumer is not None:
            self._consumer.add(batch)
            if self._suspended is not None:
                self._suspended.add(batch)
            if self._consumer.lost and self._suspended is None and segment.batches > PEEKED_AT_MOST:
                self._drop_pending(keep=self._consumer.peek)

    def opened(self, segment: int, peek: int | None = None) -> None:
        """An ``iter()``; ``peek``: the segment of the batches replayed before it, itself if it is such a one."""
        if peek is not None:
            self._peek_of[segment] = peek
        self._segments.setdefault(segment, _Segment())
        self._latest = segment
        self._opened.append(segment)
        if self._consumer is not None:
            self._consumer.open(segment, peek)
        if self._suspended is not None:
            self._suspended.open(segment, peek)

    def ended(self, segment: int, how: str, error: str = "", pass_: int = -1) -> None:
        """The stream of a segment stopped. ``pass_``: that of one without batches."""
        facts = self._segments.setdefault(segment, _Segment())
        facts.ended, facts.error = how, error
        if facts.first < 0:
            facts.pass_ = pass_
        if self._consumer is not None:
            self._consumer.end(segment, how)
        if self._suspended is not None:
            self._suspended.end(segment, how)

    def overwritten(self, numbers: Iterable[int]) -> None:
        """These batches hold something else by the time they are consumed."""
        self._overwritten.update(numbers)

    # --- what the trainer says

    def fit_begun(self, peek: int, steps: int | None, taken: int = 0) -> None:
        """A fit of this split begins, with the batches of segment ``peek`` peeked at; DIRECT: it takes its own, and
        has taken the ``taken`` latest of the latest segment already."""
        self._suspended = self._epoch = None  # of a fit that was cut short
        self.scope_begun()
        self.fit, self._fits, self._declared = self._fits, self._fits + 1, steps
        self._windows_left -= 1
        if peek == DIRECT:
            latest = self._of_segment(self._latest) if taken and self._latest is not None else ()
            mine = latest[-taken:]
            self._drop_pending(keep=mine)
            self._consumer = Consumer(evaluation=False)
            for batch in mine:
                self._consumer.add(batch)
            return
        peeked = self._of_segment(peek)
        self._drop_pending(before_segment=peek)
        self._consumer = Consumer(False, peeked, peek)
        for segment in [s for s in self._segments if s > peek]:
            self._consumer.open(segment, self._peek_of.get(segment))
            self._consumer.end(segment, self._segments[segment].ended)
        for batch in tuple(self._pending.values()):
            if batch.segment != peek:
                self._consumer.add(batch)

    def fit_ended(self) -> None:
        """What this fit has not consumed is not consumed any more."""
        self._suspended = None
        if self.fit >= 0 or self._consumer is not None:
            self._consumer = None
            self._drop_pending()
        self.fit = -1
        self._epoch = None
        self.scope_begun()

    def scope_begun(self) -> None:
        """Evaluations from here on do not share the peek of earlier ones: a fit begins or ends around them."""
        self._opened, self._peek, self._own_stream = [], None, False

    def epoch_begun(self, number: int | None) -> None:
        self._epoch = _Epoch(self._n_epochs, self.fit, number, self._declared, False, self._n_steps)
        self._n_epochs += 1
        self._epochs.append(self._epoch)

    def epoch_ended(self) -> None:
        if self._epoch is not None:
            self._epoch.ended = True
        self._epoch = None

    def evaluation_begun(self, *, in_fit: bool, fit: int, steps: int | None, peek: int | None) -> None:
        """An evaluation of this split; ``fit``: the fit around it, -1 if none; ``peek``: its segment, where told."""
        if self._consumer is not None and self._consumer.evaluation:
            self.evaluation_ended()  # it was cut short
        self._windows_left -= 1
        consumer = Consumer(evaluation=True)
        between = [s for s in self._opened if self._peek_of.get(s, s) == s]  # not what is told to be a stream
        if peek is not None and peek >= 0:
            if self._peek is None or self._peek[0] != peek:
                self._peek = (peek, self._of_segment(peek))
        elif not in_fit or self._peek is None:
            self._peek = None
            if between:
                self._peek = (between[-1], self._of_segment(between[-1]))
        elif len(between) > (0 if self._own_stream or self._peek_of else 1):
            consumer.lost = True  # somebody else took an iterator since: a new peek, or not
        if self._peek is not None:
            consumer.peek_segment, consumer.peek = self._peek
        if self._consumer is None:
            self._drop_pending(keep=consumer.peek)
        self._opened = []
        self._suspended, self._consumer = self._consumer, consumer
        if self._suspended is not None and not self._peek_of:
            self._suspended.lost = True  # the loader that is trained on is evaluated: whose the streams are is lost
        if not self._trained:
            self._epoch = _Epoch(self._n_epochs, fit, None, steps, True, self._n_steps)
            self._n_epochs += 1
            self._epochs.append(self._epoch)

    def evaluation_ended(self) -> None:
        consumer = self._consumer
        if consumer is None or not consumer.evaluation:
            return
        if not self._trained:
            self.epoch_ended()
        self._own_stream = bool(consumer.streams)
        self._opened = []
        self._consumer, self._suspended = self._suspended, None
        if self._consumer is None:
            self._drop_pending(keep=consumer.peek)

    def consumed(self, steps: int) -> None:
        """The loop finished ``steps`` more steps."""
        consumer = self._consumer
        if consumer is None:
            consumer = self._consumer = Consumer(evaluation=False)
            for batch in self._pending.values():
                if batch.segment == self._latest:
                    consumer.add(batch)
        aside = consumer.evaluation and self._trained
        epoch, fit = (-1, self.fit) if self._epoch is None else (self._epoch.epoch, self._epoch.fit)
        for _ in range(steps):
            taken = consumer.take()
            if taken is not None and self._suspended is None:
                self._drop_pending(before=taken.number)
            if aside:
                if taken is not None:
                    self._put(taken, Stage.DELIVERED)
                continue
            if self._epoch is not None:
                self._epoch.taken += 1
            step, self._n_steps = self._n_steps, self._n_steps + 1
            if taken is None:
                self._emit(unknown_step(self._index, fit, epoch, step, Stage.TRAINED))
            else:
                self._latest_batch = max(self._latest_batch, taken.number)
                self._put(taken, Stage.TRAINED, fit, epoch, step)

    def finish(self) -> None:
        """The record ends: what waits was never consumed."""
        self._consumer = self._suspended = None
        self._drop_pending()

    # --- what comes of it

    def epochs(self) -> list[EpochMark]:
        return [
            EpochMark(
                self.name,
                e.epoch,
                e.fit,
                e.number,
                e.ended or (e.declared is not None and e.taken >= e.declared),
                e.declared,
                e.taken,
                e.evaluation,
                e.first_step,
            )
            for e in self._epochs
        ]

    def place(self, kind: str, tag: str | int | None) -> Place:
        """Where the events stand now."""
        yields = sum(s.batches for s in self._segments.values())
        batch = yields - 1 if self._yields_only else self._latest_batch
        return Place(self.name, kind, tag, self._n_steps, yields, self._n_epochs, self._epoch is not None, batch)

    def segments(self) -> list[Segment]:
        return [
            Segment(self.name, n, s.first, s.batches, s.ended, s.error, s.pass_)
            for n, s in sorted(self._segments.items())
        ]

    @property
    def yields_only(self) -> bool:
        """Whether nothing says what was consumed."""
        return self._yields_only

    def _of_segment(self, segment: int) -> tuple[Yield, ...]:
        return tuple(b for b in self._pending.values() if b.segment == segment)

    def _drop_pending(
        self, *, before: int | None = None, before_segment: int | None = None, keep: Iterable[Yield] = ()
    ) -> None:
        """Emit as never consumed what waits: all of it, or that before a batch or a segment; in order."""
        kept = {b.number for b in keep}
        over: list[Yield] = []
        for number, batch in self._pending.items():  # in yield order
            if before is not None and number >= before:
                break
            if number not in kept and (before_segment is None or batch.segment < before_segment):
                over.append(batch)
        for batch in over:
            self._put(batch, Stage.YIELDED)

    def _put(self, batch: Yield, stage: Stage, fit: int = -1, epoch: int = -1, step: int = -1) -> None:
        self._pending.pop(batch.number, None)
        if batch.number in self._overwritten and stage is not Stage.YIELDED:
            self._emit(forgotten(batch.head, fit, epoch, step, int(stage)))
        else:
            self._emit(Entry(batch.head, batch.payload, fit, epoch, step, int(stage)))
