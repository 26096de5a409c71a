"""Where a run log lies on disk: the folder of parts, and its sibling of everything else.

run.parquet/          part-<stem>-<roll>.parquet, nothing else, so that any tool reads the folder as it is
run.parquet.state/    run.json, dataset-<fingerprint>.json, <stem>.json, <stem>-<roll>.journal
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from coverage_audit.errors import LogError

STEM = re.compile(r"a(?P<attempt>\d{3,})-r(?P<rank>\d{4,})-p(?P<process>\d{4,})")
PART = re.compile(rf"part-(?P<stem>{STEM.pattern})-(?P<roll>\d{{5,}})\.parquet")
JOURNAL = re.compile(rf"(?P<stem>{STEM.pattern})-(?P<roll>\d{{5,}})\.journal")
WRITER = re.compile(rf"(?P<stem>{STEM.pattern})\.json")


def state_of(log: Path) -> Path:
    """``run.parquet`` -> ``run.parquet.state``; ``.`` and ``..`` by the names of the folders they are."""
    named = log if log.name not in ("", "..") else Path(os.path.abspath(log))
    return named.parent / f"{named.name}.state"


def files_like(folder: Path, pattern: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """The files whose whole name matches, sorted by name; none where there is no folder."""
    if not folder.is_dir():
        return []
    matches = ((p, pattern.fullmatch(p.name)) for p in sorted(folder.iterdir()))
    return [(p, m) for p, m in matches if m is not None]


def write_json(path: Path, facts: Any) -> None:
    """Put ``facts`` at ``path`` at once or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def read_json(path: Path) -> Any:
    """What a state file says. Raises :class:`LogError` if it cannot be read or is no JSON."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise LogError(f"{path} cannot be read ({error.strerror}): check its permissions", slug="bad-state") from error
    except ValueError as error:
        raise LogError(
            f"{path} holds no JSON ({error}): restore it from a copy, or move it away to read the log without it",
            slug="bad-state",
        ) from error


def unwritable(path: Path, error: OSError) -> LogError:
    return LogError(
        f"{path} cannot be written ({error.strerror or error}): choose another log= or make its folder writable",
        slug="unwritable-log",
    )


def refuse_what_is_no_log(log: Path) -> None:
    """Raise :class:`LogError` if something that is no run log stands at ``log`` or beside it. An empty folder may."""
    state = state_of(log)
    for place, known in ((log, (PART,)), (state, (JOURNAL, WRITER))):
        if not os.path.lexists(place):
            continue
        if not place.is_dir():
            raise _no_log(place, "a file")
        for entry in sorted(place.iterdir()):
            if _is_of_the_file_system(entry.name) or (place == state and _is_of_the_state(entry.name)):
                continue
            if not any(p.fullmatch(entry.name) for p in known):
                raise _no_log(place, f"a folder that also holds {entry.name}")


def _is_of_the_state(name: str) -> bool:
    return name == "run.json" or name.startswith("dataset-") or name.endswith(".tmp")


def _is_of_the_file_system(name: str) -> bool:
    return name.startswith(".nfs")  # what a network file system keeps of a file that is deleted while open


def _no_log(place: Path, what: str) -> LogError:
    return LogError(
        f"{place} is {what}, not a run log of ours, and is left alone: choose another log=, or move it away",
        slug="not-a-run-log",
    )
