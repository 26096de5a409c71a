"""What one benchmark found: a table, the aims it was held against, and how to read it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """An aim, what was measured, and whether it was met. Said, never asserted: the machine may be busy."""

    aim: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Section:
    """``rows`` have one text per column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    targets: tuple[Target, ...]
    notes: str


def render(section: Section, width: int | None = None) -> str:
    """The section as text of ``width`` columns (None: the terminal's, at least 100)."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console, Group
    from rich.table import Table
    from rich.text import Text

    table = Table(title=section.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for at, column in enumerate(section.columns):
        table.add_column(column, justify="left" if at == 0 else "right")
    for row in section.rows:
        table.add_row(*row)
    verdicts = [
        Text(f"  {'met' if t.met else 'NOT MET':<8} {t.aim}: {t.measured}", style="green" if t.met else "yellow")
        for t in section.targets
    ]
    console = Console(width=width or max(shutil.get_terminal_size((110, 24)).columns, 100))
    with console.capture() as capture:
        console.print(Group(table, Text(section.notes, style="dim"), *verdicts))
    return capture.get()
