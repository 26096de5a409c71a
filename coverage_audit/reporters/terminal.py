"""The report as text for a terminal: no line is wider than the page, colour only where it is asked for."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from coverage_audit.reporters.view import ReportView, SplitView, view
from coverage_audit.reporters.view_findings import FindingView
from coverage_audit.reporters.view_tables import Gap, Line, Table
from coverage_audit.result import AuditResult, Verdict

NARROWEST = 40
GLUE = "\ue000"  # of private use and one cell wide: stands for a space while lines are broken
STYLES = {"PASS": "bold green", "FAIL": "bold red", "INCOMPLETE": "bold magenta", "warn": "yellow", "info": "cyan"}
LABELS = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.INCOMPLETE: "INCOMPLETE"}


def render(result: AuditResult, *, width: int = 80, color: bool = False, verbose: bool = False) -> str:
    """The report, ending in a newline. ``width`` in terminal cells, at least 40; ``color`` adds ANSI codes."""
    return render_view(view(result, verbose=verbose), width=width, color=color)


def render_view(report: ReportView, *, width: int = 80, color: bool = False) -> str:
    """The same for a view that is already worded."""
    page = _Page(max(width, NARROWEST), color)
    return page.text(_lines(report, page))


class _Page:
    """Wrapping and styling for one width."""

    def __init__(self, width: int, color: bool) -> None:
        self.width = width
        self._out = io.StringIO()
        self._console = Console(
            file=self._out, width=width, force_terminal=color, color_system="standard" if color else None,
            no_color=not color, highlight=False, markup=False, emoji=False, legacy_windows=False,
        )  # fmt: skip

    def text(self, lines: Iterator[Text]) -> str:
        for line in lines:
            line.rstrip()
            self._console.print(line, soft_wrap=True)
        return self._out.getvalue()

    def wrap(self, text: Text, first: int = 0, rest: int = 0) -> Iterator[Text]:
        """``text`` over as many lines as it needs, the first indented by ``first``, the others by ``rest``."""
        text = _glued(text)
        head, *more = text.wrap(self._console, self.width - first) or [Text()]
        if more and first != rest:
            # Lines after the first have another room, so what did not fit is wrapped again for it.
            tail = text[len(head.plain) :]
            head.rstrip()
            offset = len(tail.plain) - len(tail.plain.lstrip())
            more = list(tail[offset:].wrap(self._console, self.width - rest))
        yield _indented(_unglued(head), first)
        for line in more:
            yield _indented(_unglued(line), rest)


def _glued(text: Text) -> Text:
    """The text with formulas such as ``ceil(n / 64)`` in one piece, so that no line breaks inside them."""
    glued = text.copy()
    glued.plain = re.sub(r"(?<=\w) / (?=\w)", f"{GLUE}/{GLUE}", glued.plain)
    return glued


def _unglued(text: Text) -> Text:
    text.plain = text.plain.replace(GLUE, " ")
    return text


def _lines(report: ReportView, page: _Page) -> Iterator[Text]:
    for position, split in enumerate(report.splits):
        if position > 0:
            yield Text()
        yield from _split(split, page)
    if report.conclusion:
        yield from _facts(("coverage-audit", (report.log,)), page)
        yield Text()
        yield from _verdict(LABELS[report.verdict], report.conclusion, page)
    if report.findings and report.splits:
        yield Text()
        yield from page.wrap(Text("the run as a whole", "bold"))
    for finding in report.findings:
        yield from _finding(finding, page)
    if report.next:
        yield from _joined("next: ", report.next, page, "dim")


def _split(split: SplitView, page: _Page) -> Iterator[Text]:
    yield from _facts(("coverage-audit", split.facts), page)
    yield Text()
    if split.epochs.lines:
        yield from _table(split.epochs, page)
    for note in split.notes:
        yield from page.wrap(Text(note), 2, 4)
    for table in split.details:
        yield Text()
        yield from _table(table, page)
    yield Text()
    label = LABELS[split.verdict]
    if split.conclusion:
        yield from _verdict(label, split.conclusion, page)
    if split.remark:
        yield from page.wrap(Text(split.remark, "dim"), 8, 8)
    for finding in split.findings:
        yield from _finding(finding, page)
    if split.hidden:
        yield from page.wrap(Text(split.hidden, "dim"))


def _facts(heading: tuple[str, Sequence[str]], page: _Page) -> Iterator[Text]:
    title, facts = heading
    yield from _joined(f"{title}  ", facts, page, "", "bold")


def _joined(head: str, parts: Sequence[str], page: _Page, style: str, head_style: str | None = None) -> Iterator[Text]:
    """Parts with `` · `` between them; a line is broken after a dot where it can be."""
    indent = cell_len(head) if cell_len(head) <= 8 else 8
    line = Text.assemble((head, style if head_style is None else head_style))
    for used, part in enumerate(parts):
        item = Text(part, style)
        dot = Text(" · ", style or "dim") if used else Text()
        if used and cell_len(line.plain) + 2 + 3 + cell_len(part) > page.width:
            line.append_text(Text(" ·", style or "dim"))
            yield from page.wrap(line, 0, indent)
            line = Text(" " * indent).append_text(item)
        else:
            line.append_text(dot).append_text(item)
    yield from page.wrap(line, 0, indent)


def _verdict(label: str, sentence: str, page: _Page) -> Iterator[Text]:
    yield from page.wrap(Text.assemble((label, STYLES[label]), "  ", sentence), 0, 8)


def _finding(finding: FindingView, page: _Page) -> Iterator[Text]:
    title = (f"{finding.code} {finding.name}", "bold")
    head = Text.assemble((finding.label, STYLES[finding.label]), "  ", title, "   ", finding.message)
    yield from page.wrap(head, 0, 8)
    for text, style in ((finding.cause, ""), (finding.extent, "")):
        if text:
            yield from page.wrap(Text(text, style), 8, 8)
    if finding.fix:
        yield from page.wrap(Text.assemble(("fix: ", "bold"), finding.fix), 8, 13)


def _table(table: Table, page: _Page) -> Iterator[Text]:
    if table.title:
        yield from page.wrap(Text(table.title, "bold"), 2, 4)
    shown, gap, widths = _fit(table, page.width - 2)
    yield _row([table.columns[i].title for i in shown], table, shown, widths, gap).copy()
    for line in table.lines:
        if isinstance(line, Gap):
            yield from page.wrap(Text(line.text, "dim"), 2, 4)
        else:
            yield _row([line.cells[i] for i in shown], table, shown, widths, gap, line)
    left_out = [c.title for i, c in enumerate(table.columns) if i not in set(shown)]
    if left_out:
        yield from page.wrap(Text(f"(too narrow for: {', '.join(left_out)})", "dim"), 2, 4)


def _fit(table: Table, room: int) -> tuple[list[int], int, list[int]]:
    """Which columns fit, the gap between them, and their widths: first closer together, then fewer, then cut."""
    lines = [line for line in table.lines if isinstance(line, Line)]
    wide = [max([cell_len(c.title), *(cell_len(line.cells[i]) for line in lines)]) for i, c in enumerate(table.columns)]
    shown = list(range(len(table.columns)))
    while True:
        for gap in (3, 2):
            if sum(wide[i] for i in shown) + gap * (len(shown) - 1) <= room:
                return shown, gap, [wide[i] for i in shown]
        drops = [i for i in shown if table.columns[i].drop > 0]
        if not drops:
            break
        shown.remove(max(drops, key=lambda i: table.columns[i].drop))
    widths = [wide[i] for i in shown]
    excess = sum(widths) + 2 * (len(shown) - 1) - room
    widest = widths.index(max(widths))
    widths[widest] = max(1, widths[widest] - excess)
    return shown, 2, widths


def _row(
    cells: list[str], table: Table, shown: list[int], widths: list[int], gap: int, line: Line | None = None
) -> Text:
    out = Text("  ")
    for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        column = table.columns[shown[at]]
        fitted = cell if cell_len(cell) <= width else _elided(cell, width)
        pad = " " * (width - cell_len(fitted))
        style = "dim" if line is None else ("bold red" if shown[at] in line.alarms else "")
        out.append(" " * gap if at else "")
        out.append(Text(pad + fitted if column.right else fitted + pad, style))
    return out


def _elided(text: str, width: int) -> str:
    """The end of a name says more than its beginning: ``…-00017.npy``."""
    if width <= 1:
        return set_cell_size("…", width)
    kept = text
    while cell_len(kept) > width - 1:
        kept = kept[1:]
    return "…" + kept


def _indented(line: Text, indent: int) -> Text:
    line.rstrip()
    return Text(" " * indent).append_text(line) if indent else line
