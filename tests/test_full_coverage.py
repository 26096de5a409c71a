"""assert_full_coverage: loaders of every kind, and what a failing assertion says."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coverage_audit as ca
from coverage_audit.errors import ConfigError, UsageError

Batch = dict[str, Any]


def batches(stop: int = 10, size: int = 4) -> list[Batch]:
    return [{"id": np.arange(i, min(i + size, stop))} for i in range(0, stop, size)]


def endless(size: int = 4) -> Iterator[Batch]:
    while True:
        yield from batches(size=size)


class Fresh:
    """An iterable without a length."""

    def __iter__(self) -> Iterator[Batch]:
        return iter(batches())


class Items:
    """Items up to a length, and no more: what lies beyond is not asked for."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Batch:
        assert 0 <= index < 3
        return batches()[index]


DATA = ca.Dataset.of(10)


@pytest.fixture(autouse=True)
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, nothing is left on disk and no recorder open."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    yield
    assert sorted(os.listdir(tmp_path)) == ["tmp"]
    assert os.listdir(tmp_path / "tmp") == []
    from coverage_audit.recorder import open_writers

    assert open_writers._writers == {}


@pytest.mark.parametrize("loader", [batches(), Fresh(), Items()], ids=["list", "iterable", "items"])
def test_what_can_be_iterated_again_is_so_for_each_epoch(loader: Any) -> None:
    result = ca.assert_full_coverage(loader, DATA, epochs=3, ids="id")
    assert result.verdict is ca.Verdict.PASS
    assert result.epochs[["epoch", "complete", "steps", "missed"]].values.tolist() == [
        [e, True, 3, 0] for e in range(3)
    ]


def test_a_generator_goes_on_from_epoch_to_epoch() -> None:
    result = ca.assert_full_coverage(endless(), DATA, epochs=2, ids="id", steps_per_epoch=3)
    assert result.epochs["steps"].tolist() == [3, 3]


def test_a_generator_that_ends_is_one_epoch() -> None:
    assert ca.assert_full_coverage(iter(batches()), DATA, ids="id").epochs["steps"].tolist() == [3]


def test_views_of_files_need_no_ids(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.arange(20).reshape(10, 2))
    x = np.load(path, mmap_mode="r")
    result = ca.assert_full_coverage([x[i : i + 4] for i in range(0, 10, 4)], ca.Dataset.open(path), batch_size=4)
    assert result.verdict is ca.Verdict.PASS


def test_the_message_is_the_report() -> None:
    with pytest.raises(AssertionError) as failed:
        ca.assert_full_coverage(batches(stop=8), DATA, epochs=2, ids="id")
    assert str(failed.value).startswith(
        "\n"
        "coverage-audit  list · train · 2 epochs · 10 rows in 1 shard · trained steps (told by the trainer)\n"
        "\n"
        "FAIL  CA103 dropped-remainder   each pass drops its last 2 rows: 10 mod 4 = 2\n"
        "        the loader yields full batches only, in a fixed order: the same rows are dropped each time\n"
        "        explains all 4 missed row-epochs · rows: data 8–9 (every epoch)\n"
        "        fix: keep the last partial batch, or declare contract='drop-remainder'\n"
    )


def test_an_epoch_that_is_too_short_fails() -> None:
    with pytest.raises(AssertionError, match=r"FAIL  CA601 short-epoch   2 steps"):
        ca.assert_full_coverage(endless(), DATA, epochs=4, ids="id", steps_per_epoch=2)


def test_a_generator_that_ends_too_early_fails() -> None:
    with pytest.raises(AssertionError, match="FAIL"):
        ca.assert_full_coverage(iter(batches()), DATA, epochs=2, ids="id", steps_per_epoch=3)


def test_rows_that_cannot_be_told_are_no_coverage() -> None:
    with pytest.raises(AssertionError, match="INCOMPLETE  CA904"), pytest.warns(match="cannot be told"):
        ca.assert_full_coverage([[0.5, 1.5]], DATA)


def test_gates_and_contracts() -> None:
    ca.assert_full_coverage(batches(stop=8), DATA, ids="id", max_missed=2)
    ca.assert_full_coverage(batches(stop=8), DATA, ids="id", batch_size=4, contract="drop-remainder")
    more = [*batches(), {"id": [3]}]
    ca.assert_full_coverage(more, DATA, ids="id")
    for gate in ({"max_repeated": 0}, {"fail_on": "repeated"}, {"fail_on": ["CA201"]}, {"contract": "exactly-once"}):
        with pytest.raises(AssertionError, match="CA201 repeated-rows"):
            ca.assert_full_coverage(more, DATA, ids="id", **gate)


@pytest.mark.parametrize("loader", [endless(), Fresh()], ids=["generator", "iterable"])
def test_a_loader_without_end_does_not_hang(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fresh, "__iter__", lambda self: endless())
    message = (
        "the loader gave 201 batches for 10 rows and goes on: give steps_per_epoch=, the batches of one epoch "
        "[endless-loader]"
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        ca.assert_full_coverage(loader, DATA, ids="id")


def test_what_the_loader_raises_goes_through() -> None:
    def broken() -> Iterator[Batch]:
        yield batches()[0]
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        ca.assert_full_coverage(broken(), DATA, ids="id")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs=0: give a whole number above 0 [bad-epochs]"),
        (
            {"epochs": 2},
            "epochs=2 of an iterator, which does not say where an epoch ends: give steps_per_epoch=, or something that "
            "can be iterated again [endless-loader]",
        ),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0: give a whole number above 0, or leave it out"),
    ],
)
def test_arguments_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        ca.assert_full_coverage(iter(batches()), DATA, ids="id", **options)


def test_with_recording_disabled_nothing_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERAGE_AUDIT_DISABLE", "1")
    with pytest.raises(UsageError, match="recording-disabled"):
        ca.assert_full_coverage(batches(), DATA, ids="id")


def test_a_launcher_s_ranks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader at hand is to give every row by itself."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert ca.assert_full_coverage(batches(), DATA, ids="id").run.ranks == 1


def test_the_steps_of_the_result_are_gone_with_the_log() -> None:
    result = ca.assert_full_coverage(batches(), DATA, ids="id")
    with pytest.raises(UsageError, match="temporary"):
        _ = result.steps


def test_the_configuration_counts(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path_factory.mktemp("config") / "coverage-audit.toml"
    monkeypatch.setenv("COVERAGE_AUDIT_CONFIG", str(config))
    config.write_text("max-missed = 2\n")
    ca.assert_full_coverage(batches(stop=8), DATA, ids="id")
    with pytest.raises(AssertionError):
        ca.assert_full_coverage(batches(stop=8), DATA, ids="id", max_missed=1)
    config.write_text("max-mised = 2\n")
    with pytest.raises(ConfigError):
        ca.assert_full_coverage(batches(), DATA, ids="id")
