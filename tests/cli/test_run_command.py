"""`coverage-audit run`: what is ours, what is the script's, and what is refused before it starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coverage_audit.cli.main import main
from coverage_audit.launch.options import ENVIRONMENT

SHOW = f"import os, sys; print(sys.argv[1:]); print(os.environ.get('{ENVIRONMENT}'))"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SHOW)
    for name in ("x_0.npy", "x_1.npy", "y_0.npy", "y_1.npy", "train.bin", "odd::name.npy"):
        (tmp_path / name).write_text("")
    return tmp_path


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    import os

    return subprocess.run(
        [sys.executable, "-m", "coverage_audit", "run", *words],
        capture_output=True, text=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip


def options(*words: str, **variables: str) -> dict[str, Any]:
    """What the script's children would be told."""
    done = run(*words, "train.py", **variables)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[1])
    return told


def test_help_teaches() -> None:
    result = CliRunner().invoke(main, ["run", "--help"])

    assert result.exit_code == 0
    for line in (
        '  coverage-audit run --data "shards/x_*.npy" train.py --lr 0.1',
        "  coverage-audit run --data train.bin::uint16 --loader get_batch train.py",
        "  Exit status: that of the script; 1 if it could not be started.",
    ):
        assert line in result.output.splitlines()
    assert "other programs that the script starts are not" in " ".join(result.output.split())


def test_defaults(folder: Path) -> None:
    assert options() == {
        "folder": str(folder),
        "log": str(folder / "run.parquet"),
        "command": "train.py",
        "module": None,
        "data": [],
        "aligned": [],
        "validation_data": [],
        "batch_size": None,
        "contract": None,
        "per": None,
        "identify": "auto",
        "verify_every": None,
        "loaders": [],
        "given": [],
    }


EVERYTHING = (
    *("--data", "x_0.npy", "--data", "x_[1-9].npy", "--aligned", "y_*.npy", "--validation-data", "train.bin::uint16"),
    *("--log", "logs/a.parquet", "--batch-size", "32", "--contract", "padded", "--per", "run"),
    *("--identify", "content", "--verify-every", "8", "--loader", "json:load", "--loader", "json:loads"),
)


def test_every_option(folder: Path) -> None:
    assert options(*EVERYTHING) == {
        "folder": str(folder),
        "log": str(folder / "logs" / "a.parquet"),
        "command": "train.py",
        "module": None,
        "data": [str(folder / "x_0.npy"), str(folder / "x_[1-9].npy")],
        "aligned": [str(folder / "y_*.npy")],
        "validation_data": [str(folder / "train.bin::uint16")],
        "batch_size": 32,
        "contract": "padded",
        "per": "run",
        "identify": "content",
        "verify_every": 8,
        "loaders": ["json:load", "json:loads"],
        "given": list(EVERYTHING),
    }


def test_the_command_line_goes_before_the_configuration(folder: Path) -> None:
    (folder / "pyproject.toml").write_text("""
[tool.coverage-audit]
log = "general.parquet"
[tool.coverage-audit.run]
data = "x_*.npy"
batch-size = 64
identify = "views"
loader = ["json:dump"]
""")

    configured = options()
    given = options(*EVERYTHING)

    assert (configured["data"], configured["batch_size"], configured["identify"], configured["loaders"]) == (
        [str(folder / "x_*.npy")], 64, "views", ["json:dump"],
    )  # fmt: skip
    assert (given["data"][0], given["batch_size"], given["identify"], given["loaders"]) == (
        str(folder / "x_0.npy"), 32, "content", ["json:load", "json:loads"],
    )  # fmt: skip


def test_where_the_log_goes(folder: Path) -> None:
    """--log, else COVERAGE_AUDIT_LOG, else log of [run], else log."""
    (folder / "coverage-audit.toml").write_text('log = "general.parquet"')
    assert options()["log"] == str(folder / "general.parquet")
    (folder / "coverage-audit.toml").write_text('log = "general.parquet"\n[run]\nlog = "own.parquet"')
    assert options()["log"] == str(folder / "own.parquet")
    assert options(COVERAGE_AUDIT_LOG="env.parquet")["log"] == str(folder / "env.parquet")
    assert options("--log", "given.parquet", COVERAGE_AUDIT_LOG="env.parquet")["log"] == str(folder / "given.parquet")


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["train.py", "--data", "no such", "-m", "--log", "x"], ["--data", "no such", "-m", "--log", "x"]),
        (["train.py", "--help"], ["--help"]),
        (["--", "train.py", "--", "a"], ["--", "a"]),
        (["-m", "train", "--data", "-m"], ["--data", "-m"]),
        (["--data", "x_0.npy", "-m", "train", "--", "-x"], ["--", "-x"]),
    ],
)
def test_what_follows_the_script_is_its_own(words: list[str], arguments: list[str]) -> None:
    done = run(*words)

    assert (done.returncode, done.stdout.splitlines()[0]) == (0, str(arguments))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument 'SCRIPT [ARGS]...'. (help: coverage-audit run --help)"),
        (["--dta", "x", "train.py"], "No such option '--dta'"),
        (["--identify", "magic", "train.py"], "Invalid value for '--identify': 'magic' is not one of "),
        (["--batch-size", "0", "train.py"], "Invalid value for '--batch-size': 0 is not in the range x>=1."),
        (["gone.py"], "there is no script 'gone.py' in {0}: give its path, or -m and the name of a module [no-script]"),
        (
            ["--data", "z_*.npy", "train.py"],
            "--data 'z_*.npy' matches no file in {0}: check the path, and quote patterns [no-data]",
        ),
        (
            ["--validation-data", "gone.h5::x", "train.py"],
            "--validation-data 'gone.h5::x' matches no file in {0}: check the path, and quote patterns [no-data]",
        ),
    ],
)
def test_refused(folder: Path, words: list[str], message: str) -> None:
    done = run(*words)

    assert (done.returncode, done.stdout) == (1, "")
    assert f"coverage-audit: error: {message.format(folder)}" in done.stderr


def test_a_name_with_colons_and_an_address_are_taken_as_they_are(folder: Path) -> None:
    """Addresses are not looked up before the script starts."""
    told = options("--data", "odd::name.npy", "--data", "s3://bucket/x_*.npy", "--identify", "off")

    assert told["data"] == [str(folder / "odd::name.npy"), "s3://bucket/x_*.npy"]


def test_a_bad_configuration_is_refused(folder: Path) -> None:
    (folder / "coverage-audit.toml").write_text("[run]\nbatchsize = 3")
    done = run("train.py")

    assert (done.returncode, done.stdout) == (1, "")
    assert "unknown key 'run.batchsize'; did you mean 'batch-size'? [unknown-key]" in done.stderr
