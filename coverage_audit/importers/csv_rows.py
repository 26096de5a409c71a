"""Tables of text: csv (commas) and tsv (tabs), with a header line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from coverage_audit.errors import LogError
from coverage_audit.importers.arrow_columns import to_block
from coverage_audit.importers.block import Block, bad_value, place
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.opened import Tell, opened

BLOCK = 8 << 20
"""Bytes of text that are read at once; no line may be longer."""
_HEAD = 1 << 20
_IDS = re.compile(r"\[?-?\d+([ ,;]+-?\d+)*\]?")
_SEPARATORS = ("\t", ",", ";", "|")


def read_csv(path: Path, columns: Columns, tell: Tell, delimiter: str = ",") -> Iterator[Block]:
    """The lines below the header, some megabytes of text at a time.

    Raises :class:`LogError`: import-column, import-value, import-files; ``EOFError`` for compressed files that are cut
    off.
    """
    where = str(path)
    names, first = _head(path, delimiter)
    _require_header(names, where, delimiter)
    columns = columns.found_in(names, where)
    if first is None:
        return
    # A line of one id says nothing of the others: they are looked at as text.
    types = {name: pa.int64() for name in columns.wanted} | {str(columns.ids): pa.string()}
    convert = pa_csv.ConvertOptions(
        column_types=types, include_columns=columns.wanted, null_values=[""], strings_can_be_null=False
    )
    line = 2
    try:
        with opened(path, tell) as file, pa_csv.open_csv(
            pa.PythonFile(file, mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=True),
            convert_options=convert,
        ) as reader:  # fmt: skip
            for batch in reader:
                yield to_block(batch, columns, where, line)
                line += len(batch)
    except pa.ArrowInvalid as error:
        raise _refused(str(error), where, names, line) from error


def _require_header(names: list[str], where: str, delimiter: str) -> None:
    """Refuse first lines that name no columns, in words that say why."""
    shown = repr(delimiter.join(names)[:60])
    if not names:
        raise LogError(f"{where} is empty: name the files of the log", slug="import-files")
    if any("\0" in name for name in names):
        raise LogError(f"{where}: its first line {shown} is no UTF-8 text: convert it", slug="import-column")
    if all(_IDS.fullmatch(name.strip()) for name in names):
        otherwise = " (a file without, of one line per step, is imported as 'olmo')" if delimiter == "\t" else ""
        raise LogError(
            f"{where}: its first line {shown} is no header: begin the file with one, such as step{delimiter}id"
            f"{otherwise}",
            slug="import-column",
        )
    other = next((sign for sign in _SEPARATORS if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        kind = {",": "import it as csv", "\t": "import it as tsv"}.get(other, "separate it by commas")
        raise LogError(f"{where}: its header {shown} is separated by {other!r}: {kind}", slug="import-column")


def _head(path: Path, delimiter: str) -> tuple[list[str], list[str] | None]:
    """The header and the first line below it, None where there is none."""
    with opened(path, lambda _: None) as file:
        text = file.read(_HEAD).decode("utf-8-sig", "replace")
    lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    return next(lines, []), next(lines, None)


def _refused(message: str, where: str, names: list[str], line: int) -> LogError:
    """Arrow's complaint by our place: it counts lines from the header on, over the whole file."""
    row = re.search(r"Row #(\d+)", message)
    at = place(where, int(row[1]) if row else line)
    value = re.search(r"invalid value '(.*)'", message, re.DOTALL)
    column = re.search(r"CSV column #(\d+)", message)
    if value is not None:
        return bad_value(at, names[int(column[1])] if column else "a value", value[1])
    counted = re.search(r"Expected (\d+) columns, got (\d+)", message)
    if counted is not None:
        return LogError(
            f"{at}: {counted[2]} fields under a header of {counted[1]}: put lists of ids in quotes, or separate them "
            "by spaces",
            slug="import-value",
        )
    if "null" in message.lower():
        return bad_value(at, "a value", "")
    return LogError(f"{at}: {message}: correct the file there", slug="import-value")
