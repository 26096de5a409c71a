"""Bytes per visit of a finished log, beside what no lossless code can go below: the entropy of the order."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import coverage_audit as ca
from benchmarks.effort import Effort
from benchmarks.runs import SHARD_ROWS, batches, record_epochs, sharded
from benchmarks.section import Section, Target
from coverage_audit.model.rows import Ints


def order_entropy(rows: int) -> float:
    """log2(rows!)/8: bytes that the order of ``rows`` rows costs at least."""
    return math.lgamma(rows + 1) / math.log(2) / 8


def entropy_inside_shards(rows: int) -> float:
    """Bytes for the order of shards of SHARD_ROWS rows, and for that of the rows inside each."""
    whole, rest = divmod(rows, SHARD_ROWS)
    return order_entropy(whole + (rest > 0)) + whole * order_entropy(SHARD_ROWS) + order_entropy(rest)


def shuffled(rows: int) -> Iterator[Ints]:
    return batches(np.random.default_rng(3).permutation(rows))


def shuffled_inside_shards(rows: int) -> Iterator[Ints]:
    rng = np.random.default_rng(3)
    starts = rng.permutation(np.arange(0, rows, SHARD_ROWS))
    return batches(np.concatenate([s + rng.permutation(min(SHARD_ROWS, rows - s)) for s in starts.tolist()]))


def slices(rows: int) -> Iterator[Ints]:
    for start in np.random.default_rng(3).permutation(np.arange(0, rows, SHARD_ROWS)).tolist():
        yield from batches(np.arange(start, min(start + SHARD_ROWS, rows)))


@dataclass(frozen=True, slots=True)
class Case:
    """``limit``: bytes below which the order cannot be stored; ``aim``: times the limit, or bytes a visit."""

    name: str
    order: Callable[[int], Iterator[Ints]]
    data: Callable[[int], ca.Dataset]
    limit: Callable[[int], float] | None
    aim: float


CASES = (
    Case("shuffled, one shard", shuffled, ca.Dataset.of, order_entropy, 1.10),
    Case("shuffled over 10k-row shards", shuffled, sharded, order_entropy, 1.10),
    Case("shuffled inside 10k-row shards", shuffled_inside_shards, sharded, entropy_inside_shards, 1.15),
    Case("slices of 256 of 10k-row shards", slices, sharded, None, 0.02),
)


def measure(effort: Effort) -> Section:
    """Record each order once, close, and look at the files."""
    rows = []
    targets = []
    for case in CASES:
        for n in effort.stored:
            size, seconds = _recorded(case, n)
            each = size / n
            bound = None if case.limit is None else case.limit(n) / n
            over = None if bound is None else each / bound
            rows.append(
                (
                    case.name,
                    f"{n:,}",
                    f"{each:.3f}",
                    "–" if bound is None else f"{bound:.3f}",
                    "–" if over is None else f"{over:.3f}",
                    f"{n / seconds / 1e6:.1f}",
                )
            )
            if over is not None:
                targets.append(
                    Target(f"{case.name}, {n:,} rows: ≤ {case.aim:.2f} × the limit", f"{over:.3f} ×", over <= case.aim)
                )
            else:
                aim = f"{case.name}, {n:,} rows: ≤ {case.aim:g} bytes a visit"
                targets.append(Target(aim, f"{each:.4f}", each <= case.aim))
    return Section(
        title="Storage: bytes per visit of the finished log",
        columns=("order", "rows", "bytes / visit", "limit", "× limit", "M visits/s recorded"),
        rows=tuple(rows),
        targets=tuple(targets),
        notes="All files of run.parquet, footers included. Limit: log2(N!)/N/8, inside shards accordingly; where "
        "slices are read in order it is next to nothing. The speed is recording and closing, Parquet parts included.",
    )


def _recorded(case: Case, rows: int) -> tuple[int, float]:
    """(bytes of the log, seconds from the first step to the finished parts)."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run.parquet"
        began = time.perf_counter()
        record_epochs(log, case.data(rows), iter([case.order(rows)]))
        seconds = time.perf_counter() - began
        return sum(path.stat().st_size for path in log.iterdir()), seconds
