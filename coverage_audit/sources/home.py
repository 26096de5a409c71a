"""What tells one dataset's shards from those of another dataset that looks the same from its manifest."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from coverage_audit.sources.dataset import Dataset


def home_of(dataset: Dataset) -> str | None:
    """Two datasets recorded by one process have the same home only if equally named shards of both are the same data.

    For files that is a hash of the folder that their names are relative to (or of all their paths); for anything in
    memory it is the very object that :meth:`Dataset.of` made, so that only selections of it share its home. None where
    the paths cannot be followed (a circle of links).
    """
    paths = [path for path in dataset.paths if path is not None]
    if not paths or len(paths) < len(dataset.paths):
        return f"memory-{os.getpid()}-{id(dataset.shards.items)}"
    try:
        return _of_files(dataset, paths)
    except (OSError, RuntimeError):
        return None


def _of_files(dataset: Dataset, paths: list[Path]) -> str:
    roots = {_root(Path(os.path.abspath(p)), s.name) for p, s in zip(paths, dataset.shards, strict=True)}
    root = roots.pop() if len(roots) == 1 else None
    if root is not None:
        return f"folder-{_hash([str(root.resolve()), *sorted(set(dataset.members))])}"
    return f"files-{_hash([*(str(p.resolve()) for p in paths), *dataset.members])}"


def _root(path: Path, name: str) -> Path | None:
    """The folder below which a file has this name."""
    parts = Path(name.partition("::")[0]).parts
    return Path(*path.parts[: -len(parts)]) if parts and path.parts[-len(parts) :] == parts else None


def _hash(texts: list[str]) -> str:
    return hashlib.blake2b(json.dumps(texts).encode(), digest_size=8).hexdigest()
