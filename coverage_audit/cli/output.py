"""``-f TYPE[:DEST]``: which reports are wanted, and where each goes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coverage_audit.errors import UsageError
from coverage_audit.result import AuditResult

FORMATS = ("text", "markdown", "total", "json")


@dataclass(frozen=True, slots=True)
class Output:
    """One report that is wanted. ``destination``: a file, or None for stdout."""

    format: str
    destination: Path | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """How text is laid out. ``width`` None: the terminal's, 80 where there is none; ``color``: auto, always, never."""

    width: int | None = None
    color: str = "auto"
    verbose: bool = False


if TYPE_CHECKING:
    _OutputParam = click.ParamType[Output]  # generic for type checkers only, before click 8.4
else:
    _OutputParam = click.ParamType


class OutputType(_OutputParam):
    """``text``, ``json:report.json``."""

    name = "TYPE[:DEST]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Output:
        if isinstance(value, Output):
            return value
        kind, colon, place = str(value).partition(":")
        if kind not in FORMATS:
            self.fail(f"format {kind!r} is unknown; known: {', '.join(FORMATS)}", param, ctx)
        if colon and not place:
            self.fail(f"{value!r} names no file: write {kind}:FILE, or {kind} alone for the screen", param, ctx)
        return Output(kind, Path(place) if place and place != "-" else None)


def deliver(outputs: Sequence[Output], results: Sequence[AuditResult], page: Page) -> None:
    """Render every output for all results and put it where it goes; files appear whole or not at all.

    Raises :class:`UsageError` for a destination that cannot be written, or is named twice.
    """
    files = [o.destination for o in outputs if o.destination is not None]
    for file in files:
        if files.count(file) > 1:
            raise UsageError(f"{file} is the destination of two formats: name two files", slug="same-destination")
    for output in outputs:
        if output.destination is None:
            say(render(output.format, results, page, sys.stdout.isatty()))
        else:
            save(output.destination, render(output.format, results, page, False).encode())


def save(path: Path, data: bytes) -> None:
    """Write one file. Raises :class:`UsageError` where that fails."""
    from coverage_audit.reporters.destination import write

    try:
        write(path, data)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{error.filename or path} cannot be written ({error.strerror or error}): name another destination",
        slug="unwritable-report",
    )


def render(kind: str, results: Sequence[AuditResult], page: Page, terminal: bool) -> str:
    """One format of all results: one after the other; several JSON documents become an array."""
    if kind == "json":
        from coverage_audit.reporters import json_file

        if len(results) == 1:
            return json_file.render(results[0])
        return json.dumps([json_file.document(r) for r in results], ensure_ascii=False, indent=1) + "\n"
    if kind == "total":
        from coverage_audit.reporters import total

        return "".join(total.render(r) for r in results)
    if kind == "markdown":
        from coverage_audit.reporters import markdown

        return "\n".join(markdown.render(r, verbose=page.verbose) for r in results)
    return "\n".join(text(r, page, terminal) for r in results)


def text(result: AuditResult, page: Page, terminal: bool) -> str:
    """The text report: colour and the terminal's width only on a terminal, unless they are asked for."""
    from coverage_audit.reporters import terminal as reporter

    color = page.color == "always" or (page.color == "auto" and terminal and not os.environ.get("NO_COLOR"))
    width = page.width
    if width is None:
        width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
    return reporter.render(result, width=width, color=color, verbose=page.verbose)


def say(words: str) -> None:
    """To stdout, with a ``?`` for what its encoding cannot say."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(words.encode(encoding, "replace").decode(encoding), nl=False, color=True)
