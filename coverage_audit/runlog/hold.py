"""Who holds a log, and moving it out of another run's way.

Every process that records keeps a shared ``flock`` on ``run.json``; moving the log away takes an exclusive one. So a
log with a live writer cannot be moved, and there is no moment in between.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from coverage_audit.errors import LogError
from coverage_audit.runlog.folder import JOURNAL, PART, files_like, refuse_what_is_no_log, state_of, unwritable
from coverage_audit.runlog.journal import is_live
from coverage_audit.runlog.own_file import close_own, file_of
from coverage_audit.runlog.schema import SCHEMA_VERSION

_PATIENCE = 1.0  # seconds to wait for somebody who is between two steps of opening or moving the log
_MORE_PATIENCE = 4.0  # and on a machine so busy that such steps take long


class Hold:
    """A shared lock on a log's ``run.json`` for as long as this object or its process lives, not for its forks."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._file = file_of(fd)
        _holds.add(self)

    def release(self) -> None:
        """Let others move the log. Releasing twice is releasing once."""
        fd, self._fd = self._fd, -1
        if fd != -1:
            close_own(fd, self._file)

    def __del__(self) -> None:
        self.release()


_holds: weakref.WeakSet[Hold] = weakref.WeakSet()


def _release_all() -> None:
    for hold in tuple(_holds):
        hold.release()


os.register_at_fork(after_in_child=_release_all)


@dataclass(frozen=True, slots=True)
class Held:
    """An existing or new log under a shared lock, and the run id it belongs to."""

    hold: Hold
    run_id: str


def hold_log(log: Path, run_id: str) -> Held:
    """Create the log for ``run_id`` if there is none, and hold it, whoever's it is.

    Raises :class:`LogError` if the place is not a run log's or cannot be written.
    """
    refuse_what_is_no_log(log)
    state = state_of(log)
    until = time.monotonic() + _PATIENCE
    path = state / "run.json"
    while True:
        try:
            state.mkdir(parents=True, exist_ok=True)
            held = _create(path, _owner_of_parts(log) or run_id) or _join(path, run_id, heal=time.monotonic() > until)
        except LogError:
            raise
        except OSError as error:
            raise unwritable(path, error) from error
        if held is not None:
            return held
        if time.monotonic() > until + _MORE_PATIENCE:
            raise LogError(
                f"{path} stays locked or empty: another process is opening or moving this log; try again",
                slug="log-busy",
            )
        time.sleep(0.005)


def _create(path: Path, run_id: str) -> Held | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return None
    try:
        _lock(fd, fcntl.LOCK_SH, path)  # before there is anything to read: nobody can move what he cannot name
        os.write(fd, _run_facts(run_id))
    except BaseException:
        os.close(fd)
        raise
    return Held(Hold(fd), run_id)


def _join(path: Path, run_id: str, *, heal: bool) -> Held | None:
    """Hold an existing log; None if it is being moved or created right now."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    hold = Hold(fd)
    if not _lock(fd, fcntl.LOCK_SH, path) or not _is_at(fd, path):
        hold.release()
        return None
    text = os.pread(fd, 1 << 20, 0)
    if not text:
        # Its creator is about to write, or died before it could.
        if heal and _lock(fd, fcntl.LOCK_EX, path):
            os.pwrite(fd, _run_facts(run_id), 0)
            _lock(fd, fcntl.LOCK_SH, path)
            return Held(hold, run_id)
        hold.release()
        return None
    return Held(hold, _run_id_in(path, text))


def _run_id_in(path: Path, text: bytes) -> str:
    try:
        facts = json.loads(text)
        found, version = facts["run_id"], facts["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(
            f"{path} does not name a run ({error!r}): restore it from a copy, or move the log away", slug="bad-state"
        ) from error
    if version > SCHEMA_VERSION:
        raise LogError(
            f"{path} is of schema {version}, this version writes {SCHEMA_VERSION}: upgrade coverage-audit, or choose "
            "another log=",
            slug="newer-schema",
        )
    return str(found)


def archive(log: Path, run_id: str) -> Path | None:
    """Move the log of ``run_id`` to ``<log>.prev-<run_id>`` and say so on stderr; nothing is deleted.

    Returns the new place, or None if somebody else moved it first. Raises :class:`LogError` if it has a live writer.
    """
    state = state_of(log)
    path = state / "run.json"
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            locked = _lock(fd, fcntl.LOCK_EX, path)
            if not _is_at(fd, path):
                return None
            if locked:
                return _move(log, state, run_id)
        except OSError as error:
            raise error if isinstance(error, LogError) else unwritable(log, error) from error
        finally:
            os.close(fd)
        # Others that are opening or moving it let go at once, however slow the machine; a writer holds on.
        if time.monotonic() > (until if _has_live_writer(state) else until + _MORE_PATIENCE):
            raise LogError(
                f"{log} is being written by a live process of run {run_id}: wait for it, choose another log=, or join "
                f"it with run_id={run_id!r}",
                slug="live-writer",
            )
        time.sleep(0.01)


def _has_live_writer(state: Path) -> bool:
    return any(is_live(state, match["stem"]) for _, match in files_like(state, JOURNAL))


def _move(log: Path, state: Path, run_id: str) -> Path:
    has_parts = os.path.lexists(log)
    base = f"{log.name}.prev-{re.sub(r'[^A-Za-z0-9._-]', '_', run_id)}"
    again = 1
    place = log.with_name(base)
    # A move that was cut short between its two renames finds its parts there already, and goes on.
    while os.path.lexists(state_of(place)) or (has_parts and os.path.lexists(place)):
        again += 1
        place = log.with_name(f"{base}-{again}")
    if has_parts:
        log.rename(place)
    state.rename(state_of(place))
    sys.stderr.write(f"coverage-audit: {log} held run {run_id}; it is now {place.name}\n")
    return place


def _owner_of_parts(log: Path) -> str | None:
    """The run id of parts whose state folder is gone; None without parts."""
    parts = files_like(log, PART)
    if not parts or (state_of(log) / "run.json").exists():
        return None
    from coverage_audit.runlog.footer import read_footer  # pyarrow: for this rare case only

    return read_footer(parts[0][0]).run_id


def _run_facts(run_id: str) -> bytes:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = {"run_id": run_id, "schema_version": SCHEMA_VERSION, "created": created, "command": sys.argv}
    return json.dumps(facts, indent=1).encode()


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is still the one at ``path``."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _lock(fd: int, how: int, path: Path) -> bool:
    """Try to lock without waiting. False if somebody else's lock is in the way."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LogError(
            f"{path} cannot be locked ({error.strerror}): put the log on a file system that has flock",
            slug="no-file-locks",
        ) from error
    return True
