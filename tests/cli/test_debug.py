"""coverage-audit debug: facts for a bug report."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from coverage_audit._version import __version__
from coverage_audit.cli.main import main
from coverage_audit.runlog.hold import hold_log


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_AUDIT_LOG", raising=False)
    monkeypatch.delenv("COVERAGE_AUDIT_CONFIG", raising=False)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["debug", *args])


def test_sys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERAGE_AUDIT_RUN_ID", "abc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    result = run("sys")

    facts = dict(line.split(maxsplit=1) for line in result.output.splitlines())
    assert (result.exit_code, facts["coverage-audit"], facts["numpy"]) == (0, __version__, np.__version__)
    assert (facts["h5py"], facts["zarr"]) == (metadata.version("h5py"), metadata.version("zarr"))
    assert facts["COVERAGE_AUDIT_RUN_ID"] == "abc"
    assert "hush" not in result.output


def test_config(here: Path) -> None:
    Path("coverage-audit.toml").write_text('max-missed = 3\nwarn-on = ["CA603"]\n[rules.CA202]\nspread = 2\n')
    result = run("config")

    assert (result.exit_code, [line.split(maxsplit=1) for line in result.output.splitlines()]) == (
        0,
        [
            ["file", str(here / "coverage-audit.toml")],
            ["log", "run.parquet"],
            ["fail-on", "-"],
            ["warn-on", "CA603"],
            ["max-missed", "3"],
            ["max-repeated", "-"],
            ["allow-incomplete", "false"],
            ["exit-zero", "false"],
            ["rules.CA202", "spread = 2"],
        ],
    )


def test_a_broken_configuration_is_status_1() -> None:
    Path("coverage-audit.toml").write_text("max-mised = 3\n")
    result = run("config")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "did you mean 'max-missed'? [unknown-key]" in result.stderr


def test_data_of_a_dataset() -> None:
    np.save("x_0.npy", np.zeros(5))
    result = run("data", "x_*.npy")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "x_*.npy: Dataset(5 rows in 1 shard: x_0.npy 5)"
    assert lines[2:] == ["  x_0.npy  5 rows  168 bytes"]


def test_data_of_a_log() -> None:
    hold_log(Path("run.parquet"), "my-run").hold.release()
    result = run("data", "run.parquet")

    assert (result.exit_code, result.output.splitlines()[:3]) == (
        0,
        ["run.parquet: run log", "  run_id my-run", "  schema_version 1"],
    )


def test_one_bad_path_does_not_hide_the_others() -> None:
    np.save("x_0.npy", np.zeros(5))
    result = run("data", "gone_*.npy", "x_0.npy")

    assert result.exit_code == 1
    assert result.stderr == (
        "coverage-audit: error: 'gone_*.npy' matches no file: check the path, or quote the pattern [no-files]\n"
    )
    assert result.stdout.splitlines()[0] == "x_0.npy: Dataset(5 rows in 1 shard: x_0.npy 5)"
