"""A manifest gives back an equal dataset without the data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.errors import DatasetError
from coverage_audit.sources.dataset import Dataset


def test_round_trip(tmp_path: Path) -> None:
    for name in ("x_0", "x_1", "y_0", "y_1"):
        np.save(tmp_path / f"{name}.npy", np.zeros(4 if "0" in name else 3))
    data = Dataset.open(tmp_path / "x_*.npy", aligned=tmp_path / "y_*.npy").select([0, 1, 5])
    data.save(tmp_path / "data.json")

    assert Dataset.load(tmp_path / "data.json") == data
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".npy") == ["data.json"]


def test_it_moves_together_with_the_data(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    np.save(tmp_path / "here/x.npy", np.zeros(4))
    Dataset.open(tmp_path / "here/x.npy").save(tmp_path / "here/data.json")
    (tmp_path / "here").rename(tmp_path / "there")

    assert Dataset.load(tmp_path / "there/data.json").paths == (tmp_path / "there/x.npy",)
    facts = json.loads((tmp_path / "there/data.json").read_text())
    assert (facts["format"], facts["paths"], facts["partners"], facts["selected"]) == (1, ["x.npy"], [[]], None)


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 10**12), min_size=1, max_size=5))
def test_any_names_and_lengths(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, int]) -> None:
    place = tmp_path_factory.mktemp("manifests") / "data.json"
    data = Dataset.of(rows)
    data.save(place)

    assert Dataset.load(place) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a dataset manifest (Expecting property name"),
        ("[]", "is not a dataset manifest (no format number)"),
        ('{"format": 1}', "is not a dataset manifest (KeyError: 'selected')"),
        (
            '{"format": 1, "shards": [], "paths": [null], "partners": [], "selected": null}',
            "is not a dataset manifest (0 shards, 1 paths, 0 partners)",
        ),
        ('{"format": 2}', "is a manifest of format 2, this version reads up to 1: upgrade coverage-audit"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "data.json").write_text(text)

    with pytest.raises(DatasetError) as caught:
        Dataset.load(tmp_path / "data.json")

    assert str(caught.value).startswith(f"{tmp_path / 'data.json'} {message}")


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file or directory\).*\[no-files\]"):
        Dataset.load(tmp_path / "data.json")
