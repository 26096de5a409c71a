"""The frame of the command line: lazy commands, one message per error, and the exit statuses of the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from coverage_audit._version import __version__
from coverage_audit.cli import main as frame
from coverage_audit.cli.main import COMMANDS, main
from coverage_audit.errors import LogError


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def in_a_process(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coverage_audit", *args], capture_output=True, text=True, check=False, cwd=cwd
    )


def test_version() -> None:
    result = run("--version")

    assert (result.exit_code, result.output) == (0, f"coverage-audit, version {__version__}\n")


def test_help_teaches() -> None:
    result = run("--help")

    assert result.exit_code == 0
    for line in (
        "    gen = ca.wrap(gen, ca.Dataset.open(\"shards/x_*.npy\"), log=\"run.parquet\",",
        "    0  the evidence is complete and all gates pass",
        "    1  the job could not be done: usage, configuration, files",
        "    2  a gate failed: rows missed, wrong steps",
        "    3  the evidence is incomplete: killed run, no data to compare with",
    ):  # fmt: skip
        assert line in result.output.splitlines()
    for command, what in COMMANDS.items():
        assert f"  {command:<7}  {what}" in result.output.splitlines()
        assert f"    coverage-audit {command} " in result.output or f"    coverage-audit {command}\n" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert "Exit status:" in result.output
    assert f"coverage-audit {command}" in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["reprot"], "there is no command 'reprot'; did you mean 'report'? (help: coverage-audit --help)"),
        (
            ["zzz"],
            "there is no command 'zzz'; known: run, report, plan, import, tracer, explain, demo, debug "
            "(help: coverage-audit --help)",
        ),
        (["plan"], "Missing option '--batch-size' / '-b'. (help: coverage-audit plan --help)"),
        (["debug"], "Missing argument '{sys|config|data}'. "),
        (["plan", "-b", "x"], "Invalid value for '--batch-size' / '-b': 'x' is not a valid integer. "),
        (["--nope"], "No such option"),
        (["plan", "--nope"], "No such option"),
        (["explain", "a", "b"], "Got unexpected extra argument (b) (help: coverage-audit explain --help)"),
    ],
)
def test_usage_errors_are_status_1(args: list[str], message: str) -> None:
    result = run(*args)

    assert (result.exit_code, result.stdout) == (1, "")
    usage, error = result.stderr.split("\n", 1)
    assert usage.startswith("Usage: coverage-audit ")
    assert error.replace("\n", " ").startswith(f"coverage-audit: error: {message}")


def test_no_command_shows_the_help_and_is_status_1() -> None:
    result = run()

    assert (result.exit_code, result.stdout) == (1, "")
    assert "Commands:" in result.stderr


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (LogError("run.parquet is gone: name another", slug="no-log"), 1, "run.parquet is gone: name another [no-log]"),
        (PermissionError(13, "Permission denied", "out.json"), 1, "out.json: Permission denied"),
    ],
)
def test_errors_of_the_tool_and_of_the_system(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, message: str
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(frame.Commands, "get_command", lambda self, ctx, name: failing)
    result = run("report")

    assert (result.exit_code, result.stderr) == (status, f"coverage-audit: error: {message}\n")


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def endless() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(frame.Commands, "get_command", lambda self, ctx, name: endless)

    assert run("report").exit_code == 130


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(frame.Commands, "get_command", lambda self, ctx, name: broken)

    assert isinstance(run("report").exception, ZeroDivisionError)


def test_statuses_of_real_processes(tmp_path: Path) -> None:
    passes = in_a_process("plan", "--rows", "100", "-b", "10", cwd=tmp_path)
    fails = in_a_process("plan", "--rows", "100", "-b", "10", "--steps-per-epoch", "9", cwd=tmp_path)
    wrong = in_a_process("plan", "--rows", "100", "--batch", "ten", cwd=tmp_path)
    refused = in_a_process("plan", "--rows", "100", "-b", "0", cwd=tmp_path)

    assert [p.returncode for p in (passes, fails, wrong, refused)] == [0, 2, 1, 1]
    assert (passes.stderr, fails.stderr) == ("", "")
    assert refused.stderr == (
        "coverage-audit: error: batch_size=0 is impossible: give a whole number, 1 or more [bad-plan]\n"
    )


def test_a_closed_pipe_is_quiet() -> None:
    reader = f"import subprocess, sys; p = subprocess.Popen({[sys.executable, '-m', 'coverage_audit', 'explain']!r}, "
    reader += (
        "stdout=subprocess.PIPE, stderr=subprocess.PIPE); p.stdout.close(); sys.stderr.buffer.write(p.stderr.read())"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", reader], capture_output=True, text=True, check=True)

    assert done.stderr == ""


@pytest.mark.parametrize("args", [["--help"], ["plan", "--help"], ["explain", "CA101"], ["debug", "config"]])
def test_light(args: list[str]) -> None:
    """No command imports a framework or a plotting library before it needs it."""
    code = (
        "import sys\n"
        "from coverage_audit.cli.main import main\n"
        f"try: main({args!r})\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'pyarrow', 'matplotlib', 'tensorflow', 'keras', 'torch'} & set(sys.modules)\n"
        "sys.stderr.write(' '.join(sorted(heavy)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr == ""
