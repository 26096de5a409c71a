"""What a part's footer says beside its columns, so that parts can be read without their state folder.

Keys of the Parquet metadata, each a JSON text: ``coverage_audit.run`` (run id, schema version, stem, roll, number of
rolls, names of the splits), ``.writer`` (the writer's own facts), ``.marks`` (the rare events of that journal),
``.datasets`` (first part only) and ``.summary`` (last part only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coverage_audit.errors import LogError
from coverage_audit.model.event import Mark, MarkKind
from coverage_audit.model.shards import Shards
from coverage_audit.runlog.schema import SCHEMA_VERSION, VISITS
from coverage_audit.runlog.summary import Summary

_PREFIX = "coverage_audit."


@dataclass(frozen=True, slots=True)
class Footer:
    """One part: ``roll`` of ``n_rolls`` of the writer ``stem``."""

    run_id: str
    stem: str
    roll: int
    n_rolls: int
    splits: tuple[str, ...]
    writer: Mapping[str, Any]
    marks: tuple[Mark, ...] = ()
    datasets: Mapping[str, Shards] = field(default_factory=dict)
    summary: Summary | None = None
    version: int = SCHEMA_VERSION

    def to_metadata(self) -> dict[str, str]:
        run = {
            "run_id": self.run_id,
            "schema_version": self.version,
            "stem": self.stem,
            "roll": self.roll,
            "n_rolls": self.n_rolls,
            "splits": list(self.splits),
        }
        facts: dict[str, Any] = {
            "run": run,
            "writer": dict(self.writer),
            "marks": [[m.kind.value, m.split, m.time_ns, m.data] for m in self.marks],
        }
        if self.datasets:
            facts["datasets"] = {key: _by_column(shards.to_json()) for key, shards in self.datasets.items()}
        if self.summary is not None:
            facts["summary"] = self.summary.to_json()
        return {_PREFIX + key: json.dumps(value, default=str, separators=(",", ":")) for key, value in facts.items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[bytes, bytes]) -> Footer:
        """Raises ``KeyError``, ``ValueError`` or ``TypeError`` for metadata that is not ours."""
        facts = {
            key.decode().removeprefix(_PREFIX): json.loads(value)
            for key, value in metadata.items()
            if key.startswith(_PREFIX.encode())
        }
        run = facts["run"]
        version = int(run["schema_version"])
        if version > SCHEMA_VERSION:
            return cls(run["run_id"], run["stem"], run["roll"], run["n_rolls"], (), {}, version=version)
        return cls(
            run_id=run["run_id"],
            stem=run["stem"],
            roll=run["roll"],
            n_rolls=run["n_rolls"],
            splits=tuple(run["splits"]),
            writer=facts["writer"],
            marks=tuple(Mark(MarkKind(kind), split, time_ns, data) for kind, split, time_ns, data in facts["marks"]),
            datasets={key: Shards.from_json(_by_shard(columns)) for key, columns in facts.get("datasets", {}).items()},
            summary=Summary.from_json(facts["summary"]) if "summary" in facts else None,
            version=version,
        )


def _by_column(shards: list[dict[str, Any]]) -> dict[str, Any]:
    """What many shards say alike, said once: fact -> one value per shard, or None where no shard has it."""
    names = tuple(shards[0]) if shards else ()
    columns = {name: [shard[name] for shard in shards] for name in names}
    return {name: None if all(v is None for v in values) else values for name, values in columns.items()}


def _by_shard(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Inverse of :func:`_by_column`."""
    n = len(columns["name"]) if columns else 0
    return [{name: None if values is None else values[at] for name, values in columns.items()} for at in range(n)]


def read_footer(part: Path) -> Footer:
    """The footer of a part. Raises :class:`LogError`: newer-schema, or damaged-part."""
    try:
        footer = Footer.from_metadata(pq.read_metadata(part).metadata or {})
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise damaged(part, error) from error
    if footer.version > SCHEMA_VERSION:
        raise LogError(
            f"{part} is of schema {footer.version}, this version reads up to {SCHEMA_VERSION}: upgrade coverage-audit",
            slug="newer-schema",
        )
    return footer


def damaged(part: Path, error: Exception) -> LogError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return LogError(
        f"{part} is damaged or cut off ({type(error).__name__}: {reason}): restore it from a copy, or move it away to "
        "read the rest of the log",
        slug="damaged-part",
    )


def arrow_schema() -> pa.Schema:
    """The columns of :mod:`~coverage_audit.runlog.schema` with their meaning as field metadata ``comment``."""
    types = {"dictionary": pa.dictionary(pa.int32(), pa.string())}
    fields = [
        pa.field(c.name, types.get(c.type) or getattr(pa, c.type)(), nullable=False, metadata={"comment": c.meaning})
        for c in VISITS
    ]
    return pa.schema(fields)
