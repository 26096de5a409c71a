"""A dataset as a JSON file: the denominator on its own.

Format 1: ``{"format": 1, "shards": [{name, rows, bytes, modified_ns, group}], "paths": [text or null], "partners":
[[text]], "selected": null or [[start, stop]]}``, and "members": [text] where a path alone does not say which array is
meant; paths are relative to the manifest's folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import RowSet
from coverage_audit.model.shards import Shards

FORMAT = 1


def write_manifest(
    target: Path,
    shards: Shards,
    paths: tuple[Path | None, ...],
    partners: tuple[tuple[Path, ...], ...],
    members: tuple[str, ...],
) -> None:
    """Write the file, whole or not at all. Raises OSError where it cannot be written."""
    folder = target.absolute().parent
    facts = {
        "format": FORMAT,
        "shards": shards.to_json(),
        "paths": [None if path is None else _relative(path, folder) for path in paths],
        "partners": [[_relative(path, folder) for path in group] for group in partners],
        "selected": None if shards.selected is None else [list(r) for r in shards.selected.ranges()],
    }
    if any(members):
        facts["members"] = list(members)
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, target)


def read_manifest(
    source: Path,
) -> tuple[Shards, tuple[Path | None, ...], tuple[tuple[Path, ...], ...], tuple[str, ...]]:
    """Shards, paths, partners and members. Raises :class:`DatasetError`: no-files, bad-manifest, newer-manifest."""
    folder = source.absolute().parent
    facts = _facts(source)
    try:
        selected = facts["selected"]
        shards = Shards.from_json(
            facts["shards"], None if selected is None else RowSet.of_ranges((a, b) for a, b in selected)
        )
        paths = tuple(None if path is None else _absolute(path, folder) for path in facts["paths"])
        partners = tuple(tuple(_absolute(path, folder) for path in group) for group in facts["partners"])
        members = tuple(str(member) for member in facts.get("members", [""] * len(shards)))
        whole = len(paths) == len(partners) == len(members) == len(shards) and all(s.rows >= 0 for s in shards)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(source, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise _bad(source, f"{len(shards)} shards, {len(paths)} paths, {len(partners)} partners")
    return shards, paths, partners, members


def _facts(source: Path) -> dict[str, Any]:
    try:
        facts = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{source} cannot be read ({error.strerror}): check the path", slug="no-files") from error
    except ValueError as error:
        raise _bad(source, str(error)) from error
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise _bad(source, "no format number")
    if facts["format"] > FORMAT:
        raise DatasetError(
            f"{source} is a manifest of format {facts['format']}, this version reads up to {FORMAT}: "
            "upgrade coverage-audit",
            slug="newer-manifest",
        )
    return facts


def _bad(source: Path, why: str) -> DatasetError:
    return DatasetError(f"{source} is not a dataset manifest ({why}): write it again with save()", slug="bad-manifest")


def _relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _absolute(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / text))
