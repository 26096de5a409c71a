"""coverage-audit plan: the report before training, and the value to set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from coverage_audit.cli.main import main
from coverage_audit.sources.dataset import Dataset

STORY = {"x_0": 1000, "x_1": 937, "x_2": 1003, "x_3": 250}


@pytest.fixture(autouse=True)
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_AUDIT_CONFIG", raising=False)
    for name, rows in STORY.items():
        np.save(f"{name}.npy", np.zeros(rows))


def run(text: str) -> Result:
    return CliRunner().invoke(main, ["plan", *text.split()])


def test_the_textbook_value_is_wrong_for_partial_batches_per_shard() -> None:
    result = run("x_*.npy --batch-size 64 --steps-per-epoch 50 --epochs 3 --remainder per-shard")

    assert result.exit_code == 2
    lines = result.output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.split()[:2] == ["epoch", "steps"])
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["0", "50", "51", "3,132", "3,132", "58", "0", "batch", "0", "of", "pass", "0"],
        ["1", "50", "51", "3,126", "3,126", "64", "0", "batch", "50", "of", "pass", "0"],
        ["2", "50", "51", "3,126", "3,126", "64", "0", "batch", "49", "of", "pass", "1"],
    ]
    assert any(line.startswith("FAIL  CA601 short-epoch") for line in lines)
    assert lines[-1] == "set: steps_per_epoch = 51  (one pass: ceil(n / 64) per shard: 16 + 15 + 16 + 4)"


def test_with_the_value_it_says_it_passes() -> None:
    result = run("x_*.npy --batch-size 64 --steps-per-epoch 51 --epochs 3 --remainder per-shard --exit-zero")

    assert (result.exit_code, "FAIL" in result.output) == (0, False)
    assert run("x_*.npy -b 64 --remainder per-shard").exit_code == 0


@pytest.mark.parametrize(
    ("args", "status", "last"),
    [
        ("--rows 3190 -b 64", 0, "50  (one pass: ceil(3,190 / 64))"),
        ("--rows 3190 -b 64 --steps-per-epoch 49", 2, "50  (one pass: ceil(3,190 / 64))"),
        ("--rows 3190 -b 64 --steps-per-epoch 49 --exit-zero", 0, "50  (one pass: ceil(3,190 / 64))"),
        ("--rows 3190 -b 64 --drop-remainder", 2, "49  (one pass: floor(3,190 / 64))"),
        ("--rows 3190 -b 64 --drop-remainder --contract drop-remainder", 0, "49  (one pass: floor(3,190 / 64))"),
        ("--rows 3190 -b 64 --steps-per-epoch 10 --epochs 5 --per pass", 0, "50  (one pass: ceil(3,190 / 64))"),
        (
            "--rows 10 --rows 7 -b 5 --remainder per-shard --restarting",
            0,
            "4  (one pass: ceil(n / 5) per shard: 2 + 2)",
        ),
    ],
)
def test_status_and_advice(args: str, status: int, last: str) -> None:
    result = run(args)

    assert (result.exit_code, result.stderr) == (status, "")
    assert result.stdout.splitlines()[-1] == f"set: steps_per_epoch = {last}"


def test_a_manifest_and_a_selection_are_a_dataset() -> None:
    Dataset.open("x_*.npy").select(range(100)).save("data.json")

    assert run("data.json -b 10").stdout.splitlines()[-1] == "set: steps_per_epoch = 10  (one pass: ceil(100 / 10))"


def test_a_document_on_stdout_stays_one() -> None:
    result = run("--rows 3190 -b 64 --steps-per-epoch 49 -f json")

    assert json.loads(result.stdout)["verdict"] == "fail"
    assert result.stderr == "set: steps_per_epoch = 50  (one pass: ceil(3,190 / 64))\n"


def test_a_document_in_a_file() -> None:
    result = run("--rows 3190 -b 64 -f json:plan.json")

    assert result.stdout == "set: steps_per_epoch = 50  (one pass: ceil(3,190 / 64))\n"
    epochs = json.loads(Path("plan.json").read_text())["splits"][0]["epochs"]
    assert [(e["steps"], e["needed"], e["missed"]) for e in epochs] == [(50, 50, 0)]


def test_the_configuration_applies() -> None:
    Path("coverage-audit.toml").write_text("exit-zero = true\n")

    assert run("--rows 3190 -b 64 --steps-per-epoch 49").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("-b 64", "0 PATHS and 0 --rows were given: give either, so that the rows are known [bad-plan]"),
        (
            "x_0.npy --rows 3 -b 64",
            "1 PATHS and 1 --rows were given: give either, so that the rows are known [bad-plan]",
        ),
        ("--rows -3 -b 64", "rows is -3: a number of rows is 0 or more [negative-rows]"),
        (
            "--rows 0 -b 64",
            "0 rows give no batch at all, the data is empty: check the data, batch_size and drop_remainder [bad-plan]",
        ),
        (
            "--rows 3 -b 2 --steps-per-epoch 0",
            "steps_per_epoch=0 is impossible: give a whole number, 1 or more [bad-plan]",
        ),
        ("z_*.npy -b 2", "'z_*.npy' matches no file: check the path, or quote the pattern [no-files]"),
    ],
)
def test_refused(args: str, message: str) -> None:
    result = run(args)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"coverage-audit: error: {message}\n")


def test_a_trillion_rows_still_get_the_value() -> None:
    result = run("--rows 1000000000000 -b 4096")

    assert result.exit_code == 1
    assert "one pass takes 244,140,625 steps, so steps_per_epoch = 244140625 is right" in result.stderr
