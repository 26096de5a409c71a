"""The content index of a dataset: a folder of columns by which any of its rows is found.

Format 1: ``index.json`` beside the columns (.npy) of two tables (see :mod:`~coverage_audit.sources.row_table`),
``rows-*`` for rows by their bytes and ``anchors-*`` for streams; either may be absent. ``index.json``::

    {"format": 1, "fingerprint": text, "transform": text or null, "window": int or null,
     "groups": int, "rows_in_groups": int, "tables": ["rows", "anchors"],
     "shards": [{"name", "rows", "bytes", "modified_ns", "dtype", "row_shape", "member"}]}

``groups`` of identical rows, and ``rows_in_groups``. ``window``: see :class:`~coverage_audit.sources.anchors.Spacing`.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from coverage_audit.errors import DatasetError
from coverage_audit.model.rows import RowSet
from coverage_audit.model.words import listed, several
from coverage_audit.sources.anchors import Spacing
from coverage_audit.sources.columns import Array, FileColumns, MakeColumn, MemoryColumn, map_column
from coverage_audit.sources.contents import Contents
from coverage_audit.sources.indexing import Kind, Told, Transform, index_rows, index_streams, kinds_of, refuse_short
from coverage_audit.sources.progress import Progress, progress_of
from coverage_audit.sources.row_table import COLUMNS, RowTable

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset
    from coverage_audit.sources.held import Held

FORMAT = 1
FACTS = "index.json"

State = tuple[int | None, int | None]


@dataclass(frozen=True, eq=False)
class ContentIndex:
    """Where the rows of a dataset are by what they hold; the columns are mapped, not read.

    ``path``: its folder, None in memory. ``rows``: rows by their bytes. ``anchors``, ``spacing``: places in streams.
    ``kinds``: per shard what its rows are, after ``transform`` (its name) if there was one.
    """

    path: Path | None
    rows: RowTable | None
    anchors: RowTable | None
    spacing: Spacing | None
    kinds: tuple[Kind, ...]
    transform: str | None = None

    def __repr__(self) -> str:
        found = [] if self.rows is None else [several(len(self.rows.hashes), "different row")]
        if self.spacing is not None:
            found.append(f"pieces of streams from {self.spacing.shortest} numbers on")
        after = "" if self.transform is None else f" after {self.transform}"
        parts = [f"{listed(found)} of {several(len(self.kinds), 'shard')}{after}"]
        if self.groups:
            parts.append(f"{several(self.rows_in_groups, 'identical row')} in {several(self.groups, 'group')}")
        parts.append("in memory" if self.path is None else f"in {self.path}")
        return f"ContentIndex({'; '.join(parts)})"

    @property
    def groups(self) -> int:
        """How many groups of identical rows there are."""
        return 0 if self.rows is None else self.rows.groups

    @property
    def rows_in_groups(self) -> int:
        return 0 if self.rows is None else self.rows.rows_in_groups

    def limited_to(self, selected: RowSet | None) -> ContentIndex:
        """The same index for a selection of the rows: identical rows outside of it are not meant."""
        if selected is None or self.rows is None or not self.rows.groups:
            return self
        return replace(self, rows=self.rows.limited_to(selected))


def index_in_memory(contents: Contents, rows: Sequence[int]) -> ContentIndex:
    """An index of everything, without a file; ``rows`` per shard. Raises :class:`DatasetError`."""
    return _made(None, contents, rows, MemoryColumn, lambda _: None, None)


def index_in_folder(dataset: Dataset, folder: Path, told: Told, transform: Transform | None = None) -> ContentIndex:
    """Write the index, whole or not at all, in place of an earlier one.

    Raises :class:`DatasetError`: unwritable-index, not-an-index (something else is there), rows-too-short, and those of
    :class:`Contents`.
    """
    _refuse_foreign(folder)
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    contents = Contents(dataset)
    try:
        try:
            draft.mkdir(parents=True)
            states = _states(dataset)
            with closing(FileColumns(draft)) as columns:
                made = _made(folder, contents, [s.rows for s in dataset.shards], columns, told, transform)
            for scrap in draft.glob("*unsorted*"):
                scrap.unlink()
            facts = _facts(dataset, made, states)
            (draft / FACTS).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            if states != _states(dataset):
                raise DatasetError(
                    "the files changed while they were indexed: index again when they are complete", slug="changed-file"
                )
            _put(draft, folder)
        except OSError as error:
            raise DatasetError(
                f"the index cannot be written to {folder} ({error.strerror or error}): name a folder that can be "
                "written with path=",
                slug="unwritable-index",
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    opened = open_index(folder, dataset)
    if opened is None:
        raise DatasetError(f"{folder} was changed while it was written: index again", slug="unwritable-index")
    return opened


def index_held(
    dataset: Dataset, held: Held, path: Any, progress: Progress, transform: Transform | None
) -> ContentIndex:
    """Index arrays in memory (and the files beside them), in memory, for all recorders of this process.

    Raises :class:`DatasetError`: unwritable-index if a ``path`` is given, rows-too-short, and those of
    :class:`Contents`.
    """
    if path is not None:
        raise DatasetError(
            f"path={path!r} for arrays in memory: nothing would say whether a file still fits them: leave it out "
            "and index them in each process",
            slug="unwritable-index",
        )
    held.take(progress)
    rows = [shard.rows for shard in dataset.shards]
    n = dataset.shards.n_ids
    with progress_of(progress, f"index of {n:,} rows", 2 * n) as told:
        held.index = _made(None, Contents(dataset), rows, MemoryColumn, told, transform)
    return held.index.limited_to(dataset.shards.selected)


def open_index(folder: Path, dataset: Dataset) -> ContentIndex | None:
    """The index in a folder; None if there is none, or if it is not of exactly this data as it is now."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT or facts["fingerprint"] != dataset.fingerprint:
            return None
        shards = facts["shards"]
        if [(s["bytes"], s["modified_ns"]) for s in shards] != _states(dataset):
            return None
        kinds = tuple(Kind(_type_of(s["dtype"]), tuple(s["row_shape"]), s["member"]) for s in shards)
        tables = {name: _table(folder, name) for name in facts["tables"]}
        return ContentIndex(
            folder,
            tables.get("rows"),
            tables.get("anchors"),
            None if facts["window"] is None else Spacing(int(facts["window"])),
            kinds,
            facts["transform"],
        )
    except (OSError, ValueError, KeyError, TypeError, SyntaxError):
        return None  # absent, cut short or not ours: without an index nothing is wrong, only slower


def find_index(dataset: Dataset) -> ContentIndex | None:
    """The index that fits this dataset, from wherever :meth:`Dataset.index` puts it; None if there is none.

    For a selection it is that of the whole data, limited to the selection.
    """
    if dataset.held is not None:
        return None if dataset.held.index is None else dataset.held.index.limited_to(dataset.shards.selected)
    for folder in places_of(dataset):
        found = open_index(folder, dataset)
        if found is not None:
            return found.limited_to(dataset.shards.selected)
    return None


def places_of(dataset: Dataset) -> list[Path]:
    """Folders in which an index is looked for; the first is where one is made."""
    places = [] if dataset.index_folder is None else [dataset.index_folder]
    if dataset.manifest is not None:
        places.append(dataset.manifest.with_name(f"{dataset.manifest.name}.index"))
    folders = {path.absolute().parent for path in dataset.paths if path is not None}
    if folders and None not in dataset.paths:
        shared = Path(os.path.commonpath(sorted(folders)))
        places.append(shared / f"coverage-audit-{dataset.fingerprint}.index")
    return places


def _made(
    path: Path | None,
    contents: Contents,
    rows: Sequence[int],
    column: MakeColumn,
    told: Told,
    transform: Transform | None,
) -> ContentIndex:
    offsets = np.concatenate(([0], np.cumsum(np.asarray(rows, np.int64)))).astype(np.int64)
    kinds = kinds_of(contents, len(rows))
    name = None if transform is None else getattr(transform, "__qualname__", type(transform).__name__)
    streams = None
    if transform is None:
        streams = index_streams(contents, kinds, offsets, _prefixed("anchors", column), told)
    table, kinds = index_rows(contents, kinds, offsets, _prefixed("rows", column), told, transform)
    if table is None and streams is None:
        raise refuse_short(kinds)
    anchors, spacing = (None, None) if streams is None else streams
    return ContentIndex(path, table, anchors, spacing, kinds, name)


def _prefixed(prefix: str, column: MakeColumn) -> MakeColumn:
    return lambda name, dtype: column(f"{prefix}-{name}", dtype)


def _table(folder: Path, name: str) -> RowTable:
    columns: dict[str, Array] = {column: map_column(folder / f"{name}-{column}.npy") for column in COLUMNS}
    return RowTable(**columns)


def _facts(dataset: Dataset, made: ContentIndex, states: list[State]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "fingerprint": dataset.fingerprint,
        "transform": made.transform,
        "window": None if made.spacing is None else made.spacing.window,
        "groups": made.groups,
        "rows_in_groups": made.rows_in_groups,
        "tables": [n for n, table in (("rows", made.rows), ("anchors", made.anchors)) if table is not None],
        "shards": [
            {
                "name": shard.name,
                "rows": shard.rows,
                "bytes": size,
                "modified_ns": modified,
                "dtype": _type_text(kind.dtype),
                "row_shape": list(kind.row_shape),
                "member": kind.member,
            }
            for shard, kind, (size, modified) in zip(dataset.shards, made.kinds, states, strict=True)
        ],
    }


def _type_text(dtype: np.dtype[Any]) -> str:
    """As in the header of a .npy file."""
    return repr(npy_format.dtype_to_descr(dtype))


def _type_of(text: str) -> np.dtype[Any]:
    return npy_format.descr_to_dtype(ast.literal_eval(text))


def _states(dataset: Dataset) -> list[State]:
    """Per shard the size of its files in bytes and when they were last changed, as they are now.

    Raises ``OSError`` if one is gone.
    """
    return [(None, None) if path is None else _state(path) for path in dataset.paths]


def _state(path: Path) -> State:
    if not path.is_dir():
        facts = path.stat()
        return facts.st_size, facts.st_mtime_ns
    inside = [os.stat(os.path.join(where, name)) for where, _, names in os.walk(path) for name in names]
    return sum(facts.st_size for facts in inside), max((facts.st_mtime_ns for facts in inside), default=0)


def _refuse_foreign(folder: Path) -> None:
    """Only an index may be replaced by one."""
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and ((folder / FACTS).is_file() or not any(folder.iterdir())):
        return
    raise DatasetError(
        f"{folder} is there and is no index: name another folder with path=, or move it away", slug="not-an-index"
    )


def _put(draft: Path, folder: Path) -> None:
    """Move the draft into place. Whoever has an earlier index mapped keeps it."""
    old = folder.with_name(f"{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
