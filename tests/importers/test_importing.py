"""Logs of every format, imported: the same counts as if a recorder had been there."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from import_formats import FORMS, Steps, write_olmo

import coverage_audit as ca
from coverage_audit.counts.tables import SplitCounts
from coverage_audit.errors import LogError
from coverage_audit.importers import csv_rows, jsonl_rows, olmo
from coverage_audit.importers.columns import Columns
from coverage_audit.importers.importing import Imported, Reading, import_log
from coverage_audit.model.event import Batch, BatchRows, Consumed, Event, Found, Mark, MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shards
from coverage_audit.testing.logs import write_log
from coverage_audit.testing.runs import shards_of

EVERY_FORM = pytest.mark.parametrize("form", FORMS)


def read_in(
    kind: str, files: list[Path] | Path, log: Path, shards: Shards | None, reading: Reading | None = None, **info: Any
) -> Imported:
    fingerprint = None if shards is None else shards.fingerprint
    paths = files if isinstance(files, list) else [files]
    return import_log(cast(Any, kind), paths, log, SplitInfo("train", fingerprint, **info), shards, reading)


def counted(log: Path) -> SplitCounts:
    (split,) = ca.audit(log).splits
    return split.counts


def codes(log: Path) -> list[str]:
    return [f.code for f in ca.audit(log).findings if f.severity.value in ("error", "incomplete")]


def recorded(log: Path, shards: Shards, steps: Steps, **info: Any) -> None:
    """What a recorder would have left of these steps."""
    events: list[Event] = [Mark(MarkKind.OPENED, "train", 0, {"segment": 1})]
    events.append(Mark(MarkKind.FIT_BEGIN, "train", 0, {"peek": -1}))
    for number, (_, ids) in enumerate(steps):
        rows = BatchRows(len(ids), ids=np.array(ids, np.int64))
        events += [Batch("train", number, rows, int(Found.EXPLICIT), 1), Consumed("train", 1)]
    events += [Mark(MarkKind.FIT_END, "train"), Mark(MarkKind.IDLE, "train"), Mark(MarkKind.CLOSED)]
    write_log(log, shards, events, splits=[SplitInfo("train", shards.fingerprint, **info)])


@EVERY_FORM
def test_a_run_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    """GIVEN two passes of 10 rows in shards of 6 and 4, 3 a batch THEN every form tells these epochs."""
    order = [0, 5, 9, 2, 1, 3, 4, 8, 7, 6]
    steps = [(1 + 4 * e + b, order[3 * b : 3 * b + 3]) for e in range(2) for b in range(4)]
    kind, path = FORMS[form](tmp_path, steps)

    made = read_in(kind, path, tmp_path / "run.parquet", shards_of(6, 4), steps_per_epoch=4)

    assert (made.steps, made.ids, made.ranks, made.attempts, made.missing) == (8, 20, (0,), 1, 0)
    split = counted(tmp_path / "run.parquet")
    assert (split.counts, split.epochs_from, split.steps) == ("trained", "steps_per_epoch", 8)
    assert [(e.complete, e.steps, e.visits, e.missed.size, e.surplus) for e in split.epochs] == 2 * [
        (True, 4, 10, 0, 0)
    ]
    assert split.found == {"explicit": 20}
    assert ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.PASS


ids_of_a_step = st.lists(st.integers(0, 30), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(ids_of_a_step, min_size=1, max_size=12),
    first=st.sampled_from([0, 1]),
    form=st.sampled_from(list(FORMS)),
    size=st.integers(64, 300),
    steps_per_epoch=st.none() | st.integers(1, 4),
)
def test_what_is_imported_counts_as_what_is_recorded(
    batches: list[list[int]], first: int, form: str, size: int, steps_per_epoch: int | None
) -> None:
    """However the file is cut into pieces, and with ids that repeat or are outside the data."""
    steps = [(first + i, ids) for i, ids in enumerate(batches)]
    shards = shards_of(11, 7, 9)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        for module in (olmo, csv_rows, jsonl_rows):
            patch.setattr(module, "BLOCK", size)
        kind, path = FORMS[form](folder, steps)
        read_in(kind, path, folder / "imported.parquet", shards, steps_per_epoch=steps_per_epoch)
        recorded(folder / "recorded.parquet", shards, steps, steps_per_epoch=steps_per_epoch)
        a, b = counted(folder / "imported.parquet"), counted(folder / "recorded.parquet")
        assert a.run_visits.tolist() == b.run_visits.tolist()
        assert repr((a.epochs, a.passes, a.outside_rows)) == repr((b.epochs, b.passes, b.outside_rows))
        assert (a.steps, a.visits, a.batch_sizes, a.epochs_from) == (b.steps, b.visits, b.batch_sizes, b.epochs_from)


def test_a_matrix_of_ids_is_a_step_a_row(tmp_path: Path) -> None:
    np.save(tmp_path / "order.npy", np.arange(12).reshape(4, 3))
    made = read_in("npy", tmp_path / "order.npy", tmp_path / "run.parquet", shards_of(12))
    assert (made.steps, made.ids) == (4, 12)
    assert counted(tmp_path / "run.parquet").batch_sizes == {3: 4}


def test_two_columns_are_pairs_unless_they_are_said_to_be_a_matrix(tmp_path: Path) -> None:
    np.save(tmp_path / "order.npy", np.arange(12).reshape(6, 2))
    read_in("npy", tmp_path / "order.npy", tmp_path / "run.parquet", shards_of(12), Reading(layout="matrix"))
    assert counted(tmp_path / "run.parquet").batch_sizes == {2: 6}


def test_files_of_ranks_are_ranks_and_files_of_one_rank_follow_each_other(tmp_path: Path) -> None:
    files = [
        write_olmo(tmp_path / "rank0.tsv.gz", [(1, [0, 1])]),
        write_olmo(tmp_path / "rank1.tsv.gz", [(1, [2, 3]), (2, [6, 7])]),
        write_olmo(tmp_path / "more-rank0.tsv.gz", [(2, [4, 5])]),
    ]
    made = read_in("olmo", files, tmp_path / "run.parquet", shards_of(8), steps_per_epoch=2)
    assert (made.ranks, made.attempts, made.steps) == ((0, 1), 1, 4)
    split = counted(tmp_path / "run.parquet")
    assert [(w.rank, w.steps, w.visits) for w in split.writers] == [(0, 2, 4), (1, 2, 4)]
    assert [(e.complete, e.missed.size) for e in split.epochs] == [(True, 0)]


def test_a_column_of_ranks(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("rank,step,id\n0,0,0\n1,0,1\n0,0,2\n1,1,3\n0,1,4\n1,1,5\n")
    made = read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(6), steps_per_epoch=2)
    assert made.ranks == (0, 1)
    split = counted(tmp_path / "run.parquet")
    assert [(w.rank, w.steps, w.visits) for w in split.writers] == [(0, 2, 3), (1, 2, 3)]
    assert ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.PASS


def test_a_rank_that_left_no_line_is_missed(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("rank,step,id\n0,0,0\n2,0,1\n")
    read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(2))
    assert {end.writer.world_size for end in ca.audit(tmp_path / "run.parquet").run.writers} == {3}


# Epochs.


def epochs_of(log: Path) -> list[tuple[int | None, bool, int, int]]:
    return [(e.number, e.complete, e.steps, e.missed.size) for e in counted(log).epochs]


@pytest.mark.parametrize("numbers", ["over the run", "within each epoch"])
def test_epochs_as_the_log_tells_them(numbers: str, tmp_path: Path) -> None:
    """GIVEN three epochs of two steps over 4 rows, the second one short of a row."""
    steps = [(0, 0, "0 1"), (0, 1, "2 3"), (1, 2, "3 2"), (1, 3, "1"), (2, 4, "0 2"), (2, 5, "1 3")]
    lines = (f"{e},{s if numbers == 'over the run' else s % 2},{ids}" for e, s, ids in steps)
    (tmp_path / "log.csv").write_text("\n".join(["epoch,step,ids", *lines]))
    made = read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(4))
    assert (made.attempts, made.missing) == (1, 0)
    assert epochs_of(tmp_path / "run.parquet") == [(0, True, 2, 0), (1, True, 2, 1), (2, True, 2, 0)]


@pytest.mark.parametrize(("finished", "whole"), [(False, False), (True, True)])
def test_a_last_epoch_shorter_than_others_is_judged_if_the_run_is_said_to_be_over(
    finished: bool, whole: bool, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text("epoch,step,ids\n0,0,0 1\n0,1,2 3\n1,2,0 1\n")
    read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(4), Reading(finished=finished))
    assert epochs_of(tmp_path / "run.parquet") == [(0, True, 2, 0), (1, whole, 1, 2)]


# Restarts, gaps, ends.


def test_a_log_that_goes_back_was_restarted_there(tmp_path: Path) -> None:
    """GIVEN steps 1-6, and again from 4 on with the same rows THEN the final weights saw each row once."""
    rows = {s: [3 * s - 3, 3 * s - 2, 3 * s - 1] for s in range(1, 9)}
    lines = [(s, rows[s]) for s in (1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8)]
    made = read_in("olmo", write_olmo(tmp_path / "rank0.tsv.gz", lines), tmp_path / "run.parquet", shards_of(24),
                   steps_per_epoch=8)  # fmt: skip
    assert (made.attempts, made.steps) == (2, 11)
    assert made.restarts == ((f"{tmp_path / 'rank0.tsv.gz'}:7", 4),)
    split = counted(tmp_path / "run.parquet")
    assert [(e.complete, e.missed.size, e.surplus) for e in split.epochs] == [(True, 0, 0)]
    assert ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.PASS


def test_a_restart_that_went_on_with_other_rows_is_found(tmp_path: Path) -> None:
    lines = [(1, [0, 1]), (2, [2, 3]), (3, [4, 5]), (2, [4, 5]), (3, [6, 7]), (4, [6, 7])]
    write_olmo(tmp_path / "rank0.tsv.gz", lines)
    read_in("olmo", tmp_path / "rank0.tsv.gz", tmp_path / "run.parquet", shards_of(8), steps_per_epoch=4)
    (epoch,) = counted(tmp_path / "run.parquet").epochs
    assert (epoch.steps, list(epoch.missed.ranges()), epoch.surplus) == (4, [(2, 4)], 2)
    assert ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.FAIL


def test_restarts_of_restarts(tmp_path: Path) -> None:
    """Twice from step 3, once from 2, once from the beginning: what counts is the last line through."""
    rows = {s: [2 * s, 2 * s + 1] for s in range(6)}
    numbers = [0, 1, 2, 3, 4, 3, 4, 3, 2, 3, 0, 1, 2, 3, 2, 3, 4, 5]
    write_olmo(tmp_path / "rank0.tsv.gz", [(s, rows[s]) for s in numbers])
    made = read_in("olmo", tmp_path / "rank0.tsv.gz", tmp_path / "run.parquet", shards_of(12), steps_per_epoch=6)
    assert (made.attempts, [step for _, step in made.restarts]) == (6, [3, 3, 2, 0, 2])
    assert [(e.steps, e.missed.size, e.surplus) for e in counted(tmp_path / "run.parquet").epochs] == [(6, 0, 0)]


def test_steps_without_a_line_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,ids\n0,0 1\n3,2 3\n")
    made = read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(8), batch_size=2)
    assert (made.steps, made.missing, made.first_missing) == (2, 2, 1)
    split = counted(tmp_path / "run.parquet")
    assert (split.steps, split.visits, split.unidentified, split.unidentified_batches) == (4, 4, 4, 2)
    assert "CA904" in codes(tmp_path / "run.parquet")
    assert ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.INCOMPLETE


@pytest.mark.parametrize(("first", "missing"), [(None, 100), (100, 0), (98, 2)])
def test_a_log_that_begins_late(first: int | None, missing: int, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,ids\n100,0 1\n101,2 3\n")
    reading = Reading(first_step=first)
    made = read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(4), reading, steps_per_epoch=2)
    assert made.missing == missing
    assert (ca.audit(tmp_path / "run.parquet").verdict is ca.Verdict.PASS) == (missing == 0)


@pytest.mark.parametrize("how", ["in a line", "in the compressed stream"])
def test_a_file_that_breaks_off_is_incomplete(how: str, tmp_path: Path) -> None:
    path = tmp_path / "rank0.tsv.gz"
    lines = "".join(f"{s}\t{2 * s - 2}\t{2 * s - 1}\n" for s in range(1, 1001))
    if how == "in a line":
        path.write_bytes(gzip.compress((lines + "1001\t20").encode()))
    else:
        path.write_bytes(gzip.compress(lines.encode())[:-400])
    made = read_in("olmo", path, tmp_path / "run.parquet", shards_of(2000))
    (said,) = made.cut_off
    assert said.startswith(f"{path} breaks off ")
    assert (made.steps == 1000) == (how == "in a line")
    assert codes(tmp_path / "run.parquet") == ["CA901"]


# What is no log.

BAD = {
    "no step column": ("csv", "stp,id\n0,1\n", "log.csv: none of the columns 'stp', 'id' is called step or "
                       "global_step; did you mean --step-column 'stp'? [import-column]"),
    "no ids column": ("csv", "step,rows\n0,1\n", "log.csv: none of the columns 'step', 'rows' is called ids or id; "
                      "say which by --ids-column [import-column]"),
    "no header": ("csv", "0,1\n0,2\n", "log.csv: its first line '0,1' is no header: begin the file with one, such as "
                  "step,id [import-column]"),
    "no header above lists": ("csv", "0,0 1 2\n1,3 4 5\n", "log.csv: its first line '0,0 1 2' is no header: begin the "
                              "file with one, such as step,id [import-column]"),
    "no header in tabs": ("tsv", "1\t0\t1\n", "log.tsv: its first line '1\\t0\\t1' is no header: begin the file with "
                          "one, such as step\tid (a file without, of one line per step, is imported as 'olmo') "
                          "[import-column]"),
    "commas in a tsv": ("tsv", "step,ids\n0,1\n", "log.tsv: its header 'step,ids' is separated by ',': import it as "
                        "csv [import-column]"),
    "semicolons": ("csv", "step;ids\n0;1\n", "log.csv: its header 'step;ids' is separated by ';': separate it by "
                   "commas [import-column]"),
    "two bytes a letter": ("csv", "s\0t\0,\0i\0\n\0", "log.csv: its first line 's\\x00t\\x00,\\x00i\\x00' is no UTF-8 "
                           "text: convert it [import-column]"),
    "an empty file": ("csv", "", "log.csv is empty: name the files of the log [import-files]"),
    "a word for an id": ("csv", "step,id\n0,1\n0,two\n", "log.csv:3: id is ['two']: give whole numbers, or correct the "
                         "file there [import-value]"),
    "a fraction in a list": ("csv", "step,ids\n0,1 2\n1,1 2.5\n", "log.csv:3: ids is ['1', '2.5']: give whole numbers, "
                             "or correct the file there [import-value]"),
    "no step": ("csv", "step,id\n0,1\n,2\n", "log.csv:3: step is None: give whole numbers, or correct the file there "
                "[import-value]"),
    "bare commas": ("csv", "step,ids\n0,1,2\n", "log.csv:2: 3 fields under a header of 2: put lists of ids in quotes, "
                    "or separate them by spaces [import-value]"),
    "a late step": ("csv", "step,id\n0,1\n2,2\n1,3\n", "log.csv:4: step 1 comes late, 2 steps after its turn: sort the "
                    "log by step (a log that goes back to a step it had is taken for a restart) [import-order]"),
    "a step before the first": ("csv", "step,id\n1,1\n2,2\n0,3\n", "log.csv:4: step 0 comes after others and before "
                                "the first, 1: sort the log by step, or say --first-step 0 [import-order]"),
    "numbers that are no steps": ("csv", "step,id\n0,1\n5000000,2\n", "log.csv:3: step 5000000 comes where 1 was in "
                                  "turn, so 4,999,999 steps have no line: name the column that counts steps with "
                                  "--step-column, or the first step of the log with --first-step [import-order]"),
    "a negative rank": ("csv", "rank,step,id\n-1,0,1\n", "log.csv:2: the rank is -1: give ranks from 0, or correct the "
                        "file there [import-value]"),
    "nothing": ("csv", "step,id\n", "log.csv holds no step: name the files of the log [import-files]"),
    "json that is none": ("jsonl", '{"step": 0, "ids": [1]}\n{"step": 1, "ids": [1}\n', "log.jsonl:2: "),
    "no object": ("jsonl", "[0, 1]\n", "log.jsonl:1: a line is '[0, 1]': give a JSON object, or correct the file there "
                  "[import-value]"),
    "a text for a step": ("jsonl", '{"step": 0, "ids": [1]}\n{"step": "x", "ids": [1]}\n', "log.jsonl:2: "),
    "a word in olmo": ("olmo", "1\t2\n2\tx\t3\n", "log.olmo:2: id 1 is 'x': give whole numbers, or correct the file "
                       "there [import-value]"),
    "an empty cell": ("olmo", "1\t2\t\t3\n", "log.olmo:1: id 2 is '': give whole numbers, or correct the file there "
                      "[import-value]"),
    "a number without end": ("olmo", "1\t99999999999999999999\n", "log.olmo:1: id 1 is '99999999999999999999': give "
                             "whole numbers, or correct the file there [import-value]"),
    "no parquet": ("parquet", "step,id\n", "log.parquet is no Parquet file ("),
    "no npy": ("npy", "step,id\n", "log.npy is no .npy array ("),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_log_is_refused_in_words_and_leaves_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kind, text, message = BAD[case]
    path = Path(f"log.{kind}")
    path.write_text(text)
    with pytest.raises(LogError) as refused:
        read_in(kind, path, Path("run.parquet"), shards_of(9))
    assert str(refused.value).startswith(message)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("kind", "ending", "why"),
    [("csv", ".gz", "Not a gzipped file (b'st')"), ("olmo", ".gz", "Not a gzipped file (b'st')"),
     ("csv", ".bz2", "Invalid data stream")],
)  # fmt: skip
def test_a_file_that_was_never_compressed(kind: Any, ending: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / f"log.{kind}{ending}"
    path.write_text("step,ids\n0,1\n")
    with pytest.raises(LogError) as refused:
        read_in(kind, path, tmp_path / "run.parquet", None)
    assert str(refused.value) == (
        f"{path} is not what {ending} files are, or damaged ({why}): rename or restore it [import-files]"
    )


def test_ids_beyond_what_a_log_holds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0, 1, 2], [3, 2**63, 4]], np.uint64))
    with pytest.raises(LogError, match=r"a\.npy, row 2: a value is 9223372036854775808: give ids below 2\*\*63"):
        read_in("npy", tmp_path / "a.npy", tmp_path / "run.parquet", None)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2)])
def test_arrays_of_other_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.int64))
    with pytest.raises(LogError, match=r"a\.npy holds int64 of shape .*: give whole numbers of shape \(steps, B\)"):
        read_in("npy", tmp_path / "a.npy", tmp_path / "run.parquet", None)


def test_an_older_log_is_moved_aside_when_the_new_one_is_whole(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,id\n0,0\n")
    (tmp_path / "bad.csv").write_text("step,id\n0,x\n")
    log = tmp_path / "run.parquet"
    read_in("csv", tmp_path / "log.csv", log, shards_of(1))
    old = ca.audit(log).run.run_id
    with pytest.raises(LogError):
        read_in("csv", tmp_path / "bad.csv", log, shards_of(1))
    assert ca.audit(log).run.run_id == old
    read_in("csv", tmp_path / "log.csv", log, shards_of(1))
    assert ca.audit(log).run.run_id != old
    assert ca.audit(tmp_path / f"run.parquet.prev-{old}").run.run_id == old


def test_what_stands_in_the_place_of_the_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,id\n0,0\n")
    (tmp_path / "run.parquet").write_text("mine")
    with pytest.raises(LogError, match="not a run log of ours"):
        read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", None)
    assert (tmp_path / "run.parquet").read_text() == "mine"


def test_columns_are_named_where_they_are_called_otherwise(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("it,row,Epoch\n0,0,0\n1,1,0\n")
    read_in("csv", tmp_path / "log.csv", tmp_path / "run.parquet", shards_of(2), Reading(Columns("it", "row")))
    assert epochs_of(tmp_path / "run.parquet") == [(0, True, 2, 0)]
    with pytest.raises(LogError, match=r"there is no column 'rwo'; did you mean 'row'\?"):
        read_in("csv", tmp_path / "log.csv", tmp_path / "x.parquet", None, Reading(Columns("it", "rwo")))
