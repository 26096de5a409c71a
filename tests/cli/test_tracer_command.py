"""coverage-audit tracer: what it writes, says and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner, Result

import coverage_audit as ca
from coverage_audit.cli.main import main
from coverage_audit.sources.dataset import Dataset


@pytest.fixture(autouse=True)
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_AUDIT_CONFIG", raising=False)
    Path("shards").mkdir()
    for i, rows in enumerate((40, 60)):
        np.save(f"shards/x_{i}.npy", np.zeros((rows, 8, 8), np.uint8))
        np.save(f"shards/y_{i}.npy", np.arange(rows) % 10)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["tracer", *args])


def test_it_says_where_it_is_and_what_comes_next() -> None:
    result = run("shards/x_*.npy", "--aligned", "shards/y_*.npy", "-o", "tracer/")

    assert result.exit_code == 0
    assert result.stderr == "coverage-audit: writing 7,200 bytes in 4 files to tracer/\n"
    assert result.stdout.splitlines() == [
        "tracer  tracer/ · 100 rows in 2 shards · 7,200 bytes in 4 files",
        "next: let the script read its data from tracer/, and run",
        "  coverage-audit run --data 'tracer/x_*.npy' --aligned 'tracer/y_*.npy' --identify tracer train.py",
        "or, in Python:",
        "  gen = ca.wrap(gen, ca.Dataset.open('tracer/x_*.npy'), log=\"run.parquet\")",
    ]
    assert sorted(p.name for p in Path("tracer").iterdir()) == [
        "tracer.json", "x_0.npy", "x_1.npy", "y_0.npy", "y_1.npy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "data"),
    [
        (["shards/x_0.npy"], "'tracer/x_0.npy'"),
        (["shards/x_0.npy", "shards/x_1.npy"], "['tracer/x_0.npy', 'tracer/x_1.npy']"),
        (["**/x_?.npy"], "['tracer/x_0.npy', 'tracer/x_1.npy']"),
        (["tokens.bin::uint16+4"], "'tracer/tokens.bin::uint16+4'"),
        (["data.json"], "['tracer/x_0.npy', 'tracer/x_1.npy']"),
    ],
)
def test_what_to_open_afterwards(paths: list[str], data: str) -> None:
    """Named as the original was, where that finds the same files."""
    np.arange(1000, dtype=np.uint16).tofile("tokens.bin")
    Dataset.open("shards/x_*.npy").save("data.json")

    result = run(*paths, "-o", "tracer")

    assert result.stdout.splitlines()[-1] == f'  gen = ca.wrap(gen, ca.Dataset.open({data}), log="run.parquet")'


def test_a_limit_for_tokens() -> None:
    np.save("tokens.npy", np.zeros(1000, np.uint16))

    assert run("tokens.npy", "--below", "65", "-o", "tracer").exit_code == 0
    assert int(np.load("tracer/tokens.npy").max()) <= 64


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["shards/x_*.npy"], "Missing option '--output' / '-o'."),
        (["-o", "t"], "Missing argument 'PATHS...'."),
        (["shards/*.npy", "-o", "t"], "'shards/*.npy' mixes files that describe the same rows"),
        (["shards/x_*.npy", "-o", "shards"], "{cwd}/shards is where the data itself lies: name a new or empty folder"),
        (["shards/x_*.npy", "-o", "t", "--below", "1"], "below=1: values below it are to tell rows apart"),
    ],
)
def test_refusals_write_nothing(tmp_path: Path, args: list[str], message: str) -> None:
    result = run(*args)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"coverage-audit: error: {message.format(cwd=tmp_path)}" in result.stderr
    assert "writing" not in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["shards"]


def test_help_says_what_it_is_for() -> None:
    assert "a loader is audited in CI without the real data." in " ".join(run("--help").output.split())


def test_a_loader_is_audited_over_it() -> None:
    """GIVEN a loader that shuffles all rows in memory, scales them and drops the last four WHEN run over the tracer

    THEN each batch has the rows it has, and the report says which four.
    """
    assert run("shards/x_*.npy", "-o", "tracer").exit_code == 0
    data = ca.Dataset.open("tracer/x_*.npy")
    x = np.concatenate([np.array(np.load(f"tracer/x_{i}.npy")) for i in range(2)])
    order = np.random.default_rng(0).permutation(100)

    def batches() -> Iterator[npt.NDArray[Any]]:
        for i in range(0, 96, 16):
            yield (x[order[i : i + 16]].astype(np.float32) / 255).transpose(0, 2, 1)

    loader = ca.wrap(batches(), data, "run.parquet", batch_size=16, identify="tracer")
    for _ in loader:
        pass
    loader.recorder.close()

    result = ca.audit("run.parquet")
    samples, steps = result.samples, result.steps
    assert samples["id"][samples["visits"] == 0].tolist() == sorted(order[96:].tolist())
    assert int(samples["visits"].max()) == 1
    assert steps["found"].tolist() == ["tracer"] * 6
    first = [int(name[2]) * 40 + row for name, row in zip(steps["first_shard"], steps["first_row"], strict=True)]
    assert first == order[:96:16].tolist()
