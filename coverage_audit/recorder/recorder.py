"""Recorder: what a training loop of one's own calls; wrapped loaders have one too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from coverage_audit.config import Config, read_config
from coverage_audit.errors import ConfigError, UsageError
from coverage_audit.identity.given import rows_of_step
from coverage_audit.identity.ladder import Ladder
from coverage_audit.model.contract import Contract
from coverage_audit.model.event import MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.recorder.open_writers import writer_at
from coverage_audit.recorder.place import find_place
from coverage_audit.recorder.reading import install, uninstall
from coverage_audit.recorder.segment import Segment, Split
from coverage_audit.recorder.skipped import REASON, REMEDY, Skipped
from coverage_audit.recorder.stream import Stream
from coverage_audit.recorder.ways import choose_way
from coverage_audit.recorder.writer import LogOptions, warn
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.home import home_of

DEFAULT_LOG = "run.parquet"


class Recorder:
    """Records one split of a run into ``log``.

    ::

        with ca.Recorder("run.parquet", data, batch_size=32) as rec:
            for _ in range(epochs):
                with rec.epoch():
                    for rows in sampler:
                        train(x[rows])
                        rec.step(rows)

    Micro-batches of accumulated gradients are steps: tell each where it is computed. In a loop around a compiled step
    (JAX) tell the rows outside of it. ``state_dict()`` saved with the weights, and ``load_state_dict()`` after they
    were loaded, tell what the final weights saw when the run was stopped in between (``resume=True``).

    The arguments are those of :func:`~coverage_audit.adapters.choice.wrap`, and ``verify_every`` instead of what is
    configured. All recorders of a process that name the
    same log share one writer; the log is closed when its last split is, or at exit.

    Raises :class:`~coverage_audit.errors.UsageError` for arguments that cannot be meant and ``LogError`` if the log
    cannot be had. After that it never raises: see :class:`~coverage_audit.errors.RecordingWarning`.
    """

    def __init__(
        self,
        log: str | Path | None = None,
        dataset: Dataset | None = None,
        *,
        batch_size: int | None = None,
        steps_per_epoch: int | None = None,
        epochs: int | None = None,
        split: str = "train",
        contract: Contract | str | Mapping[str, Any] | None = None,
        ids: Any = None,
        identify: str | None = "auto",
        run_id: str | None = None,
        resume: bool = False,
        if_exists: str = "archive",
        data_parallel: tuple[int, int] | None = None,
        sync_every: float | None = None,
        verify_every: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("steps_per_epoch", steps_per_epoch), ("epochs", epochs)):
            _require_positive(name, value)
        if sync_every is not None and not (_is_number(sync_every) and sync_every > 0):
            raise UsageError(
                f"sync_every={sync_every!r}: give seconds above 0, or None to leave it out", slug="bad-argument"
            )
        if not isinstance(split, str) or not split:
            raise UsageError(f"split={split!r} is no name: give one such as 'train'", slug="bad-argument")
        if if_exists not in ("archive", "error"):
            raise UsageError(f"if_exists={if_exists!r} is unknown: give 'archive' or 'error'", slug="bad-if-exists")
        shards = None if dataset is None else _checked(dataset).shards
        info = SplitInfo(
            name=split,
            fingerprint=None if shards is None else shards.fingerprint,
            selected=None if shards is None else shards.selected,
            contract=Contract.of(contract),
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            home=None if dataset is None else home_of(dataset),
        )
        place = find_place(os.environ, data_parallel)
        disabled = os.environ.get("COVERAGE_AUDIT_DISABLE", "") not in ("", "0")
        every = _configured_verify_every() if verify_every is None else verify_every
        data = None if disabled else dataset
        way, self._reading = choose_way(ids, identify, data, every, place.rank, one_row=batch_size == 1)
        self._way = way
        self._direct: Segment | None = None
        self._epochs: int | None = 0
        self._open_epoch: int | None = None
        self._saved = 0
        self._skipped = Skipped()
        self._late = False
        if disabled:
            self.stream = Stream(None, Split(0, info, shards), way)
            return
        where = log if log is not None else os.environ.get("COVERAGE_AUDIT_LOG") or DEFAULT_LOG
        writer = writer_at(where, LogOptions(run_id, resume, if_exists, sync_every), place)
        self.stream = Stream(writer, writer.declare(info, shards), way)
        if self._reading:
            install()

    @property
    def log(self) -> Path | None:
        """The log as an absolute path; None where recording is disabled."""
        return None if self.stream.writer is None else self.stream.writer.path

    @property
    def run_id(self) -> str | None:
        """Whose log it is; None where recording is disabled."""
        return None if self.stream.writer is None else self.stream.writer.log.run_id

    @contextmanager
    def epoch(self) -> Iterator[None]:
        """One epoch of training. Left by an exception, it stays incomplete."""
        self._begin()
        number = self._epochs
        if number is not None:
            self._epochs = number + 1
        self._open_epoch = number
        self.stream.mark(MarkKind.EPOCH_BEGIN, number=number)
        try:
            yield
        finally:
            self._open_epoch = None
        self.stream.mark(MarkKind.EPOCH_END, number=number)

    def step(self, rows: Any = None) -> None:
        """One training step on these rows.

        ``rows``: sample ids (1-D whole numbers), a slice or a range of them, (B, 2) of (shard, row), or the batch
        itself, its rows found as ``ids=``/``identify=`` say. None: the step took the next batch that the wrapped
        loader of this recorder yielded.
        """
        if self.stream.writer is not None and self.stream.split.closed and not self._late:
            self._late = True
            warn(f"{self.stream.split.info.name}: its recorder is closed, so this step and later ones are not recorded")
        # Said with the first step, the fit has begun with the batch that this step took.
        self._begin(taken=0 if rows is not None else 1)
        if rows is not None:
            if self._direct is None:
                self._direct = self.stream.open(told_pass=False)
            self.stream.put(self._direct, lambda: rows_of_step(rows, self._way, self._n_ids))
        else:
            doubtful = self._skipped.step(self.stream.split)
            if doubtful is not None:
                self.stream.forget([doubtful[0]], REASON, REMEDY if doubtful[1] else "")
        self.stream.consumed(1)

    def checkpoint(self, tag: str | int) -> None:
        """The weights were saved as ``tag``: call it after the last step that they hold.

        A tag that is saved again stands for the newest weights. All splits of this process are meant.
        """
        self.stream.mark(MarkKind.CHECKPOINT, tag=_as_tag(tag))

    def restored(self, tag: str | int | None) -> None:
        """The weights were loaded from ``tag``, in whichever attempt of this log they were saved.

        None: there was nothing to load, and the weights are new. What was trained beyond that checkpoint before is no
        part of the final weights: it is shown, and does not count. Batches that are pulled only to be thrown away
        (until the loader stands where it was) have to be pulled before this and ``epoch()``: a step takes the next one.
        """
        if self._epochs == 0 and tag is not None:
            self._epochs = None  # how many epochs came before is for the log to say
        self._skipped.restored(self.stream.split)
        self.stream.mark(MarkKind.RESTORED, tag=None if tag is None else _as_tag(tag))

    def state_dict(self) -> dict[str, Any]:
        """What to save with the weights so that :meth:`load_state_dict` can go on from here: a checkpoint of its own.

        Plain values, for JSON or ``torch.save``. ``epoch``: the number of the next ``epoch()``, or of the one this is
        called in; None where a restore did not say. ``steps``: those of this split in this process.
        """
        place = self.stream.writer.log.stem if self.stream.writer is not None else "disabled"
        self._saved += 1
        split = self.stream.split
        tag = f"{place}:{split.info.name}:{self._saved}"
        epoch = self._epochs if self._open_epoch is None else self._open_epoch
        self.checkpoint(tag)
        return {"tag": tag, "epoch": epoch, "in_epoch": self._open_epoch is not None, "steps": split.consumed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a :meth:`state_dict`: marks the restore, and ``epoch()`` goes on counting from it.

        Raises :class:`~coverage_audit.errors.UsageError` for what is no such state.
        """
        if not isinstance(state, Mapping) or not {"tag", "epoch"} <= state.keys():
            raise UsageError(
                f"{repr(state)[:60]} is no state of a Recorder: give what its state_dict() returned",
                slug="bad-state-dict",
            )
        self.restored(state["tag"])
        self._epochs = state["epoch"]

    def close(self) -> None:
        """This split is done. The log is closed with its last split."""
        writer, split = self.stream.writer, self.stream.split
        if writer is None or split.closed:
            return
        with writer.guard():
            if self._direct is not None or split.in_fit:
                self._finish()
            writer.close_split(split)
            if self._reading:
                self._reading = False
                uninstall()
            if isinstance(self._way, Ladder):
                self._way.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _n_ids(self) -> int | None:
        return None if self.stream.split.shards is None else self.stream.split.shards.n_ids

    def _begin(self, taken: int = 0) -> None:
        """A loop that says itself what it consumes is one long fit without anything peeked at."""
        split = self.stream.split
        if not split.in_fit:
            split.in_fit = True
            self._skipped.begin(split, taken)
            self.stream.mark(MarkKind.FIT_BEGIN, peek=-1, **({"taken": taken} if taken else {}))

    def _finish(self) -> None:
        if self.stream.split.in_fit:
            self.stream.split.in_fit = False
            self.stream.mark(MarkKind.FIT_END)
            self.stream.mark(MarkKind.IDLE)


def _as_tag(tag: Any) -> str | int:
    """Tags come back from the log as they are here: whole numbers stay such, anything else is its text."""
    return int(tag) if isinstance(tag, int | np.integer) and not isinstance(tag, bool) else str(tag)


def _configured_verify_every() -> int:
    """``verify-every`` of the configuration; a configuration that cannot be read is for the report to refuse."""
    try:
        return read_config().verify_every
    except ConfigError:
        return Config().verify_every


def _checked(dataset: Any) -> Dataset:
    if isinstance(dataset, Dataset):
        return dataset
    raise UsageError(
        f"dataset={repr(dataset)[:60]} is of type {type(dataset).__name__}: give ca.Dataset.open(paths) for files, "
        "ca.Dataset.of(array or length) for anything else",
        slug="bad-dataset",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _require_positive(name: str, value: Any) -> None:
    if value is None or (isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0):
        return
    raise UsageError(
        f"{name}={value!r}: give a whole number above 0, or leave it out", slug=f"bad-{name.replace('_', '-')}"
    )
