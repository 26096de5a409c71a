"""The report without its tables: verdict, findings, fixes. What a failing test says."""

from __future__ import annotations

import re
from dataclasses import replace

from coverage_audit.reporters import terminal
from coverage_audit.reporters.view import SplitView, view
from coverage_audit.reporters.view_tables import Table
from coverage_audit.result import AuditResult

_NO_TABLE = Table("", (), ())


def render(result: AuditResult, *, width: int = 100) -> str:
    """Ends in a newline. The commands that need the log are left out: that of a test is gone by then."""
    seen = view(result)
    pages = replace(seen, splits=tuple(map(_without_tables, seen.splits)), next=())
    return re.sub(r"\n{3,}", "\n\n", terminal.render_view(pages, width=width))


def _without_tables(split: SplitView) -> SplitView:
    return replace(split, epochs=_NO_TABLE, notes=(), details=())
