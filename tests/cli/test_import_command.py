"""coverage-audit import: what it says, writes and refuses; the report reads what it wrote."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import coverage_audit as ca
from coverage_audit.cli.import_log import find_files
from coverage_audit.cli.main import main
from coverage_audit.errors import LogError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_AUDIT_CONFIG", raising=False)


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def write_indices(epochs: int = 2, ranks: int = 2) -> None:
    """OLMo's data-indices of a run over 24 rows, 3 a rank and step, every rank its own share."""
    Path("run/data-indices").mkdir(parents=True)
    for rank in range(ranks):
        lines = []
        for epoch in range(epochs):
            order = np.random.default_rng(epoch).permutation(24).reshape(-1, ranks, 3)
            lines += [f"{epoch * len(order) + i + 1}\t" + "\t".join(map(str, ids[rank])) for i, ids in enumerate(order)]
        with gzip.open(f"run/data-indices/rank{rank}.tsv.gz", "wt") as file:
            file.write("\n".join(lines) + "\n")


def test_olmo_indices_of_two_ranks_become_a_run_log() -> None:
    write_indices()
    result = run("import", "olmo", "run/data-indices", "--rows", "24", "-b", "3", "--steps-per-epoch", "4")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "imported  run.parquet · 16 steps · 48 ids · 2 ranks",
        "next: coverage-audit report run.parquet",
    ]
    report = run("report", "-f", "total")
    assert (report.exit_code, report.stdout) == (0, "100\n")


def test_the_report_names_what_was_missed() -> None:
    """GIVEN 10 rows of 12 seen in each of two epochs THEN the report says which, and fails."""
    np.save("order.npy", np.array([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]] * 2))
    result = run("import", "npy", "order.npy", "--rows", "12", "--steps-per-epoch", "2", "-o", "logs/run.parquet")
    assert result.exit_code == 0
    report = run("report", "logs/run.parquet", "-f", "text")
    assert report.exit_code == 2
    assert "data 10–11 (every epoch)" in report.stdout


def test_the_data_may_be_files() -> None:
    Path("shards").mkdir()
    for i, rows in enumerate((5, 3)):
        np.save(f"shards/x_{i}.npy", np.zeros((rows, 2)))
    Path("log.csv").write_text("epoch,step,ids\n0,0,7 6 5 4\n0,1,3 2 1 0\n")
    assert run("import", "csv", "log.csv", "--data", "shards/x_*.npy").exit_code == 0
    result = ca.audit("run.parquet")
    assert (result.verdict, result.shards["shard"].tolist()) == (ca.Verdict.PASS, ["x_0.npy", "x_1.npy"])


def test_without_data_the_report_is_given_it() -> None:
    Path("log.csv").write_text("epoch,step,ids\n0,0,1 0\n")
    result = run("import", "csv", "log.csv")
    assert "  no --dataset and no --rows were given: the report needs --dataset to say what was missed" in (
        result.stdout.splitlines()
    )
    assert run("report").exit_code == 3
    np.save("x.npy", np.zeros(2))
    assert run("report", "--dataset", "x.npy").exit_code == 0


def test_restarts_gaps_and_torn_ends_are_said() -> None:
    lines = [(s, 2 * s - 2, 2 * s - 1) for s in (1, 2, 3, 4, 3, 4, 7)]
    text = "".join("\t".join(map(str, line)) + "\n" for line in lines) + "8\t14"
    Path("rank0.tsv").write_text(text)
    result = run("import", "olmo", "rank0.tsv", "--rows", "16", "-b", "2")
    assert result.stdout.splitlines() == [
        "imported  run.parquet · 7 steps · 14 ids · 1 rank",
        "  rank0.tsv:5: the log goes back to step 3: taken for a restart from there",
        "  2 steps without a line, the first is 5: their rows are unknown",
        "  rank0.tsv breaks off in line 8: what follows is unknown",
        "next: coverage-audit report run.parquet",
    ]
    assert run("report").exit_code == 3


def test_contract_and_split_are_declared() -> None:
    Path("log.csv").write_text("step,ids\n0,0 1\n1,0 2\n")
    options = ("--contract", "at-least-once", "--per", "run", "--split", "validation", "--rows", "2", "--rows", "1")
    assert run("import", "csv", "log.csv", *options).exit_code == 0
    (split,) = ca.audit("run.parquet").splits
    assert (split.name, split.counts.info.contract.to_json()) == ("validation", {"kind": "at-least-once", "per": "run"})
    assert split.verdict is ca.Verdict.PASS


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("csv", "none.csv"), "none.csv is no file: correct the path [import-files]"),
        (("olmo", "."), ". leads to no olmo file: name the files, or a folder or glob of them [import-files]"),
        (
            ("csv", "log.csv", "--rows", "1", "--data", "x.npy"),
            "both --dataset and --rows were given: give one, so that the rows are known [bad-plan]",
        ),
        (
            ("olmo", "log.csv", "rank1.tsv"),
            "log.csv does not say of which rank it is, beside 1 other file: name files as in rank0.tsv.gz, or import "
            "them one by one [import-files]",
        ),
        (("csv", "log.csv"), "log.csv:3: ids is ['x']: give whole numbers, or correct the file there [import-value]"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_status_1(args: tuple[str, ...], message: str) -> None:
    Path("log.csv").write_text("step,ids\n0,0 1\n1,x\n")
    Path("rank1.tsv").write_text("1\t0\n")
    if args[1] == ".":
        Path("rank1.tsv").unlink()
    before = sorted(Path().iterdir())
    result = run("import", *args)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"coverage-audit: error: {message}\n"
    assert sorted(Path().iterdir()) == before


def test_a_format_nobody_knows() -> None:
    result = run("import", "xml", "log.xml")
    assert result.exit_code == 1
    assert "'xml' is not one of 'csv', 'tsv', 'jsonl', 'npy', 'parquet', 'olmo'" in result.stderr


def test_files_come_in_natural_order_once_each() -> None:
    for name in ("rank10.tsv.gz", "rank2.tsv", "notes.txt", ".rank3.tsv.gz"):
        Path(name).touch()
    assert [str(p) for p in find_files(["rank10.tsv.gz", "."], "olmo")] == ["rank10.tsv.gz", "rank2.tsv"]
    assert [str(p) for p in find_files(["rank*"], "olmo")] == ["rank2.tsv", "rank10.tsv.gz"]
    with pytest.raises(LogError):
        find_files(["*.none"], "csv")


def test_the_help_teaches() -> None:
    text = " ".join(run("import", "--help").output.split())
    assert "coverage-audit import olmo run/data-indices -o run.parquet" in text
    assert "Ids count the rows of all shards in order, from 0" in text
    assert "Make a run log of a log of (step, ids) that was written without us." in run("--help").output
