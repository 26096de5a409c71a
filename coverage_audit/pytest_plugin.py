"""pytest: the fixture ``audited``, the marker ``data_coverage`` and the options ``--audit-*``.

::

    @pytest.mark.data_coverage(epochs=2, max_missed=0)
    def test_the_loader(audited):
        loader = audited(make_loader(), ca.Dataset.open("shards/x_*.npy"), batch_size=32)
        for _ in range(2):
            for batch in loader:
                ...

The test fails where the report would. pytest loads this module in every project, so it imports nothing but pytest
before a test asks for it.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from coverage_audit.auditing_tests import Audited

_FORMATS = ("text", "markdown", "total", "json")
_REPORTS = "coverage_audit"
_audited = pytest.StashKey["Audited"]()
_collected = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coverage-audit", "coverage of training data")
    option = group.addoption
    option("--audit-log", metavar="DIR", help="Keep the run logs of audited tests in DIR.")
    option(
        "--audit-report",
        metavar="FORMAT[:FILE]",
        nargs="?",
        const="text",
        help="Report all audited tests at the end: text (default), markdown, total, json; to a file after a colon.",
    )
    option("--audit-max-missed", type=int, metavar="N", help="Missed row-epochs that are let through, per test.")
    option("--audit-max-repeated", type=int, metavar="N", help="Repeated visits that are let through, per test.")
    option("--audit-fail-on", metavar="CODES", help="Rules whose findings fail, such as CA201,CA603.")
    option("--audit-warn-on", metavar="CODES", help="Rules whose findings only warn.")
    option("--audit-allow-incomplete", action="store_true", help="Judge what is there where evidence is missing.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "data_coverage(epochs, batch_size, steps_per_epoch, contract, ids, identify, max_missed, max_repeated, "
        "fail_on, warn_on, allow_incomplete): what the loaders of the fixture 'audited' are held to.",
    )
    config.stash[_collected] = []
    wanted = config.getoption("audit_report")
    if wanted is not None:
        kind, colon, place = wanted.partition(":")
        if kind not in _FORMATS or (colon and not place):
            raise pytest.UsageError(
                f"--audit-report={wanted}: give {', '.join(_FORMATS)} after '=', and :FILE after that for a file"
            )


@pytest.fixture
def audited(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Audited]:
    """``audited(loader, dataset, **options)``: the loader, recorded (the options are those of ``ca.wrap``).

    When the test has ended it fails unless every epoch that was recorded saw every row. ``audited.result()`` says so
    at once, and gives the ``AuditResult``. Several loaders of one test are one run: give each a ``split=``.
    """
    from coverage_audit.auditing_tests import Audited

    kept = request.config.getoption("audit_log")
    log = tmp_path / "coverage-audit" / "run.parquet"
    if kept is not None:
        log = Path(kept) / f"{_file_name(request.node.nodeid)}.parquet"
    shown = request.node.name if kept is None else str(log)
    with Audited(log, shown, _of_marks(request.node), _of_command_line(request.config)) as made:
        request.node.stash[_audited] = made
        yield made


# No hook below is a wrapper of the new kind: pluggy before 1.2 refuses those, and with them the whole session, even one
# that audits nothing.


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """The verdict belongs to the test, so it is given while the test runs, once its own code has passed."""
    made = item.stash.get(_audited, None)
    if made is not None:
        made.judge()
    elif item.get_closest_marker("data_coverage") is not None:
        pytest.fail(
            "this test is marked data_coverage and audits nothing: take the fixture 'audited' and wrap its loader",
            pytrace=False,
        )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """What was found travels with the report, as under xdist the tests run in other processes."""
    outcome = yield
    made = item.stash.get(_audited, None)
    wanted = item.config.getoption("audit_report")
    if made is None or wanted is None or outcome.excinfo is not None:
        return
    report = outcome.get_result()
    if report.when == "call":
        setattr(report, _REPORTS, made.told(wanted.partition(":")[0]))


class _Collector:
    """The controller's: hears of every test, whichever process ran it."""

    def __init__(self, collected: list[dict[str, Any]]) -> None:
        self._collected = collected

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = getattr(report, _REPORTS, None)
        if told is not None:
            self._collected.append({"test": report.nodeid, **told})


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Collector(session.config.stash[_collected]), "coverage-audit-collector")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    wanted, told = config.getoption("audit_report"), config.stash[_collected]
    if wanted is None or hasattr(config, "workerinput"):
        return
    from coverage_audit.auditing_tests import compose

    kind, _, place = wanted.partition(":")
    told.sort(key=lambda one: one["test"])
    text = compose(kind, told)
    terminalreporter.section("coverage of training data")
    if place:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text(text, encoding="utf-8")
        terminalreporter.write_line(
            f"{len(told)} audited test{'' if len(told) == 1 else 's'}: {kind} report in {place}"
        )
    else:
        terminalreporter.write(text)


def _of_marks(node: pytest.Item) -> dict[str, Any]:
    """What the marks of a test say, the closest first."""
    said: dict[str, Any] = {}
    for mark in node.iter_markers("data_coverage"):
        if mark.args:
            pytest.fail(f"data_coverage{mark.args!r}: give names, as in data_coverage(epochs=2)", pytrace=False)
        said = {**mark.kwargs, **said}
    return said


def _of_command_line(config: pytest.Config) -> dict[str, Any]:
    names = ("max_missed", "max_repeated", "fail_on", "warn_on")
    said = {name: config.getoption(f"audit_{name}") for name in names}
    said["allow_incomplete"] = config.getoption("audit_allow_incomplete") or None
    return {name: value for name, value in said.items() if value is not None}


def _file_name(nodeid: str) -> str:
    """A test's id as a name for a file; long ones end in a checksum."""
    name = re.sub(r"[^\w.-]+", "_", nodeid).strip("_")
    return name if len(name) <= 100 else f"{name[:90]}-{zlib.crc32(nodeid.encode()):08x}"
