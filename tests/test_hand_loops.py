"""Training loops written by hand, with ca.Recorder: plain PyTorch with checkpoints, JAX's style, accumulation.

The scripts of hand_loops/ are what the documentation shows; here they run as they are.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import coverage_audit as ca

SCRIPTS = Path(__file__).parent / "hand_loops"


def run(name: str, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(SCRIPTS / name), *args]
    return subprocess.run(script, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def epochs(result: ca.AuditResult) -> list[list[object]]:
    shown: list[list[object]] = result.epochs[["epoch", "complete", "steps", "missed", "repeated"]].values.tolist()
    return shown


def test_jax_style(tmp_path: Path) -> None:
    """1000 = 31 · 32 + 8: the contract lets a pass drop the last 8 rows, and each epoch drops others."""
    assert (run("jax_style.py", tmp_path).stderr) == ""
    result = ca.audit(tmp_path / "run.parquet")
    assert epochs(result) == [[e, True, 31, 8, 0] for e in range(3)]
    assert result.verdict is ca.Verdict.PASS
    assert [f.code for f in result.findings if f.severity.value in ("error", "warning")] == []


def test_accumulation_counts_micro_batches_as_steps(tmp_path: Path) -> None:
    assert (run("accumulation.py", tmp_path).stderr) == ""
    result = ca.audit(tmp_path / "run.parquet")
    assert epochs(result) == [[0, True, 63, 0, 0], [1, True, 63, 0, 0]]
    assert result.verdict is ca.Verdict.PASS
    assert [f.code for f in result.findings if f.severity.value in ("error", "warning")] == []


@pytest.mark.parametrize("killed_at", [None, 2])
def test_plain_pytorch(killed_at: int | None, tmp_path: Path) -> None:
    """GIVEN a run that is killed in its last epoch, started again from the weights saved before it
    THEN the final weights saw every row once an epoch."""
    if killed_at is not None:
        assert run("torch_loop.py", tmp_path, str(killed_at)).stderr == "killed\n"
        assert ca.audit(tmp_path / "run.parquet").epochs["complete"].tolist() == [True, True, False]
    assert run("torch_loop.py", tmp_path).stderr == ""
    result = ca.audit(tmp_path / "run.parquet")
    assert epochs(result) == [[e, True, 32, 0, 0] for e in range(3)]
    assert result.verdict is ca.Verdict.PASS
    assert result.run.attempts == (1 if killed_at is None else 2)
    assert [f.code for f in result.findings if f.severity.value in ("error", "warning")] == []
