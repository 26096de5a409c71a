"""What differs between the data a log was recorded against and the data that is there."""

from __future__ import annotations

from coverage_audit.model.shards import Shards


def describe_changes(recorded: Shards, present: Shards) -> list[str]:
    """One sentence per difference in names, row counts, sizes or order; empty if the fingerprints agree."""
    if recorded.fingerprint == present.fingerprint:
        return []
    before = {shard.name: shard for shard in recorded}
    after = {shard.name: shard for shard in present}
    said = [f"{name} is gone ({s.rows:,} rows)" for name, s in before.items() if name not in after]
    said += [f"{name} is new ({s.rows:,} rows)" for name, s in after.items() if name not in before]
    common = [(before[name], shard) for name, shard in after.items() if name in before]
    said += [f"{new.name} had {old.rows:,} rows and has {new.rows:,}" for old, new in common if old.rows != new.rows]
    said += [
        f"{new.name} had {_size(old.bytes)} and has {_size(new.bytes)}, with the same number of rows"
        for old, new in common
        if old.rows == new.rows and old.bytes != new.bytes
    ]
    if [n for n in before if n in after] != [n for n in after if n in before]:
        said.append("the shards come in another order, so sample ids mean other rows")
    return said


def _size(n_bytes: int | None) -> str:
    return "no file" if n_bytes is None else f"{n_bytes:,} bytes"
