"""coverage-audit report on real logs: what it prints, where it writes, how it exits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

import coverage_audit as ca
from coverage_audit.cli.main import main
from coverage_audit.cli.report import worst
from coverage_audit.reporters import json_file

ROWS, BATCH = 319, 64  # a pass takes 5 batches, the last of 63 rows


def batches() -> Iterator[Any]:
    while True:
        for at in range(0, ROWS, BATCH):
            yield np.arange(at, min(at + BATCH, ROWS))


def record(log: Path, steps: int, epochs: int = 2, **options: Any) -> None:
    """A loop over a wrapped generator: epochs of so many yields."""
    options = {"ids": lambda batch: batch, "batch_size": BATCH, "steps_per_epoch": steps, **options}
    gen = ca.wrap(batches(), ca.Dataset.of(ROWS), log=str(log), **options)
    for _ in range(epochs):
        for _ in zip(range(steps), gen, strict=False):
            pass
    gen.recorder.close()


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """whole passes, short fails, blind has rows nobody could identify."""
    folder = tmp_path_factory.mktemp("logs")
    record(folder / "whole.parquet", 5)
    record(folder / "short.parquet", 4)
    with pytest.warns(ca_warning()):
        record(folder / "blind.parquet", 5, ids=lambda _: [0.5])
    return folder


def ca_warning() -> type[Warning]:
    from coverage_audit.errors import RecordingWarning

    return RecordingWarning


@pytest.fixture
def report(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `coverage-audit report` with the logs at hand, in a folder of its own."""
    for name in ("COVERAGE_AUDIT_LOG", "COVERAGE_AUDIT_CONFIG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Result:
        known = {"whole", "short", "blind"}
        words = [str(logs / f"{a}.parquet") if a in known else str(a) for a in arguments]
        return CliRunner().invoke(main, ["report", *words])

    return run


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (["whole"], 0),
        (["short"], 2),
        (["blind"], 3),
        (["nowhere.parquet"], 1),
        (["whole", "short"], 2),
        (["short", "blind"], 3),
        (["blind", "short", "whole"], 3),
        (["short", "nowhere.parquet", "blind"], 1),
    ],
)
def test_the_exit_status_is_the_worst_of_all_logs(report: Callable[..., Result], data: list[str], status: int) -> None:
    assert report(*data).exit_code == status


def test_precedence() -> None:
    assert [worst(s) for s in ([], [0, 0], [0, 2], [2, 3], [3, 2, 0], [3, 1, 2])] == [0, 0, 2, 3, 3, 1]


def test_what_it_says(report: Callable[..., Result], logs: Path) -> None:
    result = report("short")
    assert result.stderr == ""
    assert "  epoch  steps  needed  visited  unique  missed  repeated  starts at\n" in result.stdout
    assert "      0      4       5      256     256      63         0  batch 0 of pass 0\n" in result.stdout
    assert "      1      4       5      255     255      64         0  batch 4 of pass 0\n" in result.stdout
    assert "counts yields, not trained steps" in re.sub(r"\s+", " ", result.stdout)
    assert "FAIL  CA601 short-epoch" in result.stdout
    assert "PASS  every one of 319 rows seen exactly once in each of 2 epochs" in report("whole").stdout


def test_every_log_is_reported_although_one_cannot_be_read(report: Callable[..., Result]) -> None:
    result = report("nowhere.parquet", "whole", "short")
    assert result.exit_code == 1
    assert result.stderr.startswith("coverage-audit: error: ")
    assert "nowhere.parquet" in result.stderr
    assert result.stdout.count("coverage-audit  ") == 2
    assert "PASS" in result.stdout
    assert "FAIL" in result.stdout


def test_a_folder_of_logs(report: Callable[..., Result], logs: Path) -> None:
    result = report(logs)
    assert result.exit_code == 3
    heads = re.findall(r"^coverage-audit  \S+?(\w+)\.parquet", result.stdout.replace("\n        ", " "), re.M)
    assert heads == ["blind", "short", "whole"]


def test_the_default_is_the_environments_log_or_the_configured_one(
    report: Callable[..., Result], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "run.parquet" in report().stderr
    Path("coverage-audit.toml").write_text(f'log = "{logs / "short.parquet"}"\n')
    assert report().exit_code == 2
    monkeypatch.setenv("COVERAGE_AUDIT_LOG", str(logs / "whole.parquet"))
    assert report().exit_code == 0


def test_formats_and_files(report: Callable[..., Result]) -> None:
    result = report("short", "-f", "total", "-f", "json:out/report.json", "-f", "markdown:out/report.md")
    assert result.exit_code == 2
    # 511 of 638 row-epochs
    assert result.stdout == "80.09\n"
    document = json.loads(Path("out/report.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, json_file.schema())
    assert document["verdict"] == "fail"
    assert document["splits"][0]["counts"] == "yielded"
    assert [len(document["splits"][0][k]) for k in ("epochs", "passes", "shards", "ranks", "attempts")] == [
        2, 2, 1, 1, 1,
    ]  # fmt: skip
    assert Path("out/report.md").read_text(encoding="utf-8").startswith("# FAIL ")
    assert sorted(os.listdir("out")) == ["report.json", "report.md"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-f", "html"), "format 'html' is unknown; known: text, markdown, total, json"),
        (("--nonsense",), "No such option"),
        (("--fail-on", "CA999"), "CA999"),
        (("--max-missed", "-1"), "-1"),
        (("-f", "json:x", "-f", "text:x"), "x is the destination of two formats"),
        (("--dataset", "nothing-*.npy"), "nothing-*.npy"),
    ],
)
def test_what_cannot_be_meant_exits_1(report: Callable[..., Result], arguments: tuple[str, ...], said: str) -> None:
    result = report("short", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("data", "arguments", "status"),
    [
        ("short", ("--max-missed", "127", "--warn-on", "CA601"), 0),
        ("short", ("--max-missed", "126", "--warn-on", "CA601"), 2),
        ("short", ("--exit-zero",), 0),
        ("blind", ("--exit-zero",), 0),
        ("nowhere.parquet", ("--exit-zero",), 1),
        ("whole", ("--fail-on", "CA606,repeated"), 0),
        ("whole", ("--max-repeated", "0"), 0),
    ],
)
def test_gates(report: Callable[..., Result], data: str, arguments: tuple[str, ...], status: int) -> None:
    assert report(data, *arguments).exit_code == status


def test_the_command_line_goes_before_the_configuration(report: Callable[..., Result]) -> None:
    Path("coverage-audit.toml").write_text('max-missed = 127\nwarn-on = ["CA601"]\n')
    assert report("short").exit_code == 0
    assert report("short", "--max-missed", "126").exit_code == 2
    Path("coverage-audit.toml").write_text("exit-zero = true\n")
    assert report("short").exit_code == 0


def test_figures(report: Callable[..., Result]) -> None:
    result = report("whole", "short", "--figures", "figs")
    assert result.exit_code == 2
    kinds = ("epochs", "position", "visits")
    names = sorted(str(p.relative_to("figs")).rsplit("_", 1)[-1] for p in Path("figs").rglob("*.png"))
    assert names == [f"{log}.parquet/train-{f}.png" for log in ("short", "whole") for f in kinds]
    assert result.stderr.count("6 figures in figs/") == 2


def test_width_colour_and_verbosity(report: Callable[..., Result]) -> None:
    narrow = report("short", "--width", "60", "--color", "always", "-v").stdout
    assert "\x1b[1;31mFAIL\x1b[0m" in narrow
    assert max(len(line) for line in re.sub(r"\x1b\[[0-9;]*m", "", narrow).splitlines()) <= 60
    assert "passes of the loader" in narrow
    assert "ranks" in narrow
    assert "\x1b" not in report("short").stdout


def test_a_killed_run_in_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a run that was killed in its second epoch, so that only its journal exists
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import coverage_audit as ca
from test_report import BATCH, ROWS, batches
gen = ca.wrap(batches(), ca.Dataset.of(ROWS), log="run.parquet", ids=lambda b: b, batch_size=BATCH, steps_per_epoch=5)
for _ in zip(range(7), gen):
    pass
os.kill(os.getpid(), 9)
"""
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path / "logs")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert not Path("run.parquet").exists() or not os.listdir("run.parquet")

    # WHEN it is reported where nothing may be written THEN its journal is read as it is
    from coverage_audit.runlog import parts

    def refuse(path: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(parts, "finish_log", refuse)
        before = CliRunner().invoke(main, ["report"])
    assert before.exit_code == 3, before.output
    assert "CA901 incomplete-log" in before.stdout
    assert (
        "      0              5       5      319       0         0  batch 0 of pass 0\n"
        "      1  so far      2       5      128     191         0  batch 0 of pass 1\n"
    ) in before.stdout
    # AND where it may, its parts are made, and say the same
    after = CliRunner().invoke(main, ["report"])
    assert (after.exit_code, after.stdout) == (3, before.stdout)
    assert os.listdir("run.parquet")


def test_a_real_process(logs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coverage_audit", "report", str(logs / "short.parquet"), "--fail-on", "CA603"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    usage = subprocess.run([*command, "--nope"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert usage.returncode == 1
