"""The one line at the end: where the log is, and what to do next."""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from coverage_audit.launch.announce import belongs_to
from coverage_audit.launch.proposal import Opened, propose
from coverage_audit.launch.session import TRAIN, Session
from coverage_audit.model.words import listed, several
from coverage_audit.runlog.folder import WRITER, files_like, state_of


def end(session: Session, run_id: str) -> None:
    """Close the log, after all that the script does at exit; say what there is. A forked child says nothing."""
    session.close()
    if os.getpid() != session.process:
        return
    for line in (*_not_taken(session), line_of(session, run_id)):
        if line:
            session.note(line)
    if "tensorflow" in sys.modules:
        # An iterator over a Python generator, when it is let go of, waits for a thread that needs the interpreter. One
        # that Python finds only while it shuts down can wait for ever (it does so without us, too, now and then).
        gc.collect()


def line_of(session: Session, run_id: str) -> str:
    """What was recorded and the next command; or that nothing was, and why; "" where that was said already."""
    options = session.options
    log = options.shown_log
    recorded = _counted(session)
    if not recorded and _writers_of(Path(options.log), run_id):
        recorded = "recorded by child processes"
    if not recorded:
        older = f"; {log} is of an earlier run" if state_of(Path(options.log)).exists() else ""
        return f"nothing was recorded: {_why(session)}{older}" if session.failure is None else ""
    stopped = " before recording stopped" if session.failure is not None else ""
    words = [] if options.data else propose(_opened(), options.folder)
    if words:
        following = shlex.join(["coverage-audit", "run", *words, *options.given, *shlex.split(options.command)])
        return f"{recorded} in {log}{stopped}, without knowing the data · next: {following}"
    if not options.data and options.identify != "off" and _counted(session):
        return (
            f"{recorded} in {log}{stopped}, without knowing the data: none was opened with numpy, h5py or zarr · next: "
            "wrap its loader in the script: ca.wrap(loader, ca.Dataset.of(data))"
        )
    return f"{recorded} in {log}{stopped} · next: coverage-audit report {shlex.quote(log)}"


def _counted(session: Session) -> str:
    splits = [recorder.stream.split for recorder in session.recorders()]
    trained = sum(split.consumed for split in splits if split.info.name == TRAIN)
    yielded = sum(split.batches for split in splits)
    if trained:
        return f"recorded {several(trained, 'step')}"
    return f"recorded {several(yielded, 'batch')}" if yielded else ""


def _not_taken(session: Session) -> list[str]:
    """Why loaders that were named did not lead to a train split."""
    if any(r.stream.split.batches for r in session.recorders() if r.stream.split.info.name == TRAIN):
        return []
    return [
        f"--loader {name} returned {what}, which is not recorded where a script iterates it: return {instead} there"
        for name, (what, instead) in session.handed_on.items()
    ]


def _writers_of(log: Path, run_id: str) -> int:
    """How many processes wrote into this run's log."""
    return len(files_like(state_of(log), WRITER)) if belongs_to(log, run_id) else 0


def _why(session: Session) -> str:
    if "numpy" not in sys.modules:
        return "the script did not import numpy (scripts that it starts as other programs are not recorded)"
    script = session.options.module or shlex.split(session.options.command)[0]
    if session.passed_over:
        return f"{script} used only {listed(session.passed_over)}, which cannot be (see above)"
    seen = [name for name in ("keras", "torch") if name in sys.modules]
    what = {"keras": "Keras fit", "torch": "torch DataLoader that trains"}
    missing = [f"no {what[name]}" for name in seen] or ["neither Keras nor torch"]
    if not session.handed_on:
        missing += ["no call of a --loader"] if session.options.loaders else ["no --loader"]
    opened = [os.path.basename(path) for path in dict.fromkeys(o.path for o in _opened())]
    files = f"; it opened {listed(opened)}" if opened else "; it opened no data with numpy, h5py or zarr"
    hint = "" if session.options.loaders else " · name what makes its batches: coverage-audit run --loader NAME"
    return f"{listed(missing)} in {script}{files}{hint}"


def _opened() -> list[Opened]:
    origins: Any = sys.modules.get("coverage_audit.identity.origins")
    if origins is None:
        return []
    reading: Any = sys.modules.get("coverage_audit.recorder.reading_arrays")
    types = {} if reading is None else reading.PLACES.seen_types
    return [Opened(o.key.path, o.key.member or _only(types.get(o.key.path, ())), o.rows) for o in origins.ORIGINS.all()]


def _only(types: Collection[Any]) -> str:
    """The type that a flat file was read with; "" if there were several."""
    return str(next(iter(types))) if len(types) == 1 else ""
