"""From a loader's yields to the journal: the part of recording that runs once per batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from coverage_audit.identity.batches import Answer, Identified, Notice, Run, Unknown, Way
from coverage_audit.model.event import BatchRows, Found, MarkKind
from coverage_audit.recorder.segment import Segment, Split
from coverage_audit.recorder.writer import Writer, warn

_UNKNOWN = int(Found.UNKNOWN)
_EXPLICIT = int(Found.EXPLICIT)


class Stream:
    """One loader's way into a split. ``writer`` is None where recording is disabled.

    Nothing here raises for a fault of recording; batches come back as the training loop is to see them.
    """

    __slots__ = ("_found", "_way", "split", "writer")

    def __init__(self, writer: Writer | None, split: Split, way: Way) -> None:
        self.writer = writer
        self.split = split
        self._way = way
        self._found = int(way.found)

    def open(self, *, told_pass: bool, pass_: int = -1, owner: int | None = None, is_peek: bool = False) -> Segment:
        """An ``iter()`` of the loader. ``told_pass``: it begins the data anew, else it goes on in ``pass_``.

        ``owner``, ``is_peek``: see :meth:`~coverage_audit.recorder.segment.Split.open`.
        """
        writer, split = self.writer, self.split
        if writer is None:
            return Segment(-1)
        segment = Segment(-1)
        with writer.guard(), writer.lock:
            writer.opened += 1
            segment = split.open(writer.opened, told_pass=told_pass, pass_=pass_, owner=owner, is_peek=is_peek)
            if split.closed:
                if not segment.is_stream:
                    warn(f"{split.info.name}: its recorder is closed, so this iteration is not recorded; wrap it again")
                return segment
            facts = {"segment": segment.number} | ({} if segment.peek is None else {"peek": segment.peek})
            writer.mark(MarkKind.OPENED, split.info.name, **facts)
            if writer.quiet_at is not None:
                if segment.is_stream and not writer.in_fit:
                    writer.quiet_at = writer.opened
                self._settle(writer, segment)
        return segment

    def take(self, segment: Segment, batch: Any, worker: int = -1) -> Any:
        """A yield: record it, and give the batch to hand on. ``worker``: which of the loader's made it, -1 for none."""
        writer = self.writer
        if writer is None or not writer.recording or self.split.closed:
            return self.identify(batch)[0] if self._way.alters else batch
        try:
            batch, rows = self._way.identify(batch)
            if isinstance(rows, Identified):
                self._write(writer, segment, rows.found, rows.rows, worker)
                if rows.notices:
                    self._pass_on(writer, rows.notices)
            else:
                self._write(writer, segment, self._found, rows, worker)
            if self.split.last_peek is not None:
                self._put_in_flight(writer, segment, batch, rows.rows if isinstance(rows, Identified) else rows)
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            writer.fail(error)
        return batch

    @property
    def way(self) -> Way:
        """From its batches to their rows, for adapters that take ids out where the batch is made."""
        return self._way

    @property
    def found(self) -> Found:
        """How this stream's way knows rows, where it does not say so itself."""
        return self._way.found

    def identify(self, batch: Any) -> tuple[Any, Answer | Identified]:
        """The batch to hand on, and its rows, for :meth:`put` when it is known what becomes of it."""
        try:
            return self._way.identify(batch)
        except Exception as error:  # noqa: BLE001 - as in take()
            if self.writer is not None:
                self.writer.fail(error)
            return batch, Unknown(-1, "recording has stopped")

    def put(self, segment: Segment, rows: Callable[[], tuple[Found, Answer | Identified]], worker: int = -1) -> None:
        """A batch of which somebody else tells the rows: the training loop itself, or an adapter that knows them."""
        writer = self.writer
        if writer is not None and writer.recording and not self.split.closed:
            with writer.guard():
                found, answer = rows()
                if isinstance(answer, Identified):
                    self._write(writer, segment, answer.found, answer.rows, worker)
                    self._pass_on(writer, answer.notices)
                else:
                    self._write(writer, segment, int(found), answer, worker)

    def consumed(self, steps: int) -> None:
        """The training or evaluation loop finished ``steps`` more steps."""
        writer = self.writer
        if writer is None or self.split.closed:
            return
        try:
            if self.split.last_peek is not None:
                self._look_after(writer, steps)
            with writer.lock:
                journal = writer.journal or writer.ready()
                if journal is not None and writer.recording:
                    journal.write_consumed(self.split.index, steps, time.time_ns())
                    self.split.consumed += steps
        except Exception as error:  # noqa: BLE001 - as writer.guard(), which costs a microsecond too much here
            writer.fail(error)

    def end(self, segment: Segment, how: str, error: BaseException | None = None) -> None:
        """The iteration is over: "exhausted", "failed" or "closed". Told once per segment."""
        writer, split = self.writer, self.split
        if writer is None or segment.ended is not None or split.closed:
            return
        with writer.guard(), writer.lock:
            segment.ended = how
            facts = {"segment": segment.number, "how": how} | ({} if error is None else {"error": _text(error)})
            if how == "failed" and not segment.yields and segment.pass_ >= 0:
                facts["pass"] = segment.pass_  # no batch says in which pass it failed
            writer.mark(MarkKind.ENDED, split.info.name, **facts)
            if writer.quiet_at is not None:
                self._settle(writer, segment)
            elif how == "exhausted" and not writer.in_fit:
                writer.go_idle()

    def mark(self, kind: MarkKind, **data: Any) -> None:
        """A rare event of this split."""
        if self.writer is not None and not self.split.closed:
            with self.writer.guard():
                self.writer.mark(kind, self.split.info.name, **data)

    def _write(self, writer: Writer, segment: Segment, found: int, rows: Answer, worker: int) -> None:
        split = self.split
        with writer.lock:
            journal = writer.journal or writer.ready()
            if journal is None:
                return
            number = split.batches
            split.batches = number + 1
            segment.yields += 1
            where = (split.index, number, segment.number, segment.pass_, worker)
            if isinstance(rows, np.ndarray):
                journal.write_ids(*where, found, time.time_ns(), rows)
            elif isinstance(rows, Run):
                journal.write_run(*where, found, time.time_ns(), *rows)
            elif isinstance(rows, Unknown):
                journal.write_batch(*where, _UNKNOWN, time.time_ns(), BatchRows(rows.length))
                ids_given = self._found == _EXPLICIT
                writer.unidentified(split, rows.reason, rows.detail, meant=rows.meant, ids_given=ids_given)
            else:
                journal.write_batch(*where, found, time.time_ns(), rows)
            if writer.quiet_at is not None:
                self._settle(writer, segment)

    def _put_in_flight(self, writer: Writer, segment: Segment, batch: Any, rows: Answer) -> None:
        """Look after this batch until its step. Are its arrays those of another one that the trainer keeps?"""
        split = self.split
        overwritten = split.flight.add(split.batches - 1, batch, rows, peeked=segment.is_peek)
        if overwritten:
            reason = "the loader writes every batch into the same memory, and the trainer keeps those it peeked at"
            self._overwritten(writer, overwritten, reason)
            warn(
                f"{split.info.name}: {reason}: what it replays is not what it peeked at, and rows are trained "
                "again in place of others. Yield a new array for each batch (batch.copy())"
            )

    def _look_after(self, writer: Writer, steps: int) -> None:
        """Before steps are told: has anything been written into batches that were pulled and not yet trained on?"""
        changed = self.split.flight.consumed(steps)
        if changed:
            reason = "the loader writes into the memory of batches that the trainer has pulled and not yet trained on"
            is_news = reason not in self.split.reasons
            self._overwritten(writer, changed, reason)
            if is_news:
                warn(
                    f"{self.split.info.name}: {reason}: steps may be trained on rows that are torn or come again. "
                    "Yield a copy of each batch (batch.copy())"
                )

    def forget(self, batches: list[int], reason: str, remedy: str = "") -> None:
        """What these batches held when they are consumed is unknown. ``remedy``: what to warn of as well."""
        if self.writer is not None and not self.split.closed:
            with self.writer.guard():
                self._overwritten(self.writer, batches, reason)
                if remedy:
                    warn(f"{self.split.info.name}: {reason}: the rows of this iteration are unknown. {remedy}")

    def _overwritten(self, writer: Writer, batches: list[int], reason: str) -> None:
        """Batches did not hold any more what was recorded of them by the time of their steps."""
        with writer.lock:
            writer.mark(MarkKind.OVERWRITTEN, self.split.info.name, batches=batches)
            writer.unidentified(self.split, reason, f"batches {batches}: what they hold by then", meant=True)

    def _pass_on(self, writer: Writer, notices: tuple[Notice, ...]) -> None:
        """Marks that came with the batch written last, and what to warn of."""
        with writer.lock:
            for kind, data, warning in notices:
                writer.mark(kind, self.split.info.name, batch=self.split.batches - 1, **data)
                if warning:
                    warn(f"{self.split.info.name}: {warning}")

    @staticmethod
    def _settle(writer: Writer, segment: Segment) -> None:
        """After a fit: what a prefetch thread still does changes nothing, anything else is a new beginning."""
        if writer.quiet_at is not None and segment.opened_at <= writer.quiet_at:
            writer.go_idle()
        else:
            writer.quiet_at = None


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a loader's exception may be unable to say what it is
        return type(error).__name__
