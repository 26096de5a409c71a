"""DATA on the command line: a log, a folder of logs, a glob."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coverage_audit.cli.data import find_logs
from coverage_audit.errors import LogError


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three logs and things that are none: a-run killed before it had parts, b-run whole, c-run one file."""
    monkeypatch.chdir(tmp_path)
    for name in ("runs/a.parquet.state", "runs/b.parquet", "runs/b.parquet.state", "runs/notes", "empty"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/b.parquet/part-a000-r0000-p0001-00000.parquet").write_bytes(b"")
    (tmp_path / "runs/c.parquet").write_bytes(b"")
    (tmp_path / "runs/b.parquet.prev-old.state").mkdir()
    (tmp_path / "runs/readme.md").write_text("")
    return tmp_path


def test_a_log_is_itself(runs: Path) -> None:
    assert find_logs(["runs/b.parquet"]) == ["runs/b.parquet"]
    assert find_logs(["runs/c.parquet"]) == ["runs/c.parquet"]
    assert find_logs(["runs/a.parquet"]) == ["runs/a.parquet"], "its journals are in runs/a.parquet.state"


def test_the_state_folder_means_its_log(runs: Path) -> None:
    assert find_logs(["runs/a.parquet.state"]) == ["runs/a.parquet"]
    assert find_logs(["runs/a.parquet.state/"]) == ["runs/a.parquet"]


def test_a_folder_of_logs_is_all_of_them_but_those_moved_away(runs: Path) -> None:
    assert find_logs(["runs"]) == ["runs/a.parquet", "runs/b.parquet", "runs/c.parquet"]


def test_the_folder_one_is_in(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs / "runs")
    assert find_logs(["."]) == find_logs(["./"]) == ["a.parquet", "b.parquet", "c.parquet"]
    monkeypatch.chdir("b.parquet")
    assert find_logs([".."]) == ["../a.parquet", "../b.parquet", "../c.parquet"]
    assert find_logs(["."]) == ["."], "inside a log it is that log"


def test_a_glob(runs: Path) -> None:
    assert find_logs(["runs/[ab].*"]) == ["runs/a.parquet", "runs/b.parquet", "runs/b.parquet.prev-old"]
    assert find_logs(["r*"]) == find_logs(["runs"])


def test_each_log_once(runs: Path) -> None:
    assert find_logs(["runs/c.parquet", "runs", "runs/*.parquet"]) == [
        "runs/c.parquet", "runs/a.parquet", "runs/b.parquet",
    ]  # fmt: skip


def test_a_name_that_only_looks_like_a_glob(runs: Path) -> None:
    os.makedirs("x[1].parquet.state")
    assert find_logs(["x[1].parquet"]) == ["x[1].parquet"]


def test_what_is_no_log_is_left_to_the_reader_to_explain(runs: Path) -> None:
    assert find_logs(["nowhere.parquet"]) == ["nowhere.parquet"]
    assert find_logs(["empty"]) == ["empty"]
    assert find_logs(["runs/readme.md"]) == ["runs/readme.md"]


def test_a_glob_of_nothing(runs: Path) -> None:
    with pytest.raises(LogError, match=r"nothing-\*\.parquet matches no run log: correct the pattern"):
        find_logs(["nothing-*.parquet"])
