"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from coverage_audit.runlog.inherited import INHERITED

OWN_VARIABLES = ("COVERAGE_AUDIT_LOG", "COVERAGE_AUDIT_CONFIG", "COVERAGE_AUDIT_DISABLE", "COVERAGE_AUDIT_RUN_ID")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees our variables of the shell it was started from, nor the run another test began."""
    for name in (*OWN_VARIABLES, INHERITED):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.pop(INHERITED, None)


@pytest.fixture(autouse=True)
def own_hooks() -> Iterator[None]:
    """A recorder that a test leaves open does not make arrays of the next test remember their rows."""
    yield
    reading = sys.modules.get("coverage_audit.recorder.reading")
    while reading is not None and reading._installed:
        reading.uninstall()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-skips", action="store_true", help="a skipped test fails the run (for CI)")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not session.config.getoption("--forbid-skips"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
