"""What the state folder knows of the writers and datasets of a log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverage_audit.errors import LogError
from coverage_audit.model.run import SplitInfo, Writer
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.folder import JOURNAL, STEM, WRITER, files_like, read_json
from coverage_audit.runlog.schema import SCHEMA_VERSION

DATASET = re.compile(r"dataset-(?P<fingerprint>.+)\.json")


def stems_in(state: Path) -> list[str]:
    """Every writer that left a file in the state folder, in order."""
    found = [*files_like(state, WRITER), *files_like(state, JOURNAL)]
    return sorted({m["stem"] for _, m in found})


def journals_of(state: Path, stem: str) -> list[Path]:
    """Its journals in order. Raises :class:`LogError` if one is missing between others."""
    found = [(int(m["roll"]), path) for path, m in files_like(state, JOURNAL) if m["stem"] == stem]
    for expected, (roll, path) in enumerate(sorted(found)):
        if roll != expected:
            raise LogError(
                f"{path} comes without {stem}-{expected:05d}.journal: restore that one from a copy; without it the "
                "steps that follow cannot be numbered",
                slug="missing-journal",
            )
    return [path for _, path in sorted(found)]


def facts_of(state: Path, stem: str) -> dict[str, Any]:
    """What the writer declared; nothing if it died before it could.

    Raises :class:`LogError` for a file of a newer schema, or one that cannot be read.
    """
    path = state / f"{stem}.json"
    if not path.exists() or path.stat().st_size == 0:
        return {}
    facts: dict[str, Any] = read_json(path)
    require_version(path, facts)
    return facts


def run_facts_of(state: Path) -> dict[str, Any]:
    """What ``run.json`` says; nothing if there is none. Raises :class:`LogError` as :func:`facts_of`."""
    path = state / "run.json"
    if not path.exists() or path.stat().st_size == 0:
        return {}
    facts: dict[str, Any] = read_json(path)
    require_version(path, facts)
    return facts


def require_version(path: Path, facts: Mapping[str, Any]) -> None:
    version = facts.get("schema_version", 0)
    if version > SCHEMA_VERSION:
        raise LogError(
            f"{path} is of schema {version}, this version reads up to {SCHEMA_VERSION}: upgrade coverage-audit",
            slug="newer-schema",
        )


def writer_of(stem: str, facts: Mapping[str, Any]) -> Writer:
    """The writer of this name with what it declared."""
    match = STEM.fullmatch(stem)
    assert match is not None, stem
    splits = [dict(s) for s in facts.get("splits", ())]
    return Writer(
        attempt=int(match["attempt"]),
        rank=int(match["rank"]),
        process=int(match["process"]),
        world_size=int(facts.get("world_size", 1)),
        pid=int(facts.get("pid", 0)),
        host=str(facts.get("host", "")),
        splits=tuple(SplitInfo.from_json(s.pop("name"), s) for s in splits),
        member=int(facts.get("member", -1)),
        imported=str(facts.get("facts", {}).get("imported", "")),
    )


def datasets_in(state: Path) -> dict[str, Shards]:
    """Every dataset of the log by fingerprint."""
    found = {m["fingerprint"]: path for path, m in files_like(state, DATASET)}
    return {key: Shards.from_json(read_json(path)["shards"]) for key, path in found.items()}
