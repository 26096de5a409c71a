"""The same steps as a log of every format, as people write them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Steps = Sequence[tuple[int, Sequence[int]]]
"""(step number, its ids), of one rank."""


def write_olmo(path: Path, steps: Iterable[tuple[int, Sequence[int]]]) -> Path:
    """As OLMo's trainer does: a gzipped line per step."""
    with gzip.open(path, "wt") as file:
        for step, ids in steps:
            file.write(f"{step}\t" + "\t".join(str(i) for i in ids) + "\n")
    return path


def _pairs(steps: Steps) -> list[tuple[int, int]]:
    return [(step, i) for step, ids in steps for i in ids]


def _text(path: Path, header: str, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return path


def _csv_pairs(folder: Path, steps: Steps) -> tuple[str, Path]:
    return "csv", _text(folder / "pairs.csv", "step,id", (f"{s},{i}" for s, i in _pairs(steps)))


def _csv_lists(folder: Path, steps: Steps) -> tuple[str, Path]:
    return "csv", _text(folder / "lists.csv", "global_step,indices", (f'{s},"{list(ids)}"' for s, ids in steps))


def _tsv_lists(folder: Path, steps: Steps) -> tuple[str, Path]:
    lines = (f"0.5\t{s}\t{' '.join(map(str, ids))}" for s, ids in steps)
    return "tsv", _text(folder / "lists.tsv", "loss\tstep\tids", lines)


def _jsonl_pairs(folder: Path, steps: Steps) -> tuple[str, Path]:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps({"step": s, "index": i, "loss": 0.1}) + "\n" for s, i in _pairs(steps)))
    return "jsonl", path


def _jsonl_lists(folder: Path, steps: Steps) -> tuple[str, Path]:
    path = folder / "lists.jsonl"
    path.write_text("".join(json.dumps({"ids": list(ids), "step": s}) + "\n" for s, ids in steps))
    return "jsonl", path


def _parquet_pairs(folder: Path, steps: Steps) -> tuple[str, Path]:
    pairs = np.array(_pairs(steps), np.int32).reshape(-1, 2)
    pq.write_table(pa.table({"step": pairs[:, 0], "id": pairs[:, 1]}), folder / "pairs.parquet", row_group_size=7)
    return "parquet", folder / "pairs.parquet"


def _parquet_lists(folder: Path, steps: Steps) -> tuple[str, Path]:
    lists = pa.array([list(ids) for _, ids in steps], pa.list_(pa.uint32()))
    pq.write_table(pa.table({"step": [s for s, _ in steps], "ids": lists}), folder / "lists.parquet")
    return "parquet", folder / "lists.parquet"


def _npy_pairs(folder: Path, steps: Steps) -> tuple[str, Path]:
    np.save(folder / "pairs.npy", np.array(_pairs(steps), np.int64).reshape(-1, 2))
    return "npy", folder / "pairs.npy"


def _olmo(folder: Path, steps: Steps) -> tuple[str, Path]:
    return "olmo", write_olmo(folder / "rank0.tsv.gz", steps)


FORMS: dict[str, Callable[[Path, Steps], tuple[str, Path]]] = {
    "csv, a line per id": _csv_pairs,
    "csv, lists": _csv_lists,
    "tsv, lists": _tsv_lists,
    "jsonl, a line per id": _jsonl_pairs,
    "jsonl, lists": _jsonl_lists,
    "parquet, a row per id": _parquet_pairs,
    "parquet, lists": _parquet_lists,
    "npy, pairs": _npy_pairs,
    "olmo": _olmo,
}
"""Each writes its file(s) into a folder and returns the format's name and the path."""
