"""What the README says is so: its blocks are run, its tables compared."""

from __future__ import annotations

import html
import re
from pathlib import Path

import readme_blocks as readme

from coverage_audit.result import Verdict

ROOT = readme.ROOT
TEXT = readme.README.read_text()


def test_blocks_print_what_the_readme_says(tmp_path: Path) -> None:
    """After a change of wording: python tests/readme_blocks.py."""
    for block, told in readme.run_all(TEXT, tmp_path):
        for it in told:
            # A report may fail or be incomplete; nothing may not do its job.
            assert it.status in ((0,) if block.kind == "python" else (0, 2, 3)), f"{it.source}\n{it.errors}"
            if it.said is not None and not readme.agrees(it.said, it.printed):
                assert it.printed == it.said, it.source


def test_every_block_is_of_a_kind_that_is_run_or_known() -> None:
    kinds = {(block.kind, block.file is not None) for block in readme.blocks(TEXT)}
    assert kinds <= {
        ("python", True),
        ("python", False),
        ("console", False),
        ("text", False),
        ("toml", True),
        ("sh", False),
    }


def test_the_rules_are_those_there_are() -> None:
    assert readme.told_rules(TEXT) == readme.rule_table()


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    (block,) = [b for b in readme.blocks(TEXT) if b.kind == "sh"]
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = re.findall(r"^make (\w+)", block.body, re.MULTILINE)
    assert told == ["demo", "test"]
    assert set(told) <= set(targets)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)|(?:src|href)=\"([^\":]+)\"", TEXT)
    assert [t for t in ("".join(pair) for pair in targets) if not (ROOT / t).exists()] == []


def test_exit_statuses_of_the_verdicts() -> None:
    told = dict(re.findall(r"^\| (\d) \| ([A-Z]+)", TEXT, re.MULTILINE))
    assert {str(v.exit_status): v.name for v in Verdict} == told


def test_the_picture_shows_the_report_that_the_readme_quotes() -> None:
    """Line for line; the drawing around it depends on the version of rich."""
    svg = (ROOT / "reports" / "terminal.svg").read_text()
    lines: dict[int, str] = {}
    for number, text in re.findall(r"<text [^>]*clip-path=\"url\(#report-line-(\d+)\)\">(.*?)</text>", svg):
        lines[int(number)] = lines.get(int(number), "") + html.unescape(text).replace("\xa0", " ")
    shown = "".join(f"{squeezed(lines.get(i, ''))}\n" for i in range(max(lines) + 1))
    console = [c for b in readme.blocks(TEXT) if b.kind == "console" for c in readme.commands(b.body)]
    quoted = next(said for command, said in console if command == "coverage-audit report\n")
    told = "".join(f"{squeezed(line)}\n" for line in ["$ coverage-audit report", *quoted.splitlines()])
    assert readme.agrees(told, shown)


def squeezed(line: str) -> str:
    """SVG places words by coordinates, so blanks are not to be relied on."""
    return re.sub(r"\s+", "", line)


def test_what_the_readme_blocks_mean() -> None:
    """GIVEN two commands WHEN read THEN each has its output; ``...`` stands for any lines, none too."""
    assert list(readme.commands("$ a \\\n  b\none\n$ c\n")) == [("a \\\n  b\n", "one\n"), ("c\n", "")]
    assert readme.agrees("one\n...\ntwo\n", "one\nx\ny\ntwo\n")
    assert readme.agrees("one\n...\ntwo\n", "one\ntwo\n")
    assert not readme.agrees("one\ntwo\n", "one\nx\ntwo\n")
    assert not readme.agrees("one\n", "one\ntwo\n")
