"""The writers of this process, one for each log: opened when first asked for, closed at exit."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401 - pyarrow wants it at exit, when Python takes no new exit hooks
import os
import sys
import threading
from pathlib import Path

from coverage_audit.errors import UsageError
from coverage_audit.recorder.place import Place
from coverage_audit.recorder.writer import LogOptions, Writer

_writers: dict[Path, Writer] = {}
_registry_lock = threading.RLock()


def writer_at(log: str | Path, options: LogOptions, place: Place) -> Writer:
    """The writer of this process in this log; opens the log if there is none yet.

    Raises what :func:`~coverage_audit.runlog.identity.open_log` raises, and :class:`UsageError` (other-run) if this
    process already records into the log under another run id.
    """
    path = Path(os.path.realpath(log))
    with _registry_lock:
        writer = _writers.get(path)
        if writer is None:
            writer = _writers[path] = Writer(path, options, place, _forget)
            process = sys.modules.get("multiprocessing.process")
            if process is not None and process.parent_process() is not None:
                writer.close_at_exit_of_child()
        elif options.run_id not in (None, writer.log.run_id):
            raise UsageError(
                f"run_id={options.run_id!r}: this process is recording run {writer.log.run_id!r} into {path.name}; "
                "close that recorder first, or choose another log=",
                slug="other-run",
            )
        return writer


def close_all() -> None:
    """Close every log of this process; done at exit."""
    for writer in tuple(_writers.values()):
        writer.close()


def _forget(writer: Writer) -> None:
    with _registry_lock:
        if _writers.get(writer.path) is writer:
            del _writers[writer.path]


def _after_fork_in_child() -> None:
    global _registry_lock  # noqa: PLW0603 - a thread that held the old lock does not exist here
    _registry_lock = threading.RLock()
    for writer in _writers.values():
        writer.begin_again_in_child()


atexit.register(close_all)
os.register_at_fork(after_in_child=_after_fork_in_child)
