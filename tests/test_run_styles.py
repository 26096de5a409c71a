"""Training scripts as people write them, unchanged under `coverage-audit run`, against what they say of themselves.

Every step is right or unknown, none is wrong; right wherever numpy lets rows be followed or their bytes be recognised.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from run_truth import HELD_OUT, MADE, NPY, STYLES, Ran, Runs, Style, environment

import coverage_audit as ca

H5 = ("--data", "shards/part_*.h5")
BIN = ("--data", "shards/train.bin::uint16")
BINS = ("--data", "shards/train_*.bin::uint16")

KERAS = [
    Style("slices"),
    Style("slices_of_maps"),
    Style("fancy"),
    Style("permuted_copies"),
    Style("shuffled_in_place"),
    Style("all_in_one_array"),
    Style("stacked_lists"),
    Style("arrays_of_lists"),
    Style("preallocated"),
    Style("moved"),
    Style("carried_over"),
    Style("buffer_of_rows"),
    Style("buffer_of_copies"),
    Style("producer_thread"),
    Style("producer_of_lists"),
    Style("npz_members", data="npz", options=("--data", "shards/part_*.npz")),
    Style("h5_slices", data="h5", options=H5),
    Style("h5_whole", data="h5", options=H5),
    Style("zarr_slices", data="zarr", options=("--data", "shards/x_*.zarr", "--aligned", "shards/y_*.zarr")),
    Style("images", data="images"),
    Style("images_in_lists", data="images"),
    Style("standardised"),
    Style("standardised_lists", expect="either"),
    Style("cast_down", data="doubles"),
    Style("augmented", data="images", expect="either"),
    Style("mixed_up", expect="unknown"),
    Style("windows", data="train.bin", options=BIN),
    Style("pools", ("fork",)),
    Style("pools", ("spawn",)),
    Style("pools", ("executor",)),
    Style("early_pool"),
    Style("sequence", ("1",)),
    Style("sequence", ("4",)),
    Style("tf_generator"),
    Style("tf_slices"),
    Style("repeated", data="repeated", told_by="y"),
    Style("forks"),
    Style("odd_files", data="odd"),
    Style("fancy", data="big-endian", options=NPY[:2]),
    Style("slices", data="fortran", options=NPY[:2]),
    Style("fancy", backend="torch"),
    Style("images", data="images", backend="torch"),
    Style("carried_over", backend="torch"),
    Style("sequence", ("4",), backend="torch"),
]
TORCH = [
    Style("torch_loader", ("0",), "held out", HELD_OUT),
    Style("torch_loader", ("2",), "held out", HELD_OUT),
    Style("torch_windows", data="train.bin", options=(*BIN, "--loader", "get_batch")),
    Style("torch_token_shards", data="token shards", options=(*BINS, "--loader", "batches")),
    Style("torch_numpy_shards", data="token shards", options=(*BINS, "--loader", "batches")),
]
NUMPY_WAYS = Style("numpy_ways", options=(*NPY, "--loader", "batches"))
TOKEN_WAYS = Style("token_ways", data="token shards", options=(*BINS, "--loader", "batches"))
CHANGED = [Style("changed_files", (how,), options=(*NPY, "--loader", "batches")) for how in ("saved", "mapped")]
VALIDATED = [
    Style("with_validation", (), "held out", HELD_OUT),
    Style("evaluated", (), "held out", HELD_OUT),
    Style("train_on_batch", (), "held out", HELD_OUT),
    Style("train_on_batch", (), "held out", HELD_OUT, backend="torch"),
]
REPEATED = Style("repeated_in_lists", data="repeated")
MISALIGNED = Style("misaligned")
ONE_BUFFER = [Style("one_buffer", expect="either"), Style("one_buffer", expect="either", backend="torch")]
IN_FLIGHT = [Style("shuffled_in_flight", expect="either"), Style("shuffled_in_flight", backend="torch")]
REPLACED = Style("replaced", expect="either")
WHOLE = Style("whole_arrays")
CUT_SHORT = [
    Style("ends_badly", ("exit",), status=5),
    Style("ends_badly", ("kill",), status=-9),
    Style("ends_badly", ("raise",), status=1),
    Style("ends_badly", ("status",), status=7),
]
NOWHERE = Style(
    "torch_windows", (), "train.bin", (*BIN, "--loader", "get_batch", "--log", "shards/train.bin/run.parquet")
)
ON_IMPORT = Style("ends_badly", ("import",), status=1)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs what the tests that were chosen need, in their order."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    styles = [call.params["style"] for call in calls if call is not None and "style" in call.params]
    runs = Runs([style for style in styles if isinstance(style, Style)], tmp_path_factory.mktemp("styles"))
    yield runs
    runs.close()


@pytest.fixture
def ran(runs: Runs, style: Style) -> Ran:
    """The style's run, which ended as the script ends by itself and said nothing on stdout."""
    done = runs.of(style)
    assert (done.status, done.out) == (style.status, ""), done.err[-3000:]
    return done


def check(ran: Ran, split: str = "train") -> None:
    """Every step is recorded, none wrong, and right or unknown as promised."""
    assert ran.truth(split)
    compared = ran.compare(split)
    assert compared.wrong == [], compared.wrong[:3]
    assert compared.all_steps, compared
    if ran.style.expect == "right":
        assert compared.unknown == [], (compared, ran.err[-3000:])
    if ran.style.expect == "unknown":
        assert compared.right == []


@pytest.mark.parametrize("style", KERAS + TORCH, ids=str)
def test_rows_of_every_step(ran: Ran) -> None:
    check(ran)


@pytest.mark.parametrize("style", [NUMPY_WAYS, TOKEN_WAYS], ids=str)
def test_many_ways_of_reading(ran: Ran) -> None:
    """GIVEN some sixty ways with rows, some twenty with tokens THEN all rows are right in each of them."""
    ways = ran.said("way")
    compared = ran.compare()
    assert {ways[number] for number, *_ in compared.wrong} == set()
    assert {ways[number] for number in compared.unknown} == set()
    assert (compared.recorded, len(compared.right)) == (len(ways), len(ways))


@pytest.mark.parametrize("style", CHANGED, ids=str)
def test_a_script_that_writes_into_its_data(ran: Ran) -> None:
    """GIVEN files whose rows the script itself moves THEN the first is known, and what has moved is never wrong."""
    compared = ran.compare()
    assert compared.wrong == [], compared.wrong[:3]
    assert compared.all_steps
    assert compared.right[:7] == list(range(7))


@pytest.mark.parametrize("style", KERAS + TORCH + VALIDATED, ids=str)
def test_steps_were_told_and_the_log_is_complete(ran: Ran) -> None:
    """GIVEN a script that ran to its end THEN its steps are trained ones, the log is closed, and the end says where."""
    # A function that is named tells what it hands out, not what is done with it.
    assert ran.trained("train") is ("--loader" not in ran.style.options)
    assert {end.state for end in ran.log.run.writers} == {"closed"}
    assert "run.parquet" in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("style", VALIDATED, ids=str)
def test_validation_is_a_split_of_its_own(ran: Ran) -> None:
    check(ran)
    check(ran, "validation")


@pytest.mark.parametrize("style", [TORCH[0]], ids=str)
def test_batches_under_no_grad_are_validation(ran: Ran) -> None:
    check(ran, "validation")


@pytest.mark.parametrize("style", [REPEATED], ids=str)
def test_identical_rows_share_their_visits(ran: Ran) -> None:
    """GIVEN rows that are there three times or so THEN a visit is one of its equals, and a pass has each row once."""
    _, group = np.unique(MADE.repeated_features(), axis=0, return_inverse=True)
    compared = ran.compare(same=lambda rows: group[rows].tolist())
    assert (compared.wrong, compared.unknown, compared.all_steps) == ([], [], True)
    one_pass = [row for step in ran.steps()[:20] for row in step.rows or []]
    assert sorted(one_pass) == list(range(MADE.N))


@pytest.mark.parametrize("style", [MISALIGNED], ids=str)
def test_misaligned_labels_are_a_finding(ran: Ran) -> None:
    """GIVEN labels of the rows before THEN the rows are those of the features, and CA609 says what is wrong."""
    check(ran)
    assert "CA609" in {finding.code for finding in ca.audit(str(ran.log_path)).findings}


@pytest.mark.parametrize("style", ONE_BUFFER, ids=str)
def test_batches_that_were_overwritten_while_keras_kept_them(ran: Ran) -> None:
    """GIVEN one array for all batches THEN those that Keras looked at beforehand are unknown, and why is an error:
    the first, but for those that explain rows."""
    check(ran)
    assert ran.style.backend == "tensorflow" or set(ran.compare().unknown) <= {0, 1}
    assert "same memory" in ran.err
    found = [f"{f.severity.value} {f.code}" for f in ca.audit(str(ran.log_path)).findings if not f.explained]
    assert found[:2] == ["incomplete CA904", "error CA204"]


@pytest.mark.parametrize("style", IN_FLIGHT, ids=str)
def test_batches_that_were_written_into_before_their_step_are_unknown(ran: Ran) -> None:
    """GIVEN arrays shuffled in place WHEN tf.data has pulled ahead THEN what waited may be torn, and is not told."""
    check(ran)


@pytest.mark.parametrize("style", [REPLACED], ids=str)
def test_a_file_that_is_replaced_is_not_the_data_that_was_declared(ran: Ran) -> None:
    """GIVEN the same rows in another order in new files THEN steps until then are known, later ones never wrong."""
    compared = ran.compare()
    assert compared.wrong == [], compared.wrong[:3]
    assert compared.all_steps
    assert compared.right[:40] == list(range(40))


@pytest.mark.parametrize("style", [WHOLE], ids=str)
def test_arrays_given_to_fit_are_said_not_to_be_recorded(ran: Ran) -> None:
    if (ran.folder / "run.parquet").exists():
        check(ran)
    else:
        assert "not recorded" in ran.err


@pytest.mark.parametrize("style", CUT_SHORT, ids=str)
def test_what_was_recorded_before_the_end_stays(ran: Ran) -> None:
    """GIVEN a script that ends in the middle of an epoch THEN all it trained is there and the end is seen for one."""
    truth = ran.truth()
    compared = ran.compare()
    assert len(truth) == 16
    # The step in which the script ends is over for the model, maybe not yet for who counts steps.
    assert compared.recorded in (15, 16)
    assert len(compared.right) == compared.recorded, compared
    result = ca.audit(str(ran.log_path))
    killed = ran.style.args in {("exit",), ("kill",)}
    assert ("CA901" in {finding.code for finding in result.findings}) is killed


@pytest.mark.parametrize("style", [ON_IMPORT], ids=str)
def test_a_script_that_dies_on_import(ran: Ran) -> None:
    """GIVEN a script that cannot be imported THEN it fails as by itself, and nothing was recorded."""
    script = str(STYLES / "ends_badly.py")
    plain = subprocess.run(
        [sys.executable, script, "truth.jsonl", "import"],
        cwd=ran.folder, env=environment(ran.style), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert plain.returncode == ran.status
    assert ran.err.startswith(plain.stderr)
    assert not (ran.folder / "run.parquet").exists()


@pytest.mark.parametrize("style", [NOWHERE], ids=str)
def test_a_log_that_cannot_be_written(ran: Ran) -> None:
    """GIVEN a file where the folder of the log should be THEN that is said, and the script trains."""
    assert "run.parquet" in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.truth()) == 40


@pytest.mark.parametrize("style", [KERAS[2], TORCH[0], TORCH[2]], ids=str)
def test_the_model_sees_the_same_with_and_without(ran: Ran, tmp_path: Path) -> None:
    """GIVEN the same script run plainly THEN its training steps are given the same rows in the same order."""
    style = ran.style
    MADE.DATA[style.data](tmp_path)
    subprocess.run(
        [sys.executable, str(STYLES / f"{style.script}.py"), "truth.jsonl", *style.args],
        cwd=tmp_path, env=environment(style), capture_output=True, check=True,
    )  # fmt: skip
    assert (tmp_path / "truth.jsonl").read_text() == (ran.folder / "truth.jsonl").read_text()


def test_the_comparison_sees_what_is_wrong(tmp_path: Path) -> None:
    """GIVEN a log with two rows in the wrong order, and one step too few THEN both are seen."""
    with ca.Recorder(tmp_path / "run.parquet", ca.Dataset.of(10), identify="off") as rec:
        rec.step([0, 1])
        rec.step([2, 3])
        rec.step([4, 5, 8])
    said = [[0, 1], [3, 2], [4, 5, 8], [6]]
    lines = [json.dumps({"part": "train", "x": rows}) for rows in said]
    (tmp_path / "truth.jsonl").write_text("\n".join(lines))
    compared = Ran(KERAS[0], tmp_path, 0, "", "").compare()
    assert (compared.right, compared.wrong, compared.unknown) == ([0, 2], [(1, "explicit", [2, 3], [3, 2])], [])
    assert (compared.recorded, compared.truth, compared.trained, compared.all_steps) == (3, 4, True, False)
