"""A run that goes on with another number of ranks: real processes, as an elastic launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import coverage_audit as ca

RANK = """
import sys
import numpy as np
import coverage_audit as ca

log, tag, rank, world = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
orders = [np.random.default_rng(seed).permutation(240) for seed in range(3)]
parts = {"": [orders[0], orders[1][:120]], "half": [orders[1][120:], orders[2]]}[tag]
rec = ca.Recorder(log, ca.Dataset.of(240), batch_size=5, resume=True, data_parallel=(rank, world))
if tag:
    rec.restored(tag)
for rows in parts:
    with rec.epoch():
        mine = rows[rank::world]
        for at in range(0, len(mine), 5):
            rec.step(mine[at : at + 5])
        if len(rows) == 120 and not tag:
            rec.checkpoint("half")
rec.close()
"""


def launch(log: Path, tag: str, world: int, restart: int) -> None:
    env = {**os.environ, "TORCHELASTIC_RUN_ID": "elastic", "TORCHELASTIC_RESTART_COUNT": str(restart)}
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(log), tag, str(r), str(world)], env=env) for r in range(world)
    ]
    assert [r.wait(timeout=60) for r in ranks] == [0] * world


def test_two_ranks_then_three(tmp_path: Path) -> None:
    """GIVEN a checkpoint in mid-epoch WHEN three ranks divide what two left THEN all is right, and nobody is uneven."""
    log = tmp_path / "run.parquet"
    launch(log, "", 2, 0)
    launch(log, "half", 3, 1)
    result = ca.audit(log)
    assert [f.code for f in result.findings if f.severity.value != "info"] == []
    assert (result.verdict.value, [e.missed.size for e in result.splits[0].counts.epochs]) == ("pass", [0, 0, 0])
