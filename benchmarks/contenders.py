"""Ways to count a run log, each run alone in a process: ``python -m benchmarks.contenders NAME LOG``.

Every way but ``decode`` answers the same question: per epoch, the rows visited, and the visits beyond the first of a
row. Imports and a look at the first page are not timed. Prints JSON: seconds, peak_mb (of the whole process, imports
included), answer.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = list[list[int]]
"""Per epoch (rows visited, visits beyond the first of a row)."""

KEYS = ["epoch", "shard", "row"]


def decode(log: str) -> Callable[[], Answer]:
    """Plain decoding of the columns that counting needs, a record batch at a time."""
    import pyarrow.parquet as pq

    parts = sorted(Path(log).iterdir())

    def run() -> Answer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for _ in file.iter_batches(batch_size=1 << 18, columns=[*KEYS, "count"]):
                    pass
        return []

    return run


def counting(log: str) -> Callable[[], Answer]:
    """Our counting: epochs, passes, positions, repeats, per-row totals."""
    from coverage_audit.counts.load import sources_of
    from coverage_audit.counts.local import count_split
    from coverage_audit.runlog.reader import read_log

    def run() -> Answer:
        counts = [count_split(source) for source in sources_of([read_log(log)], None, lambda *_: [])]
        return [[epoch.unique, epoch.surplus] for epoch in counts[0].epochs]

    return run


def audit(log: str) -> Callable[[], Answer]:
    """``ca.audit()``: counting, all rules, claims, gates, verdict."""
    from coverage_audit.auditor import audit as judge
    from coverage_audit.rules._rule import all_rules

    all_rules()  # imports one file per rule

    def run() -> Answer:
        return [[epoch.unique, epoch.surplus] for epoch in judge(log).splits[0].counts.epochs]

    return run


def pandas_pairs(log: str) -> Callable[[], Answer]:
    """One groupby (shard, row) per epoch."""
    import pandas as pd

    def run() -> Answer:
        visits = pd.read_parquet(log, columns=KEYS)
        out = []
        for _, epoch in visits.groupby("epoch"):
            size = epoch.groupby(["shard", "row"]).size()
            out.append([len(size), int(size.sum()) - len(size)])
        return out

    return run


def pandas_ids(log: str) -> Callable[[], Answer]:
    """The same on one key made by hand: what somebody who knows the shards' sizes would write."""
    import pandas as pd

    from benchmarks.runs import SHARD_ROWS

    def run() -> Answer:
        visits = pd.read_parquet(log, columns=KEYS)
        visits["id"] = visits["shard"] * SHARD_ROWS + visits["row"]
        out = []
        for _, epoch in visits.groupby("epoch"):
            size = epoch.groupby("id").size()
            out.append([len(size), int(size.sum()) - len(size)])
        return out

    return run


def duckdb(log: str) -> Callable[[], Answer]:
    """GROUP BY with all of DuckDB's threads."""
    import duckdb as db

    query = """
        SELECT count(*), sum(n) - count(*) FROM
        (SELECT epoch, shard, row, count(*) AS n FROM read_parquet(?) GROUP BY epoch, shard, row)
        GROUP BY epoch ORDER BY epoch
    """

    def run() -> Answer:
        return [[int(a), int(b)] for a, b in db.execute(query, [f"{log}/*.parquet"]).fetchall()]

    return run


def polars(log: str) -> Callable[[], Answer]:
    """group_by with all of Polars' threads, streaming."""
    import polars as pl

    def run() -> Answer:
        sizes = pl.scan_parquet(f"{log}/*.parquet").group_by(KEYS).len()
        per_epoch = sizes.group_by("epoch").agg(pl.len().alias("rows"), pl.col("len").sum().alias("visits"))
        frame = per_epoch.sort("epoch").collect(engine="streaming")
        return [[int(rows), int(visits) - int(rows)] for _, rows, visits in frame.iter_rows()]

    return run


CONTENDERS: dict[str, Callable[[str], Callable[[], Answer]]] = {
    "decode": decode,
    "counting": counting,
    "audit": audit,
    "pandas_pairs": pandas_pairs,
    "pandas_ids": pandas_ids,
    "duckdb": duckdb,
    "polars": polars,
}


def main(name: str, log: str) -> dict[str, Any]:
    run = CONTENDERS[name](log)
    began = time.perf_counter()
    answer = run()
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_mb": peak_mb(), "answer": answer}


def peak_mb() -> float:
    """The most memory this process ever had resident. Linux lets ``ru_maxrss`` begin with that of the parent."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux: ru_maxrss is in bytes on macOS, else in kB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return float(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024  # type: ignore[index]  # always there


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
