"""What is being recorded of a script, and by which recorders: opened when something first trains."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from coverage_audit.errors import CoverageAuditError, DatasetError
from coverage_audit.launch.options import Options
from coverage_audit.launch.remedies import remedy_of

if TYPE_CHECKING:
    from pathlib import Path

    from coverage_audit.recorder.recorder import Recorder
    from coverage_audit.recorder.segment import Segment
    from coverage_audit.sources.dataset import Dataset

TRAIN, VALIDATION = "train", "validation"


class Handed(NamedTuple):
    """``what`` a loader is, and the generator over it (``instead``) that would be recorded wherever it is iterated."""

    what: str
    instead: str


class Session:
    """The recorders of one process under `coverage-audit run`, one per split.

    Nothing here raises: what cannot be recorded is said once on stderr, and the script goes on. A forked child keeps
    the session; one that is spawned builds its own from the environment.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.failure: str | None = None
        """Why recording is over, or never began; None while it goes on."""
        self.noted: list[str] = []
        """What was said already, in order."""
        self.passed_over: list[str] = []
        """What was seen to train and cannot be recorded."""
        self.handed_on: dict[str, Handed] = {}
        """Loaders of frameworks that functions named by --loader returned, by the names of these; recorded in fit."""
        self.process = os.getpid()
        """Where the session began; forked children have it too."""
        self._lock = threading.RLock()
        self._segments: dict[int, Segment] = {}
        self._recorders: dict[str, Recorder] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._datasets: dict[str, Dataset | None] = {}
        os.register_at_fork(after_in_child=self._renew_lock)

    def recorder(
        self,
        split: str = TRAIN,
        *,
        steps_per_epoch: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
    ) -> Recorder | None:
        """The recorder of a split, the same one each time; the log is opened with the first.

        ``steps_per_epoch``, ``epochs``, ``batch_size``: as the trainer is told, where it is; what is declared on the
        command line goes before. None: this split is not recorded (validation without --validation-data, or
        recording has failed).
        """
        if self.failure is not None or not self.records(split):
            return None
        try:
            with self._lock:
                declared = self.options.batch_size if split == TRAIN else None
                facts: dict[str, Any] = {
                    "steps_per_epoch": steps_per_epoch,
                    "epochs": epochs,
                    "batch_size": batch_size if declared is None else declared,
                }
                known = self._recorders.get(split)
                if known is None:
                    known = self._recorders[split] = self._open(split, facts)
                elif self._told[split] != facts:
                    self._open(split, facts)  # joins the split, which takes over what is new
                self._told[split] = facts
                return known
        except Exception as error:  # noqa: BLE001 - recording must not end a training run, whatever fails in it
            self.fail(error)
            return None

    def records(self, split: str) -> bool:
        """Whether this split is wanted: train always, validation where its data is declared."""
        return split == TRAIN or (split == VALIDATION and bool(self.options.validation_data))

    def wrap(self, loader: Any, split: str = TRAIN, **facts: Any) -> Any:
        """A proxy that records what ``loader`` yields; the loader itself where that cannot be had.

        ``facts``: as for :meth:`recorder`.
        """
        try:
            from coverage_audit.adapters.choice import adapter_for
            from coverage_audit.recorder.proxy import LoaderProxy, SegmentIterator

            if issubclass(type(loader), LoaderProxy | SegmentIterator):
                return loader
            adapter = adapter_for(loader)
            recorder = self.recorder(split, **facts)
            return loader if recorder is None else adapter(loader, recorder)
        except Exception as error:  # noqa: BLE001 - as in recorder()
            self.pass_over(f"a {type(loader).__name__}", words(error))
            return loader

    def take(self, batch: Any) -> Any:
        """A batch that a function of the script returned: one yield of the train split. Gives it to hand on."""
        recorder = self.recorder()
        if recorder is None:
            return batch
        stream, process = recorder.stream, os.getpid()
        if process not in self._segments:
            self._segments[process] = stream.open(told_pass=False)
        return stream.take(self._segments[process], batch)

    def fail(self, error: BaseException) -> None:
        """Recording is over: say so once. What is recorded already stays."""
        if self.failure is None:
            self.failure = words(error)
            self.note(f"recording has stopped, the script goes on: {self.failure}")

    def note(self, message: str) -> None:
        """Say something on stderr, once; nothing filters it, and nobody is hurt where stderr is closed."""
        if message in self.noted:
            return
        self.noted.append(message)
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # nobody listens, or it is closed
                sys.stderr.write(f"coverage-audit: {message}\n")

    def pass_over(self, what: str, why: str) -> None:
        """Something that trains or evaluates is not recorded: say so once."""
        if what not in self.passed_over:
            self.passed_over.append(what)
        self.note(f"{what} is not recorded: {why}")

    def dataset(self, split: str = TRAIN) -> Dataset | None:
        """What is declared for this split; None where nothing is, or where it cannot be opened (said once)."""
        with self._lock:
            if split not in self._datasets:
                self._datasets[split] = self._open_dataset(split)
            return self._datasets[split]

    def files(self) -> list[tuple[Path, str]]:
        """All files that are declared and what of them is meant ("" for all), URLs left out."""
        from coverage_audit.sources.files import find_files

        options = self.options
        found: list[tuple[Path, str]] = []
        for paths in (options.data, options.aligned, options.validation_data):
            try:
                groups = find_files(paths) if paths else []
            except DatasetError:  # said when the data is opened
                continue
            found += [(f.path, f.member or "") for group in groups for f in group.files if f.path is not None]
        return found

    def recorders(self) -> tuple[Recorder, ...]:
        """Those that were opened so far."""
        return tuple(self._recorders.values())

    def close(self) -> None:
        """Nothing more is recorded in this process; every log is closed."""
        writers = sys.modules.get("coverage_audit.recorder.open_writers")
        if writers is not None:
            writers.close_all()

    def take_over(self) -> None:
        """Say what recorders have to say, in words for a user of ours, and close them: their own exit handler may be
        too early."""
        from coverage_audit.recorder.open_writers import close_all
        from coverage_audit.recorder.speech import SPEECH

        SPEECH.say = self.note
        SPEECH.word = functools.partial(remedy_of, self.options)
        atexit.unregister(close_all)

    def _open_dataset(self, split: str) -> Dataset | None:
        from coverage_audit.sources.dataset import Dataset

        paths = self.options.data if split == TRAIN else self.options.validation_data
        if not paths:
            return None
        try:
            return Dataset.open(paths, aligned=(self.options.aligned or None) if split == TRAIN else None)
        except DatasetError as error:
            self.note(f"{split}: recording goes on without knowing the data: {words(error)}")
            return None

    def _open(self, split: str, facts: dict[str, Any]) -> Recorder:
        from coverage_audit.recorder.recorder import Recorder

        options, data = self.options, self.dataset(split)
        contract = {key: value for key, value in (("kind", options.contract), ("per", options.per)) if value}
        if options.verify_every is not None:
            facts = {**facts, "verify_every": options.verify_every}
        recorder = Recorder(
            options.log,
            data,
            split=split,
            contract=(contract or None) if split == TRAIN else None,
            identify="off" if data is None else options.identify,  # there is nothing to find rows in
            **facts,
        )
        self._close_with_child()
        return recorder

    def _close_with_child(self) -> None:
        """multiprocessing ends its children without exit handlers, by finalizers of its own."""
        process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
        if util is not None and process is not None and process.parent_process() is not None and not self._recorders:
            util.Finalize(None, self.close, exitpriority=0)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


def words(error: BaseException) -> str:
    """An error in a sentence of ours."""
    return str(error) if isinstance(error, CoverageAuditError) else f"{type(error).__name__}: {error}"
