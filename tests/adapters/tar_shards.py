"""Small WebDataset shards in which each sample holds its own row number."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np

SIZES = (10, 7, 12, 8, 3)
ROWS = sum(SIZES)


def write_shards(folder: Path, sizes: tuple[int, ...] = SIZES) -> list[str]:
    """Shards s-0.tar, ...: per sample ``x.npy`` (row and its double), ``cls`` (the row) and ``json``; keys begin anew
    in every shard, so only shard and key together say which sample it is. Returns their paths."""
    row, paths = 0, []
    for shard, size in enumerate(sizes):
        path = folder / f"s-{shard}.tar"
        with tarfile.open(path, "w") as archive:
            for number in range(size):
                array = io.BytesIO()
                np.save(array, np.array([row, 2 * row], np.float32))
                members = {"x.npy": array.getvalue(), "cls": str(row).encode(), "json": json.dumps([row]).encode()}
                for suffix, data in members.items():
                    member = tarfile.TarInfo(f"part/{number:03d}.{suffix}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
                row += 1
        paths.append(str(path))
    return paths
