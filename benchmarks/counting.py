"""Counting a log of many shuffled epochs, beside the ways people have for it already."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Answer
from benchmarks.effort import Effort
from benchmarks.runs import damaged_epochs, record_epochs, record_ranks, record_restart, sharded, sliced_epochs
from benchmarks.section import Section, Target


@dataclass(frozen=True, slots=True)
class Way:
    """``name`` in contenders.py, on one of the logs: the finished one, the journals of a killed run, the same batches
    of several ranks or with a restart; or slices in place of shuffled rows."""

    title: str
    name: str
    log: str = "finished"


DECODE, COUNTING, AUDIT = Way("plain decoding", "decode"), Way("counting", "counting"), Way("audit()", "audit")
PANDAS = (Way("pandas groupby (shard, row)", "pandas_pairs"), Way("pandas groupby, one key", "pandas_ids"))
OTHERS = (Way("DuckDB", "duckdb"), Way("Polars", "polars"))
RANKS = 16
WAYS = (
    DECODE, COUNTING, AUDIT, Way("audit(), killed run", "audit", "killed"),
    Way(f"counting, {RANKS} ranks", "counting", "ranks"), Way("counting, one restart", "counting", "restart"),
    Way("counting, slices", "counting", "slices"), *PANDAS, *OTHERS,
)  # fmt: skip

AIM_PANDAS = 5.0
AIM_DECODE = 3.0
AIM_OTHERS = 3.0
AIM_MEMORY_MB = 400


def measure(effort: Effort) -> Section:
    """Record one run, then let every way count it, in turns, each in a process of its own."""
    seconds: dict[Way, list[float]] = {way: [] for way in WAYS}
    peak = dict.fromkeys(WAYS, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        logs = {way.log: Path(folder) / f"{way.log}.parquet" for way in WAYS}
        _record(logs, effort)
        truth = [[effort.rows - epoch, epoch] for epoch in range(effort.epochs)]
        of_slices = [[effort.rows, 0]] * effort.epochs
        for _ in range(effort.rounds):
            for way in WAYS:
                took, memory = _alone(way, logs[way.log], of_slices if way.log == "slices" else truth)
                seconds[way].append(took)
                peak[way] = max(peak[way], memory)
    median = {way: statistics.median(times) for way, times in seconds.items()}
    visits = effort.rows * effort.epochs
    return Section(
        title=f"Counting: {visits:,} visits ({effort.epochs} epochs of {effort.rows:,} shuffled rows)",
        columns=("way", "seconds", "fastest - slowest", "× decoding", "× counting", "peak MB"),
        rows=tuple(
            (
                way.title,
                f"{median[way]:.2f}",
                f"{min(seconds[way]):.2f} - {max(seconds[way]):.2f}",
                f"{median[way] / median[DECODE]:.1f}",
                f"{median[way] / median[COUNTING]:.1f}",
                f"{peak[way]:,.0f}",
            )
            for way in WAYS
        ),
        targets=_targets(median, peak, effort),
        notes="Medians of interleaved runs, each alone in a new process, file cache warm, as many threads as each way "
        "takes by default. All ways gave the very same answer, or this would have stopped. Ours also finds passes, "
        "positions, order, missed ranges and per-row totals. The killed run left journals only; with the restart one "
        "epoch was done twice.",
    )


def _record(logs: dict[str, Path], effort: Effort) -> None:
    data = sharded(effort.rows)
    epochs = [list(epoch) for epoch in damaged_epochs(effort.rows, effort.epochs)]
    record_epochs(logs["finished"], data, map(iter, epochs), logs["killed"])
    record_ranks(logs["ranks"], data, epochs, RANKS)
    record_restart(logs["restart"], data, epochs)
    record_epochs(logs["slices"], data, sliced_epochs(effort.rows, effort.epochs))


def _targets(median: dict[Way, float], peak: dict[Way, float], effort: Effort) -> tuple[Target, ...]:
    ours = median[COUNTING]
    allowed = AIM_MEMORY_MB + effort.rows / 1e6
    out = []
    for way in PANDAS:
        ratio = median[way] / ours
        out.append(
            Target(f"counting ≥ {AIM_PANDAS:g} × faster than {way.title}", f"{ratio:.1f} ×", ratio >= AIM_PANDAS)
        )
    decoding = ours / median[DECODE]
    out.append(Target(f"counting ≤ {AIM_DECODE:g} × decoding", f"{decoding:.1f} ×", decoding <= AIM_DECODE))
    for way in OTHERS:
        ratio = median[way] / ours
        out.append(
            Target(f"counting ≥ {AIM_OTHERS:g} × faster than {way.title}", f"{ratio:.1f} ×", ratio >= AIM_OTHERS)
        )
    memory = peak[COUNTING]
    out.append(Target(f"counting peaks at ≤ {allowed:,.0f} MB", f"{memory:,.0f} MB", memory <= allowed))
    return tuple(out)


def _alone(way: Way, log: Path, truth: Answer) -> tuple[float, float]:
    """(seconds, peak MB). Raises ``ValueError`` if the answer is not the truth."""
    command = [sys.executable, "-m", "benchmarks.contenders", way.name, str(log)]
    root = Path(__file__).parent.parent
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=root).stdout)
    if way is not DECODE and said["answer"] != truth:
        raise ValueError(f"{way.title} counted {said['answer']}, and the run was {truth}")
    return said["seconds"], said["peak_mb"]
