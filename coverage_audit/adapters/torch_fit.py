"""What a trainer of torch models tells of a fit, turned into events of the recorded loaders that it trains on.

Steps are batches that went through the training step, each of gradients accumulated one; epochs are the trainer's.
Knows no trainer. A loader of which the loop tells steps itself, by its Recorder, is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from coverage_audit.model.event import MarkKind
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.recorder.stream import Stream


class Fit:
    """One call of ``fit`` or ``train``, from its first epoch on.

    ``steps``: how many an epoch is to have in this process; None where the trainer does not know. ``taken``: how many
    batches it has pulled already.
    """

    def __init__(
        self, recorders: Iterable[Recorder], *, steps: int | None = None, epochs: int | None = None, taken: int = 0
    ) -> None:
        self._streams: list[Stream] = []
        self._epoch: int | None = None
        self._taken = 0
        self._steps = steps
        for recorder in distinct(recorders):
            stream = recorder.stream
            if not stream.split.in_fit:
                self._streams.append(stream)
                stream.split.in_fit = True
                facts = {"taken": taken} if taken else {}
                stream.mark(MarkKind.FIT_BEGIN, peek=-1, steps=steps, epochs=epochs, **facts)

    def epoch(self, number: int) -> None:
        """The trainer is in this epoch, by its own number; said as often as it likes."""
        if self._epoch != number:
            self._epoch, self._taken = number, 0
            self._mark(MarkKind.EPOCH_BEGIN, number=number)

    def stepped(self) -> None:
        """One more batch has been trained on."""
        self._taken += 1
        for stream in self._streams:
            stream.consumed(1)

    def epoch_end(self, *, whole: bool) -> None:
        """The epoch is over; ``whole``: it was not the end of training that cut it short."""
        number, self._epoch = self._epoch, None
        if number is not None and whole:
            self._mark(MarkKind.EPOCH_END, number=number)

    @property
    def is_exhausted(self) -> bool:
        """Whether the loaders have no more for this epoch."""
        ended = all(s.split.last is not None and s.split.last.ended == "exhausted" for s in self._streams)
        return ended or (self._steps is not None and self._taken >= self._steps)

    def end(self) -> None:
        """No more steps come."""
        for stream in self._streams:
            stream.split.in_fit = False
        self._mark(MarkKind.FIT_END)
        self._mark(MarkKind.IDLE)
        self._streams = []

    def _mark(self, kind: MarkKind, **data: Any) -> None:
        for stream in self._streams:
            stream.mark(kind, **data)


class Evaluation:
    """One evaluation over recorded loaders, inside of a fit (``in_fit``) or on its own."""

    def __init__(self, recorders: Iterable[Recorder], *, in_fit: bool) -> None:
        self._streams = [r.stream for r in distinct(recorders)]
        for stream in self._streams:
            stream.mark(MarkKind.EVALUATION_BEGIN, in_fit=in_fit, peek=-1, steps=None)

    def stepped(self, recorder: Recorder | None) -> None:
        """A batch of this recorder's loader was evaluated; None: of a loader that is not recorded."""
        for stream in self._streams:
            if recorder is not None and stream.split is recorder.stream.split:
                stream.consumed(1)

    def end(self) -> None:
        """The evaluation is over."""
        for stream in self._streams:
            stream.mark(MarkKind.EVALUATION_END)


def distinct(recorders: Iterable[Recorder]) -> list[Recorder]:
    """One recorder of each split."""
    return list({id(r.stream.split): r for r in recorders}.values())


def saved(recorders: Iterable[Recorder], path: Any) -> None:
    """The weights were saved at ``path``."""
    for recorder in _one_per_log(recorders):
        recorder.checkpoint(tag_of_path(path))


def restored(recorders: Iterable[Recorder], path: Any) -> None:
    """The weights were loaded from ``path``."""
    for recorder in _one_per_log(recorders):
        recorder.restored(tag_of_path(path))


def tag_of_path(path: Any) -> str:
    """One tag for one place, however its path is written; addresses of other machines as they are."""
    text = str(path)
    return text if "://" in text else os.path.realpath(os.path.expanduser(text))


def _one_per_log(recorders: Iterable[Recorder]) -> list[Recorder]:
    """A checkpoint is of all splits of a log."""
    return list({id(r.stream.writer): r for r in recorders}.values())
