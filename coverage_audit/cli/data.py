"""DATA on the command line: a run log, a folder of them, or a glob."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

from coverage_audit.errors import LogError
from coverage_audit.runlog.folder import PART, files_like, state_of

STATE = ".state"


def find_logs(data: Sequence[str]) -> list[str]:
    """Every log that ``data`` names, once each: in the order given, those of a folder or glob by name.

    A path that is neither a log nor a folder of logs is kept, so that reading it says what is wrong with it.
    Raises :class:`LogError` where a glob matches nothing.
    """
    found = [log for item in data for log in (_named(item) if _is_there(item) else _matched(item))]
    return list(dict.fromkeys(found))


def _is_there(item: str) -> bool:
    return Path(item).exists() or state_of(Path(item)).is_dir() or not glob.has_magic(item)


def _matched(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    logs = [log for match in matches for log in _named(match)]
    if not logs:
        raise LogError(
            f"{pattern} matches no run log: correct the pattern, or name the log (run.parquet by default)",
            slug="no-log",
        )
    return logs


def _named(item: str) -> list[str]:
    path = Path(item)
    if path.name.endswith(STATE) and path.is_dir():
        return [item.rstrip("/").removesuffix(STATE)]
    if not path.is_dir() or _is_log(path):
        return [item]
    return list(_inside(path)) or [item]


def _is_log(path: Path) -> bool:
    return state_of(path).is_dir() or bool(files_like(path, PART))


def _inside(folder: Path) -> Iterator[str]:
    """The logs directly in a folder; those that were moved out of another run's way are left out."""
    entries = list(folder.iterdir())
    names = {e.name.removesuffix(STATE) for e in entries if e.is_dir() and e.name.endswith(STATE)}
    names |= {e.name for e in entries if e.suffix == ".parquet" and (e.is_file() or _is_log(e))}
    return (str(folder / name) for name in sorted(names) if ".prev-" not in name)
