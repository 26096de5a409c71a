"""coverage-audit demo: really trains, really records, and says what it is."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FIGURES = {f"train-{f}.{k}" for f in ("visits", "epochs", "position") for k in ("png", "svg")}
RUN = "from coverage_audit.cli.main import main; main(['demo'])"


def demo(folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_AUDIT", "KERAS"))}
    return subprocess.run(
        [sys.executable, "-c", before + RUN], capture_output=True, text=True, check=False, cwd=folder, env=environment,
        timeout=200,
    )  # fmt: skip


def test_without_a_framework_it_trains_in_numpy_and_counts_yields(tmp_path: Path) -> None:
    done = demo(tmp_path, "import sys; sys.modules['keras'] = None; ")
    assert (done.returncode, done.stderr) == (0, "")
    assert "a small linear model in numpy (no Keras here)" in done.stdout
    assert done.stdout.count("counts yields, not trained steps") == 2
    assert "FAIL  CA601 short-epoch   50 steps, one pass of this loader needs 51\n" in done.stdout
    assert "PASS  every one of 3,190 rows seen exactly once in each of 3 epochs, 51 steps\n" in done.stdout
    assert "demo: this command exits 0 because the FAIL is what it shows" in done.stdout
    for name in ("textbook", "mended"):
        assert set(os.listdir(tmp_path / "demo-run/figures" / name)) == FIGURES
    assert sorted(os.listdir(tmp_path / "demo-run/shards")) == [f"{a}_{i}.npy" for a in "xy" for i in range(4)]
    # AND the log says it again, with the exit status of CI
    again = [sys.executable, "-m", "coverage_audit", "report", "demo-run/textbook.parquet"]
    assert subprocess.run(again, cwd=tmp_path, capture_output=True, check=False).returncode == 2


@pytest.mark.skipif(
    importlib.util.find_spec("keras") is None or importlib.util.find_spec("tensorflow") is None,
    reason="needs Keras on TensorFlow",
)
def test_with_keras_it_counts_trained_steps(tmp_path: Path) -> None:
    done = demo(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a small Keras model (tensorflow backend)" in done.stdout
    assert done.stdout.count("trained steps (told by the trainer)") == 2
    assert "explains all 227 missed and 58 repeated row-epochs" in done.stdout
    assert "PASS  every one of 3,190 rows seen exactly once in each of 3 epochs, 51 steps\n" in done.stdout


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "demo-run").mkdir()
    (tmp_path / "demo-run/shards").write_text("")
    done = demo(tmp_path, "import sys; sys.modules['keras'] = None; ")
    assert done.returncode == 1
    assert done.stderr.startswith("coverage-audit: error: demo-run")
    assert "[unwritable-report]" in done.stderr
