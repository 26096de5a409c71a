"""Batches that a trainer pulls before its loop asks for them, and those it pulls and skips: recorded when handed out.

A prepared loader of accelerate is one batch ahead of its loop. What it holds back when the loop is left was never
seen, and what it skips is no part of the pass. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from coverage_audit.identity.batches import Answer, Identified, Unknown
from coverage_audit.model.event import Found
from coverage_audit.recorder.segment import Segment
from coverage_audit.recorder.stream import Stream

_AROUND = Unknown(-1, "the batch came around the recorder")


class _Pulled(NamedTuple):
    segment: Segment
    found: Found
    rows: Answer | Identified
    worker: int


class HeldStream(Stream):
    """Writes into the split of ``stream`` what a :class:`Handing` hands out; what is pulled outside of any, at once."""

    __slots__ = ("handing",)

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream.writer, stream.split, stream.way)
        self.handing: Handing | None = None

    def open(self, *, told_pass: bool, pass_: int = -1, owner: int | None = None, is_peek: bool = False) -> Segment:
        if self.handing is not None and self.handing.mixes:
            return Segment(-1)  # what is pulled is no batch of any loop
        return super().open(told_pass=told_pass, pass_=pass_, owner=owner, is_peek=is_peek)

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        if self.handing is None:
            return super().take(segment, batch, worker)
        batch, rows = self.identify(batch)
        self.handing.pulled.append(_Pulled(segment, self.found, rows, worker))
        return batch

    def put(self, segment: Segment, rows: Any, worker: int = -1) -> None:
        if self.handing is None:
            super().put(segment, rows, worker)
        elif self.writer is not None and self.writer.recording:
            with self.writer.guard():
                found, answer = rows()
                self.handing.pulled.append(_Pulled(segment, found, answer, worker))

    def end(self, segment: Segment, how: str, error: BaseException | None = None) -> None:
        if self.handing is None:
            super().end(segment, how, error)
        else:
            self.handing.over = (segment, how, error)


class Handing:
    """One iteration of the loader that hands out. ``ahead``: how many batches it has pulled beyond the one it gives,
    while there are more. ``mixes``: what it gives is made of several batches, or comes from another process.
    """

    def __init__(self, stream: HeldStream, *, ahead: int, mixes: bool = False) -> None:
        self.stream = stream
        self.mixes = mixes
        self.pulled: list[_Pulled] = []
        self.over: tuple[Segment, str, BaseException | None] | None = None
        self._ahead = ahead
        self._segment: Segment | None = None

    def follow(self, batches: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """The same batches, each recorded when it goes to the loop."""
        try:
            while True:
                before, self.stream.handing = self.stream.handing, self
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                finally:
                    self.stream.handing = before
                self._hand_out(batch)
                yield batch
        finally:
            batches.close()
            self._leave()

    def _hand_out(self, batch: Any) -> None:
        if self.mixes:
            self._segment = self._segment or self.stream.open(told_pass=True)
            rows = self.stream.identify(batch)[1]
            self.pulled = [_Pulled(self._segment, self.stream.found, rows, -1)]
        ahead = 0 if self.mixes or self.over is not None else self._ahead
        given = self.pulled[-1 - ahead] if len(self.pulled) > ahead else None
        self.pulled = self.pulled[len(self.pulled) - ahead :] if ahead else []
        if given is None:
            segment = self.stream.split.last or self.stream.open(told_pass=False)
            given = _Pulled(segment, Found.UNKNOWN, _AROUND, -1)
        self.stream.put(given.segment, lambda: (given.found, given.rows), given.worker)
        if self.over is not None and not self.pulled:
            self._end(*self.over)

    def _leave(self) -> None:
        """What was pulled and waits was not seen by the loop."""
        if self.over is not None:
            segment, how, error = self.over
            self._end(segment, "closed" if self.pulled and how == "exhausted" else how, error)
        self.pulled = []

    def _end(self, segment: Segment, how: str, error: BaseException | None) -> None:
        self.over = None
        if self.mixes and self._segment is not None:
            self.stream.end(self._segment, how, error)
        elif not self.mixes:
            self.stream.end(segment, how, error)
