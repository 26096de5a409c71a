"""A trainer that treats generators as Keras does, and knows what it trained on: events on one side, truth on the other.

It peeks two batches, replays them before every stream, pulls ahead by a random lead that crosses epochs, opens the
generator only once the peeked batches are used up, and forgets what it pulled ahead when a fit ends.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Mark, MarkKind


def batch(number: int, segment: int = 0, split: str = "train", size: int = 2) -> Batch:
    """Batch k holds the sample ids 10 k, 10 k + 2, ...: never two in a row."""
    ids = 10 * number + 2 * np.arange(size, dtype=np.int64)
    return Batch(split, number, BatchRows(size, ids=ids), 1, segment)


def mark(kind: MarkKind, split: str = "train", **data: object) -> Mark:
    return Mark(kind, split, 0, data)


@dataclass
class Source:
    """A generator of ``length`` batches (None: endless) that is never reset, and the events of its proxy.

    ``told``: the proxy knows who takes its iterators, and its openings name the peek they replay.
    """

    split: str
    length: int | None
    events: list[Event]
    told: bool = False
    pulled: int = 0
    segments: int = 0
    last_peek: int = -1

    def open(self, *, peek: bool = False) -> int:
        segment, self.segments = self.segments, self.segments + 1
        if peek:
            self.last_peek = segment
        facts = {"peek": self.last_peek} if self.told else {}
        self.events.append(mark(MarkKind.OPENED, self.split, segment=segment, **facts))
        return segment

    def pull(self, segment: int) -> int | None:
        if self.length is not None and self.pulled >= self.length:
            self.events.append(mark(MarkKind.ENDED, self.split, segment=segment, how="exhausted"))
            return None
        self.pulled += 1
        self.events.append(batch(self.pulled - 1, segment, self.split))
        return self.pulled - 1

    def peek(self) -> tuple[int, list[int]]:
        segment = self.open(peek=True)
        peeked: list[int] = []
        while len(peeked) < 2 and (number := self.pull(segment)) is not None:
            peeked.append(number)
        return segment, peeked


class Stream:
    """``chain(peeked, source)`` behind a queue that is filled ``lead`` ahead."""

    def __init__(self, source: Source, peeked: list[int], lead: int, rng: random.Random) -> None:
        self.source, self.lead, self.rng = source, lead, rng
        self.replays, self.queue = deque(peeked), deque[int]()
        self.segment: int | None = None
        self.over = False

    def fill(self, least: int) -> None:
        while len(self.queue) < least + self.rng.randint(0, self.lead) and not self.over:
            if self.replays:
                self.queue.append(self.replays.popleft())
                continue
            if self.segment is None:
                self.segment = self.source.open()
            number = self.source.pull(self.segment)
            if number is None:
                self.over = True
            else:
                self.queue.append(number)

    def next(self) -> int | None:
        self.fill(1)
        return self.queue.popleft() if self.queue else None


@dataclass
class Trainer:
    """``trained`` and ``evaluated``: (fit, epoch, batch) in order, epochs counted over all fits."""

    seed: int
    lead: int
    events: list[Event] = field(default_factory=list)
    trained: list[tuple[int, int, int]] = field(default_factory=list)
    evaluated: list[tuple[int, int, int]] = field(default_factory=list)
    fits: int = 0
    epochs: int = 0
    evaluations: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def fit(
        self,
        source: Source,
        steps: int | None,
        epochs: int,
        validation: Source | None = None,
        validation_steps: int | None = None,
    ) -> None:
        segment, peeked = source.peek()
        self.events.append(mark(MarkKind.FIT_BEGIN, peek=segment, steps=steps, epochs=epochs))
        stream: Stream | None = None
        held: list[int] | None = None
        for number in range(epochs):
            self.events.append(mark(MarkKind.EPOCH_BEGIN, number=number))
            taken, waiting = 0, 0
            if steps is None or stream is None:
                stream = Stream(source, peeked, self.lead, self.rng)
            while steps is None or taken < steps:
                got = stream.next()
                if got is None:
                    stream = None
                    break
                taken, waiting = taken + 1, waiting + 1
                self.trained.append((self.fits, self.epochs, got))
                if self.rng.random() < 0.7:
                    self.events.append(Consumed("train", waiting))
                    waiting = 0
            if waiting:
                self.events.append(Consumed("train", waiting))
            if validation is not None:
                if held is None:
                    held = validation.peek()[1]
                self.evaluate(validation, held, validation_steps, in_fit=True)
            self.events.append(mark(MarkKind.EPOCH_END, number=number))
            self.epochs += 1
        self.events.append(mark(MarkKind.FIT_END))
        self.fits += 1
        if stream is not None and self.rng.random() < 0.5:
            stream.fill(len(stream.queue) + 1)  # the prefetching thread has not noticed yet

    def evaluate(self, source: Source, peeked: list[int] | None, steps: int | None, *, in_fit: bool = False) -> None:
        if peeked is None:
            peeked = source.peek()[1]
        facts = {"peek": source.last_peek} if source.told else {}
        self.events.append(mark(MarkKind.EVALUATION_BEGIN, source.split, in_fit=in_fit, **facts))
        stream, taken = Stream(source, peeked, self.lead, self.rng), 0
        while (steps is None or taken < steps) and (got := stream.next()) is not None:
            taken += 1
            self.evaluated.append((self.fits if in_fit else -1, self.evaluations, got))
            self.events.append(Consumed(source.split, 1))
        self.events.append(mark(MarkKind.EVALUATION_END, source.split))
        self.evaluations += 1
