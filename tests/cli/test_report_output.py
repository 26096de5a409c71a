"""-f TYPE[:DEST], colour, width, encodings."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import click
import pytest

import coverage_audit as ca
from coverage_audit.cli.output import Output, OutputType, Page, deliver, render, say
from coverage_audit.errors import UsageError
from coverage_audit.result import AuditResult

ESCAPE = "\x1b["


@pytest.fixture(scope="module")
def short() -> AuditResult:
    return ca.plan(ca.Dataset.of(3190), batch_size=64, steps_per_epoch=49)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("text", Output("text")),
        ("json:report.json", Output("json", Path("report.json"))),
        ("markdown:a:b/c.md", Output("markdown", Path("a:b/c.md"))),
        ("total:-", Output("total")),
    ],
)
def test_type_and_destination(value: str, output: Output) -> None:
    assert OutputType().convert(value, None, None) == output


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("html", "format 'html' is unknown; known: text, markdown, total, json"),
        ("", "format '' is unknown; known: text, markdown, total, json"),
        ("json:", "'json:' names no file: write json:FILE, or json alone for the screen"),
    ],
)
def test_what_cannot_be_meant(value: str, said: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        OutputType().convert(value, None, None)
    assert caught.value.message == said


def test_every_format_to_files_at_once(short: AuditResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [Output(f, tmp_path / "new" / f) for f in ("text", "markdown", "total", "json")]
    deliver(outputs, [short], Page(color="auto"))
    assert capsys.readouterr().out == "", "what goes to files is not also on the screen"
    assert (tmp_path / "new/total").read_text() == "98.30\n"
    assert (tmp_path / "new/text").read_text(encoding="utf-8").startswith("coverage-audit  plan · train · 1 epoch")
    assert (tmp_path / "new/markdown").read_text(encoding="utf-8").startswith("# FAIL plan\n")
    assert json.loads((tmp_path / "new/json").read_text(encoding="utf-8"))["verdict"] == "fail"


def test_several_results_are_one_json_document(short: AuditResult) -> None:
    assert [d["verdict"] for d in json.loads(render("json", [short, short], Page(), False))] == ["fail", "fail"]
    assert render("total", [short, short], Page(), False) == "98.30\n98.30\n"


def test_one_file_for_two_formats_is_refused(short: AuditResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the destination of two formats"):
        deliver([Output("json", tmp_path / "x"), Output("text", tmp_path / "x")], [short], Page())
    assert not (tmp_path / "x").exists()


def test_a_destination_that_cannot_be_written(short: AuditResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written \(.*\): name another destination \[unwritable-report\]"):
        deliver([Output("json", tmp_path / "file" / "report.json")], [short], Page())


@pytest.mark.parametrize(
    ("color", "terminal", "environment", "colored"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {}, False),
    ],
)
def test_colour(
    short: AuditResult, color: str, terminal: bool, environment: dict[str, str], colored: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (ESCAPE in render("text", [short], Page(color=color), terminal)) == colored


def test_width_is_the_terminals_or_80_or_what_is_asked(short: AuditResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "130")

    def widest(page: Page, terminal: bool) -> int:
        text = re.sub(r"\x1b\[[0-9;]*m", "", render("text", [short], page, terminal))
        return max(map(len, text.splitlines()))

    assert 80 < widest(Page(), True) <= 130
    assert widest(Page(), False) <= 80
    assert widest(Page(width=60), True) <= 60


def test_an_encoding_that_lacks_a_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("3,190 rows · x_3.npy 192–249\n")
    sys.stdout.flush()
    assert raw.getvalue() == b"3,190 rows ? x_3.npy 192?249\n"
