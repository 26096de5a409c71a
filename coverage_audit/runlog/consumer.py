"""One fit or evaluation while it runs: which batch its next step takes.

Keras peeks two batches out of a generator to learn their shapes and replays them before every stream it opens: a
stream is *the peeked batches, then what one ``iter()`` yields*. Training consumes stream after stream, each to its
end before the next; an evaluation consumes the first n of one stream. A loop that takes its batches itself has no
peek and consumes in yield order. Where the events leave two readings, the rows of the steps are unknown from there on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from coverage_audit.runlog.frames import Head

DIRECT = -1
"""The peek of a loop that takes its batches itself."""


@dataclass(slots=True, eq=False)
class Yield:
    """A batch on its way."""

    head: Head
    payload: bytes | memoryview

    @property
    def number(self) -> int:
        return self.head[8]

    @property
    def segment(self) -> int:
        return self.head[6]


@dataclass(slots=True, eq=False)
class Stream:
    """What one ``iter()`` yields after the peeked batches."""

    segment: int
    waiting: deque[Yield] = field(default_factory=deque)
    exhausted: bool = False


@dataclass(slots=True, eq=False)
class Consumer:
    """A fit or an evaluation of this split while it runs.

    ``peek``: the batches replayed at the start of every stream. ``streams``: opened and not yet consumed whole.
    ``lost``: from here on nobody can tell which batch a step consumed.
    """

    evaluation: bool
    peek: tuple[Yield, ...] = ()
    peek_segment: int = DIRECT
    streams: deque[Stream] = field(default_factory=deque)
    replayed: int = 0
    lost: bool = False
    foreign: set[int] = field(default_factory=set)
    """Segments that were opened meanwhile for something else, as their opening told."""

    def add(self, batch: Yield) -> None:
        """A batch was yielded while this consumer runs."""
        for stream in reversed(self.streams):
            if stream.segment == batch.segment:
                stream.waiting.append(batch)
                return
        if batch.segment in self.foreign:
            return
        if not self.streams and batch.segment == self.peek_segment:
            self.streams.append(Stream(batch.segment, deque([batch])))  # no second iter(): the loader just goes on
        elif not self.streams and self.peek_segment == DIRECT:
            self.streams.append(Stream(batch.segment, deque([batch])))
        elif self.peek_segment == DIRECT and not self.evaluation:
            self.lost = True  # the loop uses two iterators at once
        # Else a prefetching thread that nobody waits for any more filled the queue of an abandoned stream.

    def open(self, segment: int, peek: int | None = None) -> None:
        """A new ``iter()`` of this split; ``peek``: the segment whose batches are replayed before it, where told."""
        if self.streams and self.streams[-1].segment == segment:
            return
        if peek is not None and peek != self.peek_segment:
            self.foreign.add(segment)
            if self.evaluation and segment != peek > self.peek_segment:
                self.lost = True  # a stream of a newer peek: we took the wrong one for ours
            return
        if self.peek_segment == DIRECT and not self.evaluation:
            self.streams.clear()  # the loop took a new iterator: what it left behind in the old one is not trained
        elif self.streams and (self.evaluation or not self.streams[-1].exhausted):
            self.lost = True
            return
        self.streams.append(Stream(segment))

    def end(self, segment: int, how: str) -> None:
        for stream in self.streams:
            if stream.segment == segment:
                stream.exhausted = how == "exhausted"

    def take(self) -> Yield | None:
        """The batch the next step consumed; None (and from then on) if it cannot be told."""
        restarted = False
        while not self.lost:
            if self.replayed < len(self.peek):
                self.replayed += 1
                return self.peek[self.replayed - 1]
            if self.streams and self.streams[0].waiting:
                return self.streams[0].waiting.popleft()
            over = bool(self.streams) and self.streams[0].exhausted and not self.evaluation
            if not over or (restarted and len(self.streams) < 2):
                self.lost = True
                break
            self.streams.popleft()
            self.replayed, restarted = 0, True
        return None
