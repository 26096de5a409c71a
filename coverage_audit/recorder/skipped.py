"""After a restore: were the batches in front of the first step thrown away, or only pulled ahead?

A loop that goes on in the middle of an epoch throws away what was trained before; one that prefetches has batches
waiting. Both pull several before a step that does not say its rows, and then nobody can tell which one it took.
"""

from __future__ import annotations

from coverage_audit.recorder.segment import Segment, Split

REASON = "after a restore several batches were pulled before the first step, and the step does not say which it took"
REMEDY = "Pull what is to be thrown away before restored() and before epoch(), or give the rows: step(rows)"


class Skipped:
    """Watches a loop of one's own from a restore to the end of the iteration that it takes up."""

    __slots__ = ("_from", "_next", "_segment")

    def __init__(self) -> None:
        self._from = -1  # yields before those that the first step may have taken; -1: no restore waits for it
        self._segment: Segment | None = None
        self._next = 0

    def restored(self, split: Split) -> None:
        """The weights were loaded: what was yielded by now is behind them."""
        self._from = split.batches
        self._segment = None

    def begin(self, split: Split, taken: int) -> None:
        """A fit begins; ``taken``: how many batches yielded just before are its own."""
        if self._from >= 0:
            self._from = split.batches - taken

    def step(self, split: Split) -> tuple[int, bool] | None:
        """A step that does not say its rows: the batch it is taken for, where that is in doubt, and whether it is the
        first such step."""
        last, first = split.last, False
        if self._from >= 0:
            waiting = 0 if last is None else min(split.batches - self._from, last.yields)
            self._from = -1
            if waiting > 1:
                self._segment, self._next, first = last, split.batches - waiting, True
        if self._segment is None:
            return None
        if last is not self._segment:
            self._segment = None
            return None
        self._next += 1
        return self._next - 1, first
