"""Which of the batches that a training loop pulled it trained on, told by the steps of its optimizers.

A batch was trained on if an optimizer steps after it. That is one batch per step as a rule, or a constant number of
them where gradients are accumulated; whatever else comes (a batch pulled ahead or left out, two loaders at once) leaves
two readings, and then the rows of those steps are unknown. An iteration without a step is evaluation if gradients were
off, or if it went to its end; else, and on rows of the training data, it was a look at the data and is not recorded.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Any

from coverage_audit.adapters.torch_iteration import Held, Iteration
from coverage_audit.identity.batches import Answer, Identified, Run, Unknown
from coverage_audit.locks import new_lock
from coverage_audit.model.event import BatchRows, MarkKind
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.writer import warn

HELD_AT_MOST = 1 << 17
"""Batches of one iteration whose rows are kept while no optimizer steps."""

_UNASKED = Unknown(-1, "not looked for", meant=True)
_NO_BATCH = "an optimizer stepped again, and no loader had given a batch in between"
_TWO_READINGS = "which of the batches pulled since the last step were trained on cannot be told"


class Loop:
    """What loaders yield and optimizers do, put together: steps into ``train``, evaluations into ``held_out``."""

    def __init__(self, train: Stream, held_out: Stream | None = None) -> None:
        self._train = train
        self._held_out = held_out
        self._lock = new_lock(self)
        self._iterations: list[Iteration] = []
        self._left: deque[Iteration] = deque()
        self._last: Iteration | None = None
        self._stepped: set[int] = set()
        """Who has stepped since the last batch."""
        self._process = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether it is of this process: in a forked child it does nothing."""
        return self._process == os.getpid()

    def begin(self, iteration: Iteration) -> None:
        """A loader is iterated."""
        with self._lock:
            self._end_left()
            for other in tuple(self._iterations):
                if other.inner is iteration.inner is not None:
                    self.end(other, "closed")  # the one iterator of persistent workers begins anew
            self._settle()
            self._iterations.append(iteration)

    def take(self, iteration: Iteration, batch: Any, *, gradients: bool) -> Any:
        """A batch goes to the loop; returns it as it is to be handed on. ``gradients``: whether they are computed."""
        if not self.is_here:
            return batch
        with self._lock:
            self._end_left()
            if iteration not in self._iterations:
                return batch
            if iteration.delivered == 0:
                iteration.without_gradients = not gradients
            iteration.delivered += 1
            self._stepped.clear()
            rows: Answer | Identified = _UNASKED
            evaluated: Answer | Identified = _UNASKED
            handed_on = batch
            undecided = self._held_out is not None and not iteration.trained
            if undecided or not iteration.without_gradients:
                handed_on, rows = self._train.identify(batch)
            if self._held_out is not None and undecided:
                handed_on, evaluated = self._held_out.identify(batch)
            iteration.held.append(Held(rows, evaluated, threading.get_ident()))
            iteration.fresh += 1
            if len(iteration.held) > HELD_AT_MOST:
                self._forget(iteration)
                warn(f"no optimizer stepped while a DataLoader gave {HELD_AT_MOST:,} batches: they are not recorded")
            return handed_on

    def end(self, iteration: Iteration, how: str, error: BaseException | None = None) -> None:
        """An iteration is over: "exhausted", "failed", or "closed" where its loop was left."""
        if not self.is_here:
            return
        with self._lock:
            if iteration.ended is not None or iteration not in self._iterations:
                return
            iteration.ended = how
            if iteration.trained:
                if how != "exhausted" or (iteration.pattern.per_step == 1 and not iteration.ahead):
                    self._untrained(iteration)  # pulled, and left with the loop
                for segment in iteration.segments:
                    self._train.end(segment, how, error)
            elif iteration.without_gradients:
                self._evaluate(iteration)
            if not iteration.held or (how != "exhausted" and not iteration.trained):
                self._forget(iteration)

    def leave(self, iteration: Iteration) -> None:
        """Nobody has this iteration any more. Called by the garbage collector, at any time: it only makes a note."""
        self._left.append(iteration)

    def stepped(self, optimizer: int = 0) -> None:
        """An optimizer made a step. ``optimizer``: which one; several may step on the same batches once each."""
        if not self.is_here:
            return
        with self._lock:
            self._end_left()
            fresh = [i for i in self._iterations if i.fresh and not i.without_gradients]
            live = [i for i in fresh if i.ended is None]
            rest = [i for i in fresh if i.ended is not None and i.trained]
            after = not live and not rest  # the step comes when a loop is over, or its last batches were pulled ahead
            if after:
                ended = [i for i in self._iterations if i.ended is not None and i.held]
                live = [i for i in ended if i.ahead and i.trained] or [i for i in fresh if i.is_of_train]
            if optimizer in self._stepped and not live and not any(i.held for i in self._iterations):
                self._step_on_nothing()
            self._stepped.add(optimizer)
            carried = sum(len(i.held) for i in rest)
            sure = len(live) == 1 and not (after and not live[0].trained)
            known = [live[0].judge(carried)] if sure else [False] * len(live)
            for iteration in rest:
                self._train_on(iteration, len(iteration.held), unclear=known == [False])
            for iteration, clear in zip(live, known, strict=True):
                if clear is not None:
                    self._train_on(iteration, iteration.ready, unclear=not clear)
            for iteration in fresh:
                iteration.fresh = 0
            self._settle()

    def finish(self) -> None:
        """Nothing more comes: what waits was never trained on."""
        if not self.is_here:
            return
        with self._lock:
            self._end_left()
            for iteration in tuple(self._iterations):
                self.end(iteration, "closed")
            self._settle()
            for iteration in self._iterations:
                self._untrained(iteration)
            self._iterations = []

    def _end_left(self) -> None:
        while self._left:
            self.end(self._left.popleft(), "closed")

    def _forget(self, iteration: Iteration) -> None:
        self._iterations = [i for i in self._iterations if i is not iteration]

    def _train_on(self, iteration: Iteration, count: int, *, unclear: bool = False) -> None:
        """The first ``count`` batches that wait were trained on; ``unclear``: these or others."""
        stream = self._train
        if not stream.split.in_fit:
            stream.split.in_fit = True
            stream.mark(MarkKind.FIT_BEGIN, peek=-1)
        iteration.trained, iteration.first_step = True, None
        self._last = iteration
        for _ in range(count):
            self._put(stream, self._segment(iteration), iteration.held.popleft().rows, unclear)
            stream.consumed(1)

    def _step_on_nothing(self) -> None:
        """The same optimizer again: on the batch before, or on one that was kept, as itertools.cycle() does."""
        if self._last is not None and not self._last.pattern.unclear:  # else it may have been on any batch before
            self._put(self._train, self._train.open(told_pass=False), Unknown(-1, _NO_BATCH))
            self._train.consumed(1)

    def _untrained(self, iteration: Iteration) -> None:
        """What waits was pulled and not trained on, but for what a first step took."""
        if iteration.trained:
            if iteration.first_step is not None:
                self._train_on(iteration, iteration.first_step, unclear=True)
            while iteration.held:
                self._put(self._train, self._segment(iteration), iteration.held.popleft().rows)

    def _segment(self, iteration: Iteration) -> Segment:
        """Where the next batch of this iteration goes; a new segment of the pass if another one began meanwhile."""
        stream, segments = self._train, iteration.segments
        if not segments:
            segments.append(stream.open(told_pass=_tells(stream, iteration)))
        elif stream.split.last is not segments[-1]:
            segments.append(stream.open(told_pass=False, pass_=segments[0].pass_))
        return segments[-1]

    def _settle(self) -> None:
        """What is over and was never stepped on was evaluation."""
        for iteration in tuple(self._iterations):
            if iteration.ended is not None and not iteration.trained:
                self._evaluate(iteration)
            if iteration.ended is not None and not iteration.held:
                self._forget(iteration)

    def _evaluate(self, iteration: Iteration) -> None:
        """An evaluation is over. Where its loop was left, the last batch may have been used or not."""
        stream, held = self._held_out, iteration.held
        if stream is not None and held and not iteration.is_of_train:
            stream.mark(MarkKind.EVALUATION_BEGIN, in_fit=self._train.split.in_fit, peek=-1, steps=None)
            segment = stream.open(told_pass=_tells(stream, iteration))
            while held:
                last = len(held) == 1 and iteration.ended != "exhausted"
                self._put(stream, segment, held.popleft().evaluated, unclear=last)
                stream.consumed(1)
            stream.end(segment, iteration.ended or "closed")
            stream.mark(MarkKind.EVALUATION_END)
        held.clear()

    @staticmethod
    def _put(stream: Stream, segment: Segment, rows: Answer | Identified, unclear: bool = False) -> None:
        if unclear:
            rows = Unknown(_count(rows.rows if isinstance(rows, Identified) else rows), _TWO_READINGS)
        stream.put(segment, lambda: (stream.found, rows))


def _tells(stream: Stream, iteration: Iteration) -> bool:
    """Whether an iteration of so many rows goes once through the data: else passes are told from the rows."""
    shards = stream.split.shards
    return shards is not None and iteration.rows == shards.rows


def _count(rows: Answer) -> int:
    if isinstance(rows, Run | Unknown):
        return rows.length
    return rows.count if isinstance(rows, BatchRows) else len(rows)
