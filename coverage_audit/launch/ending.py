"""The one line at the end: where the log is, and what to do next."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from coverage_audit.launch.proposal import Opened, propose
from coverage_audit.launch.session import Session
from coverage_audit.model.words import listed, several
from coverage_audit.runlog.folder import WRITER, files_like, read_json, state_of


def end(session: Session, run_id: str) -> None:
    """Close the log, after all that the script does at exit; say what there is. A forked child says nothing."""
    session.close()
    if os.getpid() == session.process:
        session.note(line_of(session, run_id))


def line_of(session: Session, run_id: str) -> str:
    """What was recorded and the next command; or that nothing was, and why."""
    options = session.options
    log = options.shown_log
    recorded = _counted(session)
    if not recorded and _writers_of(Path(options.log), run_id):
        recorded = "recorded by child processes"
    if not recorded:
        return f"nothing was recorded: {_why(session)}"
    stopped = " before recording stopped" if session.failure is not None else ""
    if options.data:
        following = f"coverage-audit report {shlex.quote(log)}"
    else:
        words = propose(_opened(), options.folder)
        following = shlex.join(["coverage-audit", "run", *words, *shlex.split(options.command)])
        stopped += ", without knowing the data" if words else ""
    return f"{recorded} in {log}{stopped} · next: {following}"


def _counted(session: Session) -> str:
    splits = [recorder.stream.split for recorder in session.recorders()]
    trained = sum(split.consumed for split in splits if split.info.name == "train")
    yielded = sum(split.batches for split in splits)
    if trained:
        return f"recorded {several(trained, 'step')}"
    return f"recorded {several(yielded, 'batch')}" if yielded else ""


def _writers_of(log: Path, run_id: str) -> int:
    """How many processes wrote into this run's log."""
    state = state_of(log)
    try:
        if read_json(state / "run.json").get("run_id") != run_id:
            return 0
    except OSError:
        return 0
    return len(files_like(state, WRITER))


def _why(session: Session) -> str:
    if session.failure is not None:
        return session.failure
    if "numpy" not in sys.modules:
        return "the script did not import numpy (scripts that it starts as other programs are not recorded)"
    seen = [name for name in ("keras", "torch") if name in sys.modules]
    what = {"keras": "Keras fit", "torch": "torch DataLoader that trains"}
    missing = [f"no {what[name]}" for name in seen] or ["neither Keras nor torch"]
    missing += ["no call of a --loader"] if session.options.loaders else ["no --loader"]
    opened = [os.path.basename(path) for path in dict.fromkeys(o.path for o in _opened())]
    files = f"; it opened {listed(opened)}" if opened else "; it opened no data with numpy, h5py or zarr"
    hint = "" if session.options.loaders else ". Name what makes its batches: coverage-audit run --loader NAME …"
    return f"{listed(missing)} in {session.options.command.split(' ')[0]}{files}{hint}"


def _opened() -> list[Opened]:
    origins: Any = sys.modules.get("coverage_audit.identity.origins")
    if origins is None:
        return []
    return [Opened(o.key.path, o.key.member, o.rows) for o in origins.ORIGINS.all()]
