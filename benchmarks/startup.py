"""How long people wait for nothing: importing the package, and a report on a small log."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.effort import Effort
from benchmarks.runs import damaged_epochs, record_epochs, sharded
from benchmarks.section import Section

MODULE = [sys.executable, "-m", "coverage_audit"]


def measure(effort: Effort) -> Section:
    """Wall time of whole processes, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "run.parquet"
        record_epochs(log, sharded(2_000, 500), damaged_epochs(2_000, 3))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import numpy": [sys.executable, "-c", "import numpy"],
            "import pandas, pyarrow.parquet": [sys.executable, "-c", "import pandas, pyarrow.parquet"],
            "import coverage_audit": [sys.executable, "-c", "import coverage_audit"],
            "import what records (wrap, Dataset)": [
                sys.executable, "-c", "import coverage_audit as ca; ca.wrap; ca.Dataset; ca.Recorder"
            ],
            "import what audits (audit)": [sys.executable, "-c", "import coverage_audit as ca; ca.audit"],
            "coverage-audit --version": [*MODULE, "--version"],
            "coverage-audit report, 6,000 visits": [*MODULE, "report", str(log)],
        }  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(2 * effort.rounds + 1):
            for name, command in commands.items():
                began = time.perf_counter()
                done = subprocess.run(command, check=False, capture_output=True, cwd=folder)
                times[name].append(time.perf_counter() - began)
                if done.returncode not in (0, 2):  # 2: a gate failed, which is what this log is for
                    raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    median = {name: 1000 * statistics.median(values) for name, values in times.items()}
    bare = median["python -c pass"]
    return Section(
        title="Start: ms of a whole process",
        columns=("process", "ms", "over python -c pass"),
        rows=tuple((name, f"{value:.0f}", f"{value - bare:+.0f}") for name, value in median.items()),
        targets=(),
        notes="Medians of interleaved runs with a warm file cache. numpy, pandas and pyarrow are there to see whose "
        "time it is.",
    )
