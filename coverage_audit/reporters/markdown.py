"""The report as markdown: for a pull request, a wiki, a CI summary."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from coverage_audit.reporters.view import view
from coverage_audit.reporters.view_tables import Line, Table
from coverage_audit.result import AuditResult

# What markdown or the HTML inside it could take for markup. Dots, dashes and brackets of numbers stay readable.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$])")


def render(result: AuditResult, *, verbose: bool = False) -> str:
    """One document, ending in a newline. Names and messages are escaped; none can add markup or table cells."""
    return _template().render(report=view(result, verbose=verbose)).rstrip() + "\n"


def escape(text: object) -> str:
    """``text`` as it will be read: ``a|b*`` -> ``a\\|b\\*``; an ampersand is left unless it begins an entity."""
    escaped = _SPECIAL.sub(r"\\\1", str(text))
    return re.sub(r"&(?=#|\w+;)", "&amp;", escaped)


def code(text: str) -> Markup:
    """``text`` as inline code, with a fence longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Markup(fence + space + text + space + fence)


def table(value: Table) -> Markup:
    """A pipe table; a line that stands for others left out fills the first cell."""
    width = len(value.columns)
    lines = [
        _pipes([c.title for c in value.columns]),
        "|" + "|".join("--:" if c.right else ":--" for c in value.columns) + "|",
    ]
    for line in value.lines:
        if isinstance(line, Line):
            cells = [escape(cell) for cell in line.cells]
            lines.append(_pipes([f"**{c}**" if i in line.alarms else c for i, c in enumerate(cells)]))
        else:
            lines.append(_pipes([escape(line.text), *[""] * (width - 1)]))
    return Markup("\n".join(lines))


def _pipes(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("coverage_audit.reporters", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # HTML autoescaping would turn quotes into entities that markdown shows; `finalize` escapes for markdown.
        autoescape=False,
        finalize=lambda value: value if isinstance(value, Markup) else escape(value),
    )
    environment.filters["markup"] = Markup
    environment.filters["code"] = code
    environment.filters["table"] = table
    return environment.get_template("report.md.jinja")
