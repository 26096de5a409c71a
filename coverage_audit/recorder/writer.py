"""The one writer of this process in a log: all its splits share it.

What goes wrong here never reaches the training loop: one warning, a mark in the log if it can still take one, and
from then on batches pass by unrecorded.
"""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coverage_audit.errors import RecordingWarning
from coverage_audit.model.event import Mark, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.recorder.place import Place
from coverage_audit.recorder.segment import Split
from coverage_audit.recorder.speech import SPEECH
from coverage_audit.runlog.identity import OpenLog, open_log
from coverage_audit.runlog.journal import Journal

SMALL_LOG = 64 << 20
"""Bytes of journals up to which :meth:`Writer.close` makes the Parquet parts itself."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a log is opened; see ``wrap``."""

    run_id: str | None = None
    resume: bool = False
    if_exists: str = "archive"
    sync_every: float | None = None


class Writer:
    """Appends the events of one process to one log. Made by :func:`~coverage_audit.recorder.open_writers.writer_at`.

    ``recording`` turns False when recording stopped, for whatever reason. Hold ``lock`` around what belongs together.
    In a forked child the writer begins anew, with a process number of its own, at its first event. ``forget`` is called
    when it closes.
    """

    def __init__(self, path: Path, options: LogOptions, place: Place, forget: Callable[[Writer], None]) -> None:
        self.path = path
        self.options = options
        self.place = place
        self.lock = threading.RLock()
        self.splits: list[Split] = []
        self.recording = True
        self.opened = 0
        """Segments opened so far, over all splits."""
        self.quiet_at: int | None = None
        """``opened`` when the last fit ended and nothing new began since; None while something goes on."""
        self.trainer: Any = None
        """What the adapter of a trainer remembers between its callbacks."""
        self.trainer_busy = False
        self._forget = forget
        self._failure: str | None = None
        self._failure_marked = False
        self._forked = False
        self.log: OpenLog
        self.journal: Journal | None = self._start(options)

    @property
    def in_fit(self) -> bool:
        """Whether a training loop is at work, so that the end of an iterator is not the end of the work."""
        return self.trainer_busy or any(split.in_fit for split in self.splits)

    def declare(self, info: SplitInfo, shards: Shards | None) -> Split:
        """Add a split, or join the one of this name that is there already.

        Raises :class:`UsageError` (other-dataset) if its dataset is another one, ``LogError`` if it cannot be written.
        """
        with self.lock:
            split = next((s for s in self.splits if s.info.name == info.name), None)
            if split is None:
                split = Split(len(self.splits), info, shards)
                self.splits.append(split)
            else:
                split.join(info)
            self._declare()
            return split

    def ready(self) -> Journal | None:
        """The journal to write to, None when recording is over. In a forked child the first call opens its own.

        Raises ``OSError`` if that cannot be done.
        """
        if self.journal is None and self.recording:
            self.journal = self._start(replace(self.options, run_id=self.log.run_id))
            self._declare()
            self.close_at_exit_of_child()
        return self.journal

    def mark(self, kind: MarkKind, split: str = "", **data: Any) -> None:
        """Write a rare event, unless recording is over. Raises ``OSError`` if it cannot be written."""
        with self.lock:
            journal = self.ready()
            if journal is not None and self.recording:
                journal.write_mark(Mark(kind, split, time.time_ns(), data))

    def go_idle(self) -> None:
        """Say that what was going on has come to its end."""
        self.mark(MarkKind.IDLE)

    def rest(self) -> None:
        """A fit or an evaluation is over; what its prefetch threads still do is no new beginning."""
        with self.lock:
            self.quiet_at = self.opened
            self.go_idle()

    def unidentified(self, split: Split, reason: str, detail: str, *, meant: bool, ids_given: bool = False) -> None:
        """Say once per reason why the rows of a batch are unknown. ``ids_given``: though ``ids=`` was said."""
        if reason in split.reasons:
            return
        split.reasons.add(reason)
        self.mark(MarkKind.UNIDENTIFIED, split.info.name, reason=reason, detail=detail)
        if not meant:
            more = f" ({detail})" if detail else ""
            warn(
                f"{split.info.name}: the rows of a batch cannot be told: {reason}{more}. Such batches are recorded as "
                f"unidentified; {SPEECH.remedy(reason, detail, ids_given=ids_given)}"
            )

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Keep whatever goes wrong inside away from the training loop."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Stop recording: warn once, and mark the log if it can still take a mark."""
        with self.lock:
            if not self.recording:
                return
            self.recording = False
            self._failure = f"{type(error).__name__}: {error}"
            self._mark_failure()
        warn(f"{self.path}: recording has stopped, training goes on ({self._failure}). The log is marked incomplete")

    def close_split(self, split: Split) -> None:
        """Nothing more of this split is recorded; with the last one the log is closed."""
        with self.lock:
            split.closed = True
            if all(s.closed for s in self.splits):
                self.close()

    def close(self) -> None:
        """End the log: a last mark, and its Parquet parts if it is small. Closing twice is closing once."""
        self._forget(self)
        with self.lock:
            journal, self.journal = self.journal, None
            self.recording = False
            if journal is None:
                return
            try:
                if self._failure is None or self._failure_marked or self._try_failure(journal):
                    journal.write_mark(Mark(MarkKind.CLOSED, "", time.time_ns()))
                journal.close()
                if not journal.path.exists():
                    warn(
                        f"{self.path}: {journal.path.name} was deleted or moved while it was being written; what it "
                        "recorded is lost with it. Keep the log and its state folder in their place during training"
                    )
                elif not (self._forked or _ends_by_interrupt()):
                    self._make_parts()
            except Exception as error:  # noqa: BLE001 - closing happens at exit too, where nobody catches
                warn(
                    f"{self.path} could not be finished ({type(error).__name__}: {error}); what was recorded is in "
                    f"{self.log.state.name}, and `coverage-audit report` reads it"
                )
            finally:
                self.log.close()

    def close_at_exit_of_child(self) -> None:
        """multiprocessing ends its children without atexit, by finalizers of its own."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.close, exitpriority=0)

    def begin_again_in_child(self) -> None:
        """After a fork: the parent goes on writing its journal, this process needs its own."""
        self.lock = threading.RLock()
        self.journal = None
        self.trainer = None
        self.trainer_busy = False
        self._forked = True
        for split in self.splits:
            split.batches = split.consumed = 0
            split.in_fit = False
            split.reasons.clear()

    def _start(self, options: LogOptions) -> Journal:
        place = self.place
        self.log = open_log(
            self.path,
            run_id=options.run_id,
            resume=options.resume,
            if_exists=options.if_exists,
            rank=place.rank,
            world_size=place.world_size,
            launcher_id=place.launcher_id,
            restart=place.restart,
            member=place.member,
        )
        try:
            return Journal(self.log.state, self.log.stem, sync_every=options.sync_every)
        except BaseException:
            self.log.close()
            raise

    def _declare(self) -> None:
        datasets = {
            s.info.fingerprint: s.shards for s in self.splits if s.info.fingerprint is not None and s.shards is not None
        }
        self.log.declare([s.info for s in self.splits], datasets)

    def _mark_failure(self) -> None:
        if self.journal is not None:
            self._try_failure(self.journal)

    def _try_failure(self, journal: Journal) -> bool:
        try:
            journal.write_mark(Mark(MarkKind.FAILED, "", time.time_ns(), {"error": self._failure}))
        except OSError:  # a full disk: tried again at the close; without this mark there is no CLOSED either
            return False
        self._failure_marked = True
        return True

    def _make_parts(self) -> None:
        journals = self.log.state.glob(f"{self.log.stem}-*.journal")
        if sum(path.stat().st_size for path in journals) <= SMALL_LOG:
            from coverage_audit.runlog.parts import finish_writer  # pyarrow: only when training is over

            finish_writer(self.log.state, self.log.stem)


def warn(message: str) -> None:
    """As :data:`SPEECH` says; where that raises, a line on stderr if there is one, as training must go on."""
    try:
        if SPEECH.say is None:
            warnings.warn(message, RecordingWarning, stacklevel=2)
        else:
            SPEECH.say(message)
    except Exception:  # noqa: BLE001 - warnings made errors, or a program's own showwarning that fails
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # nobody listens, or it is closed: the log has its mark
                sys.stderr.write(f"coverage-audit: {message}\n")


def _ends_by_interrupt() -> bool:
    """Whether Python is about to end by SIGINT: the imports that parts need would make it end with status 1 instead."""
    return getattr(sys, "last_type", None) is KeyboardInterrupt
