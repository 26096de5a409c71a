"""What helps where the rows of batches are unknown, by the reason the recorder gave."""

from __future__ import annotations

from collections.abc import Iterable

INDEX = "index the data once, `ca.Dataset.open(...).index()`, and record again: the index is found beside the data"
TRANSFORM = (
    "index the data with the function that changes its values, Dataset.index(transform=function), and declare every "
    "file that is read"
)
DECLARE = "declare the data: --data of `coverage-audit run`, or the dataset of wrap()"
UNCHANGED = "leave the files alone during training"
NEW_ARRAYS = "yield a new array for each batch (batch.copy())"
MEND_IDS = "give one whole number per row of the batch with ids=: its row, counted over all shards"
ONE_ROW = "declare batch_size=1 where each batch is one row; else give one whole number per row of it with ids="
WHERE_IDS = (
    "say with ids= where the batches have their ids: a key, a tuple position, or a callable that gives one whole "
    "number per row"
)
COPIES = "yield a copy of each batch (batch.copy()), or shuffle an index in place of the data (x[order[i:j]])"
SAY = "let the batch say its rows: ids= of wrap() (a key, a position or a callable)"
ALL_ROWS = "declare all rows that the loader's dataset is made of, and those that are used with Dataset.select()"
COLUMN = "add the column of row numbers, add_column('__row__', range(n)), before to_iterable_dataset()"
LINES = "import a log that has these steps; nothing else tells what they held"
FOLLOW = (
    "run the script under `coverage-audit run --data ...`, or wrap before the files are opened; else index the data "
    "(Dataset.index), or give ids= (a key, a position or a callable)"
)

# In place of some of these, where the data is in no file: arrays in memory, or a length.
NOT_IN_FILES = {
    FOLLOW: (
        "let the batch say its rows: ids= of wrap() (a key, a position or a callable); rows of arrays in memory are "
        "recognised where batches hold them whole and unchanged"
    ),
    TRANSFORM: (
        "index the data with the function that changes its values, Dataset.index(transform=function), and declare "
        "every array that is read; else give ids= (a key, a position or a callable)"
    ),
    INDEX: "index the data before it is wrapped, Dataset.index()",
}

# Words of a reason or its detail, the more telling ones first.
BY_WORDS = (
    ("the imported log", LINES),
    ("the examples have no column", COLUMN),
    ("the loader's dataset is made of", ALL_ROWS),
    ("Dataset.index()", INDEX),
    ("rows that are not in the data", TRANSFORM),
    ("no data is declared", DECLARE),
    ("changed while the run went on", UNCHANGED),
    ("writes every batch into the same memory", NEW_ARRAYS),
    ("writes into the memory of batches", COPIES),
    ("too short", SAY),
    ("constant", SAY),
    ("in more ways than one", SAY),
    ("in too many places", SAY),
    ("nothing says that the batch is one row", ONE_ROW),
    ("the batch has no key", WHERE_IDS),
    ("the batch has no position", WHERE_IDS),
    ("the callable of ids= raised", WHERE_IDS),
    ("the ids ", MEND_IDS),
    ("the shard numbers do not fit", MEND_IDS),
    ("number of ids", MEND_IDS),
)


def remedy_for(reasons: Iterable[str], *, in_files: bool = True) -> str:
    """One remedy per kind of reason, each said once; the general one where no reason is known. ``in_files``: the
    declared data is, as far as the log says."""
    found = [next((remedy for words, remedy in BY_WORDS if words in reason), FOLLOW) for reason in reasons] or [FOLLOW]
    return "; ".join(dict.fromkeys(found if in_files else (NOT_IN_FILES.get(one, one) for one in found)))
