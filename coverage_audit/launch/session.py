"""What is being recorded of a script, and by which recorders: opened when something first trains."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from coverage_audit.errors import CoverageAuditError, DatasetError
from coverage_audit.launch.options import Options

if TYPE_CHECKING:
    from coverage_audit.recorder.recorder import Recorder
    from coverage_audit.sources.dataset import Dataset

TRAIN, VALIDATION = "train", "validation"


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
        self.opened_in = os.getpid()
        self._lock = threading.RLock()
        self._recorders: dict[str, Recorder] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._datasets: dict[str, Dataset | None] = {}

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
        from coverage_audit.adapters.choice import adapter_for
        from coverage_audit.recorder.proxy import LoaderProxy, SegmentIterator

        if issubclass(type(loader), LoaderProxy | SegmentIterator):
            return loader
        try:
            adapter = adapter_for(loader)
            recorder = self.recorder(split, **facts)
            return loader if recorder is None else adapter(loader, recorder)
        except Exception as error:  # noqa: BLE001 - as in recorder()
            self.note(f"a {type(loader).__name__} is not recorded: {_words(error)}")
            return loader

    def fail(self, error: BaseException) -> None:
        """Recording is over: say so once. What is recorded already stays."""
        if self.failure is None:
            self.failure = _words(error)
            self.note(f"recording has stopped, the script goes on: {self.failure}")

    def note(self, message: str) -> None:
        """Say something on stderr, once; nothing filters it, and nobody is hurt where stderr is closed."""
        if message in self.noted:
            return
        self.noted.append(message)
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # nobody listens, or it is closed
                sys.stderr.write(f"coverage-audit: {message}\n")

    def dataset(self, split: str = TRAIN) -> Dataset | None:
        """What is declared for this split; None where nothing is, or where it cannot be opened (said once)."""
        with self._lock:
            if split not in self._datasets:
                self._datasets[split] = self._open_dataset(split)
            return self._datasets[split]

    def _open_dataset(self, split: str) -> Dataset | None:
        from coverage_audit.sources.dataset import Dataset

        paths = self.options.data if split == TRAIN else self.options.validation_data
        if not paths:
            return None
        try:
            return Dataset.open(paths, aligned=(self.options.aligned or None) if split == TRAIN else None)
        except DatasetError as error:
            self.note(f"{split}: recording goes on without knowing the data: {_words(error)}")
            return None

    def _open(self, split: str, facts: dict[str, Any]) -> Recorder:
        from coverage_audit.recorder.recorder import Recorder

        options = self.options
        contract = {key: value for key, value in (("kind", options.contract), ("per", options.per)) if value}
        return Recorder(
            options.log,
            self.dataset(split),
            split=split,
            contract=(contract or None) if split == TRAIN else None,
            identify=options.identify,
            **facts,
        )


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, CoverageAuditError) else f"{type(error).__name__}: {error}"
