"""One iteration of a loader: the batches of it that wait for a step, and what a step says of them."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from coverage_audit.identity.batches import Answer, Identified, Unknown
from coverage_audit.recorder.segment import Segment


@dataclass(frozen=True, slots=True)
class Held:
    """The rows of a batch that waits for its step; ``evaluated``: as the held-out data knows them."""

    rows: Answer | Identified
    evaluated: Answer | Identified
    thread: int


@dataclass(slots=True, eq=False)
class Pattern:
    """How a loader is used. ``per_step``: batches per step, None before that is known; ``unclear``: it never is.

    ``suspected``: how many the only step of an iteration came after; once more, and it is known.
    """

    per_step: int | None = None
    unclear: bool = False
    suspected: int | None = None


@dataclass(slots=True, eq=False)
class Iteration:
    """One ``iter()`` of a loader.

    ``rows``, ``length``: rows of its data and batches in it, None where nobody knows. ``ahead``: how many batches its
    caller is known to pull before it needs them. ``inner``: the iterator.
    """

    pattern: Pattern
    inner: Any = None
    rows: int | None = None
    length: int | None = None
    ahead: int = 0
    held: deque[Held] = field(default_factory=deque)
    delivered: int = 0
    fresh: int = 0
    """Batches since the last step."""
    trained: bool = False
    first_step: int | None = None
    """Batches before the first step, while a second one has to say what they were."""
    without_gradients: bool = False
    ended: str | None = None
    segments: list[Segment] = field(default_factory=list)

    @property
    def at_end(self) -> bool:
        """Whether nothing more comes."""
        return self.ended is not None or self.delivered == self.length

    @property
    def ready(self) -> int:
        """How many batches that wait have reached the loop's body."""
        if not self.ahead:
            return len(self.held)
        if self.ended is None:
            return len(self.held) - self.ahead
        return min(len(self.held), self.pattern.per_step or len(self.held))

    def judge(self, carried: int) -> bool | None:
        """Whether a step was surely on the batches of this iteration that are ready, beside ``carried`` ones of an
        earlier one. None: the next step will tell."""
        pattern, ready = self.pattern, self.ready + carried
        if any(batch.thread != threading.get_ident() for batch in self.held):
            pattern.unclear = True  # another thread pulls, and nobody knows how far ahead
        if pattern.unclear:
            return False
        if pattern.per_step is not None:
            pattern.unclear = ready < pattern.per_step and not self.at_end
            return ready == pattern.per_step or (ready < pattern.per_step and self.at_end)
        first, more = self.first_step, ready - (self.first_step or 0)
        if first is None and ready > 1 and not self.at_end:
            self.trained, self.first_step = True, ready
            return None
        if first is None and ready > 1 and pattern.suspected != ready:
            pattern.suspected = ready
            return False
        if first is None or more == first or (more < first and self.at_end):
            pattern.per_step = ready if first is None else first
            return True
        pattern.unclear = True
        return False

    @property
    def is_of_train(self) -> bool:
        """Whether its rows are known as those of the training data, and as nothing else."""
        return any(_is_known(b.rows) for b in self.held) and not any(_is_known(b.evaluated) for b in self.held)


def _is_known(rows: Answer | Identified) -> bool:
    return not isinstance(rows.rows if isinstance(rows, Identified) else rows, Unknown)
