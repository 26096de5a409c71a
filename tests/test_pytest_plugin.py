"""The pytest plugin, in sessions of its own: the fixture, the marker, the options, several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas  # noqa: F401 - sessions in this process forget the modules they import, which these must not be
import pytest

import coverage_audit.auditing_tests
import coverage_audit.runlog.parts  # noqa: F401
from coverage_audit import pytest_plugin

pytest_plugins = "pytester"

LOADERS = """
import pytest
import coverage_audit as ca

DATA = ca.Dataset.of(10)


def batches(stop, step=4):
    return [{"id": list(range(i, min(i + step, stop)))} for i in range(0, stop, step)]


def run(loader, epochs=1):
    for _ in range(epochs):
        for batch in loader:
            assert batch == {}
"""


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set for the outer session is not for the inner ones."""
    for name in ("COVERAGE_AUDIT_LOG", "COVERAGE_AUDIT_RUN_ID", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)


def session(pytester: pytest.Pytester, tests: str, *options: str, alone: bool = False) -> pytest.RunResult:
    """One session over these tests, in this process unless ``alone``."""
    pytester.makepyfile(LOADERS + tests)
    run = pytester.runpytest_subprocess if alone else pytester.runpytest_inprocess
    return run("-W", "error", "--strict-markers", "-p", "no:cacheprovider", *options)


def test_a_loader_that_gives_every_row_passes(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
@pytest.mark.data_coverage(epochs=2, ids="id")
def test_whole(audited):
    run(audited(batches(10), DATA), epochs=2)


def test_says_so_at_once(audited):
    run(audited(batches(10), DATA, ids="id"))
    assert audited.result().verdict is ca.Verdict.PASS
    assert audited.result().epochs["missed"].tolist() == [0]
""",
    )
    result.assert_outcomes(passed=2)


def test_a_loader_that_misses_rows_fails_the_test_with_the_report(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
def test_short(audited):
    run(audited(batches(8), DATA, ids="id"))
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_short _*",
            "FAIL  CA103 dropped-remainder   each pass drops its last 2 rows: 10 mod 4 = 2",
            "*rows: data 8–9*",
            "*fix: keep the last partial batch*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*auditing_tests.py*")


def test_result_fails_where_it_stands(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
def test_short(audited):
    run(audited(batches(8), DATA, ids="id"))
    audited.result()
    raise RuntimeError("not reached")
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*not reached*")


def test_gates_of_the_marker_and_of_the_command_line(pytester: pytest.Pytester) -> None:
    tests = """
@pytest.mark.data_coverage(max_missed=2)
def test_let_through(audited):
    run(audited(batches(8), DATA, ids="id"))

@pytest.mark.data_coverage(contract="drop-remainder")
def test_promised_less(audited):
    run(audited(batches(8), DATA, ids="id", batch_size=4))

@pytest.mark.data_coverage(fail_on="repeated", ids="id")
def test_repeats(audited):
    run(audited([*batches(10), {"id": [3]}], DATA))
"""
    session(pytester, tests).assert_outcomes(passed=2, failed=1)
    session(pytester, tests, "--audit-max-missed=0", "--audit-max-repeated=0").assert_outcomes(passed=1, failed=2)
    session(pytester, tests, "--audit-fail-on=CA407").assert_outcomes(passed=3)


def test_epochs_of_the_marker_are_recorded_whole(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
@pytest.mark.data_coverage(epochs=3, ids="id")
def test_two_of_three(audited):
    run(audited(batches(10), DATA), epochs=2)

def test_broken_off(audited):
    next(iter(audited(batches(10), DATA, ids="id")))
""",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["train: 2 of 3 epochs were recorded whole", "INCOMPLETE  CA901*"])


def test_misuse_is_said_in_words(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
@pytest.mark.data_coverage(max_mised=2)
def test_unknown_name(audited):
    pass

@pytest.mark.data_coverage(epochs=1)
def test_no_fixture():
    pass

def test_no_loader(audited):
    pass

def test_bad_dataset(audited):
    audited([], 7)
""",
    )
    result.assert_outcomes(failed=3, errors=1)
    result.stdout.fnmatch_lines_random(
        [
            "data_coverage() has no 'max_mised'; did you mean max_missed?",
            "this test is marked data_coverage and audits nothing: *",
            "the fixture 'audited' was given no loader: call audited(loader, dataset)",
            "E  *dataset=7 is of type int: *",
        ]
    )


def test_a_test_that_fails_by_itself_is_not_judged(pytester: pytest.Pytester) -> None:
    result = session(
        pytester,
        """
def test_raises(audited):
    for batch in audited(batches(8), DATA, ids="id"):
        raise ZeroDivisionError("mine")
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *ZeroDivisionError: mine"])
    result.stdout.no_fnmatch_line("*CA901*")


TWO = """
@pytest.mark.parametrize("stop", [8, 10])
def test_one(audited, stop):
    run(audited(batches(stop), DATA, ids="id"))


@pytest.mark.parametrize("n", range(4))
def test_two(audited, n):
    run(audited(batches(10), DATA, ids="id"))


def test_else():
    pass
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_one_report_of_all_tests_whichever_process_ran_them(pytester: pytest.Pytester, processes: int) -> None:
    many = ["-n", str(processes)] if processes else []
    result = session(pytester, TWO, *many, "--audit-log=logs", "--audit-report=json:out/audit.json", alone=True)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*coverage of training data*", "6 audited tests: json report in out/audit.json"])
    told = json.loads((pytester.path / "out" / "audit.json").read_text())
    name = "test_one_report_of_all_tests_whichever_process_ran_them.py"
    assert [(t["test"], t["report"]["verdict"], t["report"]["splits"][0]["totals"]["missed"]) for t in told] == [
        (f"{name}::test_one[10]", "pass", 0),
        (f"{name}::test_one[8]", "fail", 2),
        (f"{name}::test_two[0]", "pass", 0),
        (f"{name}::test_two[1]", "pass", 0),
        (f"{name}::test_two[2]", "pass", 0),
        (f"{name}::test_two[3]", "pass", 0),
    ]
    logs = {p.name for p in (pytester.path / "logs").iterdir() if p.suffix == ".parquet"}
    assert logs == {
        f"{name}_{test}.parquet" for test in ("test_one_8", "test_one_10", *(f"test_two_{n}" for n in range(4)))
    }


def test_the_report_on_the_screen(pytester: pytest.Pytester) -> None:
    result = session(pytester, TWO, "--audit-report", "-k", "one")
    result.stdout.fnmatch_lines(
        ["*coverage of training data*", "*::test_one[[]10[]]", "PASS *", "*::test_one[[]8[]]", "FAIL *"]
    )


def test_a_format_nobody_knows(pytester: pytest.Pytester) -> None:
    result = session(pytester, TWO, "--audit-report=pdf")
    result.stderr.fnmatch_lines(["ERROR: --audit-report=pdf: give text, markdown, total, json after '=', *"])


def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    """GIVEN the plugin's module WHEN imported THEN of the package only its light parts are."""
    script = (
        "import sys, pytest; before = set(sys.modules); import coverage_audit.pytest_plugin; "
        "print(sorted({m for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(eval(done.stdout))
    assert {m for m in loaded if m.startswith("coverage_audit")} == {
        "coverage_audit",
        "coverage_audit._version",
        "coverage_audit.pytest_plugin",
    }
    assert not loaded & {"numpy", "pyarrow", "pandas", "rich"}


def test_older_versions_of_pluggy_load_the_plugin() -> None:
    """They refuse wrappers of the new kind, and end every session of the environment, whether it audits or not."""
    hooks = [getattr(pytest_plugin, name) for name in dir(pytest_plugin) if name.startswith("pytest_")]
    made = [hook.pytest_impl for hook in hooks if hasattr(hook, "pytest_impl")]
    assert len(made) == 2
    assert not any(options.get("wrapper") for options in made)


def test_our_options_leave_those_of_pytest_cov_alone() -> None:
    text = (Path(__file__).parents[1] / "coverage_audit" / "pytest_plugin.py").read_text()
    assert "--cov" not in text
    assert text.count('option("--audit-') + text.count('"--audit-report",') == 7
