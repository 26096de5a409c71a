"""tracer.json: what says that the files of a folder are a tracer dataset, and how they are read.

Format 1: ``{"format": 1, "complete": bool, "fingerprint": of the original, "shards": [{name, rows}], "codes": [{...}],
"files": [{path, arrays: {member: shard or null}}]}``. Paths are relative to the folder; shards are counted from 0, and
a null says that an array holds nothing to be read. What a code is, is known to :mod:`coverage_audit.identity.tracer`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coverage_audit.errors import DatasetError

NAME = "tracer.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """``arrays``: per array of the file ("" for a file that is one array) the shard whose rows it holds."""

    path: str
    arrays: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class MarkedShard:
    """A shard of the original dataset."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Mark:
    """What tracer.json holds. ``complete`` is False while the files are being written."""

    complete: bool
    fingerprint: str
    shards: tuple[MarkedShard, ...]
    codes: tuple[Mapping[str, Any], ...]
    files: tuple[MarkedFile, ...]


def write_mark(folder: Path, mark: Mark) -> None:
    """Write the file, whole or not at all. Raises OSError where it cannot be written."""
    draft = folder / f"{NAME}.{os.getpid()}.tmp"
    draft.write_text(json.dumps({"format": FORMAT, **asdict(mark)}, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, folder / NAME)


def read_mark(folder: Path) -> Mark | None:
    """The mark of a folder, None if it has none. Raises :class:`DatasetError`: bad-tracer, newer-tracer."""
    source = folder / NAME
    try:
        facts = json.loads(source.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _bad(source, str(error)) from error
    if isinstance(facts, dict) and isinstance(facts.get("format"), int) and facts["format"] > FORMAT:
        raise DatasetError(
            f"{source} is of format {facts['format']}, this version reads up to {FORMAT}: upgrade coverage-audit",
            slug="newer-tracer",
        )
    try:
        return Mark(
            complete=bool(facts["complete"]),
            fingerprint=str(facts["fingerprint"]),
            shards=tuple(MarkedShard(str(s["name"]), int(s["rows"])) for s in facts["shards"]),
            codes=tuple(dict(code) for code in facts["codes"]),
            files=tuple(MarkedFile(str(f["path"]), dict(f["arrays"])) for f in facts["files"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(source, f"{type(error).__name__}: {error}") from error


def find_marked_folder(path: Path) -> Path | None:
    """The folder above ``path`` that holds a tracer.json, the nearest one; None if there is none."""
    return next((folder for folder in path.parents if (folder / NAME).is_file()), None)


def _bad(source: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{source} does not describe a tracer dataset ({why}): write it again with `coverage-audit tracer`",
        slug="bad-tracer",
    )
