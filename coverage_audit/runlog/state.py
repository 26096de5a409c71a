"""How a writer's record ends: closed, idle or open, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Collection

from coverage_audit.model.event import Mark, MarkKind


class WriterState:
    """Follows the events of one writer.

    A split is busy from the beginning of a fit or evaluation to its end; where nothing says what is consumed
    (``yields_only``), from a yield to the exhaustion of the loader. A writer is idle when something of it came to its
    end and no split is busy. Late yields of a prefetching thread make no split busy.
    """

    def __init__(self, yields_only: Collection[str]) -> None:
        self._yields_only = yields_only
        self._busy: set[str] = set()
        self._rested = False
        self._closed = False
        self.failures: list[str] = []
        self.unidentified: list[tuple[str, str]] = []

    def yielded(self, split: str) -> None:
        if split in self._yields_only:
            self._busy.add(split)

    def consumed(self, split: str) -> None:
        self._busy.add(split)

    def marked(self, mark: Mark) -> None:
        kind, split = mark.kind, mark.split
        if kind in (MarkKind.FIT_BEGIN, MarkKind.EVALUATION_BEGIN):
            self._busy.add(split)
        elif kind in (MarkKind.FIT_END, MarkKind.EVALUATION_END) or self._is_exhaustion(mark) or kind is MarkKind.IDLE:
            self._rest(split)
        elif kind is MarkKind.CLOSED:
            self._closed = True
        elif kind is MarkKind.FAILED:
            self.failures.append(str(mark.data.get("error", "")))
        elif kind is MarkKind.UNIDENTIFIED:
            reason = (split, str(mark.data.get("reason", "")))
            if reason not in self.unidentified:
                self.unidentified.append(reason)

    def end(self) -> str:
        """closed, idle or open."""
        if self._closed:
            return "closed"
        return "idle" if self._rested and not self._busy else "open"

    def _is_exhaustion(self, mark: Mark) -> bool:
        return mark.kind is MarkKind.ENDED and mark.data.get("how") == "exhausted" and mark.split in self._yields_only

    def _rest(self, split: str) -> None:
        self._rested = True
        if split == "":
            self._busy.clear()
        else:
            self._busy.discard(split)
