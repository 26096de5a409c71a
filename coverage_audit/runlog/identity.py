"""Whose log it is: run id, attempt, process number; joining, archiving, refusing."""

from __future__ import annotations

import os
import platform
import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage_audit._version import __version__
from coverage_audit.errors import LogError, UsageError
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.folder import PART, WRITER, files_like, state_of, unwritable, write_json
from coverage_audit.runlog.hold import Hold, archive, hold_log
from coverage_audit.runlog.inherited import inherited, tell_children
from coverage_audit.runlog.schema import SCHEMA_VERSION
from coverage_audit.runlog.writers import facts_of


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A place in a log for one writer. ``path`` is absolute; ``state`` is where journals and JSON go.

    As long as it is not closed (and its process lives) the log cannot be archived by another run.
    """

    path: Path
    state: Path
    run_id: str
    attempt: int
    rank: int
    process: int
    world_size: int
    hold: Hold
    member: int = -1

    @property
    def stem(self) -> str:
        """``a000-r0000-p0001``: the name of everything this writer leaves."""
        return self.writer().name

    def writer(self, splits: Sequence[SplitInfo] = ()) -> Writer:
        """This process as a writer."""
        return Writer(
            self.attempt,
            self.rank,
            self.process,
            self.world_size,
            os.getpid(),
            socket.gethostname(),
            tuple(splits),
            self.member,
        )

    def declare(
        self, splits: Sequence[SplitInfo], datasets: Mapping[str, Shards], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Say what this writer records, in the order of the split indices its journal uses; may be said again.

        ``datasets``: by fingerprint. ``facts``: anything else worth knowing (versions, loader kinds).
        Raises :class:`LogError` if it cannot be written.
        """
        for fingerprint, shards in datasets.items():
            self.write_dataset(fingerprint, shards)
        write_json(self.state / f"{self.stem}.json", self._facts(splits, facts or {}))

    def write_dataset(self, fingerprint: str, shards: Shards) -> None:
        """Put down the shards once; what is there stays."""
        path = self.state / f"dataset-{fingerprint}.json"
        if not path.exists():
            write_json(path, {"fingerprint": fingerprint, "shards": shards.to_json()})

    def close(self) -> None:
        """Let go of the log: other runs may archive it, and later children do not inherit it."""
        logs = inherited()
        if logs.pop(str(self.path), None) is not None:
            tell_children(logs)
        self.hold.release()

    def _facts(self, splits: Sequence[SplitInfo], facts: Mapping[str, Any]) -> dict[str, Any]:
        writer = self.writer()
        return {
            "run_id": self.run_id,
            "schema_version": SCHEMA_VERSION,
            "world_size": writer.world_size,
            "member": writer.member,
            "pid": writer.pid,
            "host": writer.host,
            "declared": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": {"coverage-audit": __version__, "python": platform.python_version()},
            "splits": [{"name": s.name, **s.to_json()} for s in splits],
            "facts": dict(facts),
        }


def open_log(
    path: str | Path,
    *,
    run_id: str | None,
    resume: bool,
    if_exists: str,
    rank: int,
    world_size: int,
    launcher_id: str | None,
    restart: int | None,
    member: int = -1,
) -> OpenLog:
    """Join the log at ``path`` if it is this run's, else archive it (or join, or refuse) and begin a new one.

    The run id is ``run_id``, else COVERAGE_AUDIT_RUN_ID, else ``launcher_id``, else what the parent process uses for
    this very log, else a new one. The attempt is the parent's for a child, else ``restart``, else one more than the
    last of this rank or of a launch of another size; ``resume=True`` joins the log of another run as such a next
    attempt.

    Raises :class:`UsageError` for values that cannot be meant and for several ranks without a shared id;
    :class:`LogError` if the place is taken by something else, is in use by another run, exists
    (``if_exists="error"``), or cannot be written.
    """
    if if_exists not in ("archive", "error"):
        raise UsageError(f"if_exists={if_exists!r} is unknown: give 'archive' or 'error'", slug="bad-if-exists")
    if run_id == "":
        raise UsageError("run_id='' names no run: give a name, or None to have one made", slug="bad-run-id")
    log = Path(os.path.abspath(path))
    asked = _first_of(run_id, os.environ.get("COVERAGE_AUDIT_RUN_ID") or None, launcher_id)
    parent = inherited().get(str(log))
    if parent is not None and asked not in (None, parent["run_id"], parent["asked"]):
        parent = None
    if asked is None and parent is None and world_size > 1:
        raise UsageError(
            f"{log.name}: rank {rank} of {world_size} has no run id to share with the others: set the environment "
            "variable COVERAGE_AUDIT_RUN_ID, or pass run_id=, to the same value on all ranks",
            slug="no-shared-run-id",
        )
    wanted = _first_of(parent["run_id"] if parent is not None else None, asked, uuid.uuid4().hex)
    while True:
        held = hold_log(log, wanted)
        if held.run_id == wanted or resume:
            break
        held.hold.release()
        if if_exists == "error":
            raise LogError(
                f"{log} exists and belongs to run {held.run_id}: choose another log=, or allow if_exists='archive'",
                slug="log-exists",
            )
        archive(log, held.run_id)
    if parent is not None and held.run_id == parent["run_id"]:
        attempt = int(parent["attempt"])
    elif restart is not None and held.run_id == wanted:
        attempt = restart
    else:
        attempt = _next_attempt(log, rank, world_size)
    try:
        opened = _claim(log, held.run_id, attempt, rank, world_size, held.hold, member)
    except OSError as error:
        held.hold.release()
        raise unwritable(state_of(log), error) from error
    logs = inherited()
    logs[str(log)] = {"run_id": held.run_id, "asked": asked, "attempt": attempt}
    tell_children(logs)
    return opened


def _claim(log: Path, run_id: str, attempt: int, rank: int, world_size: int, hold: Hold, member: int = -1) -> OpenLog:
    """Take the first free process number of this attempt and rank, by creating its file."""
    process = 1 + max((p for a, r, p in _claimed(log) if (a, r) == (attempt, rank)), default=0)
    while True:
        opened = OpenLog(log, state_of(log), run_id, attempt, rank, process, world_size, hold, member)
        try:
            fd = os.open(opened.state / f"{opened.stem}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            process += 1
            continue
        os.close(fd)
        opened.declare((), {})
        return opened


def _next_attempt(log: Path, rank: int, world_size: int) -> int:
    """One more than the last of this rank, and than any that was launched with another number of ranks: a rank that was
    not there before belongs to the launch that brought it."""
    state = state_of(log)
    last = max((a for a, r, _ in _claimed(log) if r == rank), default=-1)
    for _, found in files_like(state, WRITER):
        attempt, size = int(found["attempt"]), facts_of(state, found["stem"]).get("world_size", world_size)
        if attempt > last and size != world_size:
            last = attempt
    return last + 1


def _claimed(log: Path) -> list[tuple[int, int, int]]:
    """(attempt, rank, process) of every writer that left a trace, parts without a state folder included."""
    found = [*files_like(state_of(log), WRITER), *files_like(log, PART)]
    return [(int(m["attempt"]), int(m["rank"]), int(m["process"])) for _, m in found]


def _first_of(*values: str | None) -> Any:
    return next((v for v in values if v is not None), None)
