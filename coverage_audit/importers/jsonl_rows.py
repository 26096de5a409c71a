"""Tables of text: one JSON object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pa_json

from coverage_audit.errors import LogError
from coverage_audit.importers.arrow_columns import to_block
from coverage_audit.importers.block import Block, bad_value, place
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.opened import Tell, opened

BLOCK = 8 << 20
"""Bytes of text that are read at once; no line may be longer."""


def read_jsonl(path: Path, columns: Columns, tell: Tell) -> Iterator[Block]:
    """The lines, some megabytes at a time.

    Raises :class:`LogError`: import-column, import-value; ``EOFError`` for compressed files that are cut off.
    """
    where = str(path)
    with opened(path, lambda _: None) as file:
        first = file.readline()
    if not first.strip():
        return
    try:
        facts = json.loads(first)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise bad_value(place(where, 1), "a line", first.decode("utf-8", "replace").strip(), wanted="a JSON object")
    columns = columns.found_in(list(facts), where)
    ids = facts[str(columns.ids)]
    kind = pa.list_(pa.int64()) if isinstance(ids, list) else pa.string() if isinstance(ids, str) else pa.int64()
    types = {name: pa.int64() for name in columns.wanted} | {str(columns.ids): kind}
    line = 1
    try:
        with opened(path, tell) as text, pa_json.open_json(
            pa.PythonFile(text, mode="r"),
            read_options=pa_json.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=pa_json.ParseOptions(
                explicit_schema=pa.schema(types), unexpected_field_behavior="ignore", newlines_in_values=False
            ),
        ) as reader:  # fmt: skip
            for batch in reader:
                yield to_block(batch, columns, where, line)
                line += len(batch)
    except pa.ArrowInvalid as error:
        row = re.search(r" in row (\d+)", str(error))
        at = place(where, line + int(row[1]) if row else line)
        why = str(error).removeprefix("JSON parse error: ").partition("\n")[0]
        raise LogError(f"{at}: {why}: correct the file there", slug="import-value") from error
