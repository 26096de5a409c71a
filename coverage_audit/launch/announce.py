"""Whose run it is, settled before the script starts: whichever process records first, the others join it."""

from __future__ import annotations

import uuid
from pathlib import Path

from coverage_audit.runlog.folder import PART, WRITER, files_like, read_json, state_of
from coverage_audit.runlog.inherited import inherited, tell_children


def announce_run(named: str, run_id: str | None, rank: int, restart: int | None) -> str:
    """Tell this process and its children which run the log is for, before any of them opens it; the run's id.

    ``named``: the log, as the real path.
    ``run_id``: as given by the environment or a launcher; None: a new run. The attempt is ``restart`` where a launcher
    counts, else one more than this rank's last in a log of the same run.
    """
    log = Path(named)
    state = state_of(log)
    told = inherited()
    known = told.get(str(log))
    if known is not None and run_id in (None, known["run_id"], known["asked"]):
        return str(known["run_id"])
    attempt = 0
    if run_id is not None:
        found = [*files_like(state, WRITER), *files_like(log, PART)] if belongs_to(log, run_id) else []
        last = max((int(m["attempt"]) for _, m in found if int(m["rank"]) == rank), default=-1)
        attempt = restart if restart is not None else last + 1
    wanted = run_id if run_id is not None else uuid.uuid4().hex
    told[str(log)] = {"run_id": wanted, "asked": run_id, "attempt": attempt}
    tell_children(told)
    return wanted


def belongs_to(log: Path, run_id: str) -> bool:
    """Whether there is a log of this run. One that cannot be read is another's until it is opened."""
    try:
        facts = read_json(state_of(log) / "run.json")
    except OSError:
        return False
    return isinstance(facts, dict) and facts.get("run_id") == run_id
