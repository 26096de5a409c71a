"""The one line at the end: where the log is, and what to do next."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from coverage_audit.launch.announce import belongs_to
from coverage_audit.launch.proposal import Opened, propose
from coverage_audit.launch.session import Session
from coverage_audit.model.words import listed, several
from coverage_audit.runlog.folder import WRITER, files_like, state_of


def end(session: Session, run_id: str) -> None:
    """Close the log, after all that the script does at exit; say what there is. A forked child says nothing."""
    session.close()
    line = line_of(session, run_id) if os.getpid() == session.process else ""
    if line:
        session.note(line)


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
    return f"{recorded} in {log}{stopped} · next: coverage-audit report {shlex.quote(log)}"


def _counted(session: Session) -> str:
    splits = [recorder.stream.split for recorder in session.recorders()]
    trained = sum(split.consumed for split in splits if split.info.name == "train")
    yielded = sum(split.batches for split in splits)
    if trained:
        return f"recorded {several(trained, 'step')}"
    return f"recorded {several(yielded, 'batch')}" if yielded else ""


def _writers_of(log: Path, run_id: str) -> int:
    """How many processes wrote into this run's log."""
    return len(files_like(state_of(log), WRITER)) if belongs_to(log, run_id) else 0


def _why(session: Session) -> str:
    if "numpy" not in sys.modules:
        return "the script did not import numpy (scripts that it starts as other programs are not recorded)"
    seen = [name for name in ("keras", "torch") if name in sys.modules]
    what = {"keras": "Keras fit", "torch": "torch DataLoader that trains"}
    missing = [f"no {what[name]}" for name in seen] or ["neither Keras nor torch"]
    missing += ["no call of a --loader"] if session.options.loaders else ["no --loader"]
    opened = [os.path.basename(path) for path in dict.fromkeys(o.path for o in _opened())]
    files = f"; it opened {listed(opened)}" if opened else "; it opened no data with numpy, h5py or zarr"
    hint = "" if session.options.loaders else " · name what makes its batches: coverage-audit run --loader NAME"
    return f"{listed(missing)} in {session.options.command.split(' ')[0]}{files}{hint}"


def _opened() -> list[Opened]:
    origins: Any = sys.modules.get("coverage_audit.identity.origins")
    if origins is None:
        return []
    return [Opened(o.key.path, o.key.member, o.rows) for o in origins.ORIGINS.all()]
