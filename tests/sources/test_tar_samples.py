"""WebDataset shards as data: which samples a .tar file has, and which row a key means."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds
from hypothesis import given
from hypothesis import strategies as st

from coverage_audit.errors import CoverageAuditWarning, DatasetError
from coverage_audit.sources.dataset import Dataset
from coverage_audit.sources.sample_keys import ABSENT, SEVERAL, ShardNames
from coverage_audit.sources.tar_samples import read_keys, read_tar_header


def tar_of(names: Iterable[str], mode: Any = "w", contents: bytes = b"0123456789") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return out.getvalue()


def keys_in(data: bytes) -> list[str]:
    return list(read_keys(io.BytesIO(data), "s.tar"))


def keys_of_webdataset(path: Path) -> list[str]:
    return [sample["__key__"] for sample in wds.WebDataset([str(path)], shardshuffle=False, empty_check=False)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves files open
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["a.x", "a.y", "b.x"], ["a", "b"]),
        (["a.x.npy", "a.cls"], ["a"]),
        (["a/1.x", "a/1.y", "b/1.x"], ["a/1", "b/1"]),
        (["a.b/1.x", "a.b/2.x"], ["a.b/1", "a.b/2"]),
        (["a.x", "README", "a.y"], ["a"]),
        (["__meta__", "__index__/0.json", "a.x"], ["a"]),
        (["a.x", "b.x", "a.y"], ["a", "b", "a"]),
        (["./a.x", "é.x"], ["./a", "é"]),
        (["n" * 150 + ".x", "n" * 150 + ".y"], ["n" * 150]),
    ],
)
def test_samples_are_those_of_webdataset(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    (tmp_path / "s.tar").write_bytes(tar_of(names))

    assert keys_in(tar_of(names)) == expected
    assert keys_of_webdataset(tmp_path / "s.tar") == expected


NAMES = st.lists(
    st.text(alphabet="ab._/", min_size=1, max_size=6).filter(lambda n: n.strip("/") == n and "//" not in n), max_size=8
)


@given(NAMES)
def test_any_names_are_grouped_as_webdataset_groups_them(names: list[str]) -> None:
    files = ({"fname": name, "data": b"", "__url__": "u"} for name in names if not name.startswith("__"))
    grouped = wds.tariterators.group_by_keys(files, handler=lambda _: True)
    theirs = [sample["__key__"] for sample in grouped]

    assert keys_in(tar_of(name for name in names if not name.startswith("__"))) == theirs


@pytest.mark.parametrize(("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar", "w:bz2")])
def test_opening_counts_samples(tmp_path: Path, suffix: str, mode: str) -> None:
    (tmp_path / f"s-0{suffix}").write_bytes(tar_of(["a.x", "a.y", "b.x"], mode))
    (tmp_path / f"s-1{suffix}").write_bytes(tar_of(["a.x"], mode))

    data = Dataset.open(tmp_path / f"s-*{suffix}")

    assert [(s.name, s.rows) for s in data.shards] == [(f"s-0{suffix}", 2), (f"s-1{suffix}", 1)]


def test_rows_are_found_by_shard_and_key_also_after_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "s-0.tar").write_bytes(tar_of(["a.x", "b.x", "c.x", "b.y"]))
    (tmp_path / "s-1.tar").write_bytes(tar_of(["a.x", "d.x"]))
    with pytest.warns(CoverageAuditWarning, match=r"s-0.tar: 1 of 4 samples have the key of an earlier one"):
        opened = Dataset.open(tmp_path / "s-*.tar")
    opened.save(tmp_path / "data.json")

    for data in (opened, opened.select([0, 1]), Dataset.load(tmp_path / "data.json")):
        keys = data.sample_keys()
        assert keys is not None
        pairs = [(0, "a"), (1, "a"), (1, "d"), (0, "d"), (-1, "a"), (0, "b"), (0, "c")]
        found = keys.find([s for s, _ in pairs], [k for _, k in pairs])
        assert found.tolist() == [0, 4, 5, ABSENT, ABSENT, SEVERAL, 2]
        assert keys.find_anywhere(["d", "a", "b", "c", "z"]).tolist() == [5, SEVERAL, SEVERAL, 2, ABSENT]


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=4), st.data())
def test_finding_is_what_a_slow_search_finds(shards: list[list[int]], data: st.DataObject) -> None:
    from coverage_audit.model.shards import Shard, Shards
    from coverage_audit.sources.sample_keys import SampleKeys

    headers = [read_tar_header(io.BytesIO(tar_of(f"k{k}.x" for k in keys)), "s") for keys in shards]
    rows = [keys_in(tar_of(f"k{k}.x" for k in keys)) for keys in shards]
    table = Shards(tuple(Shard(str(i), len(r)) for i, r in enumerate(rows)))
    keys = SampleKeys(table, [h.hashes for h in headers])
    every = [(s, key) for s, r in enumerate(rows) for key in r]
    wanted = data.draw(st.lists(st.tuples(st.integers(0, len(shards) - 1), st.integers(0, 10).map("k{}".format))))

    def slow(pair: tuple[int, str]) -> int:
        places = [i for i, one in enumerate(every) if one == pair]
        return ABSENT if not places else SEVERAL if len(places) > 1 else places[0]

    assert keys.find([s for s, _ in wanted], [k for _, k in wanted]).tolist() == [slow(pair) for pair in wanted]


def test_which_shard_a_url_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    for name in ("s-0.tar", "s-1.tar", "other/s-1.tar"):
        (tmp_path / name).write_bytes(tar_of(["a.x"]))
    monkeypatch.chdir(tmp_path)
    names = ShardNames(Dataset.open("s-*.tar"))

    urls = ["s-0.tar", "./s-1.tar", f"{tmp_path}/s-1.tar", f"file:{tmp_path}/s-1.tar", "other/s-1.tar"]
    urls += ["pipe:cat s-1.tar", "https://host/data/s-1.tar?token=1", "https://host/data/xs-1.tar", "s-2.tar"]
    assert [names.shard_of(url) for url in urls] == [0, 1, 1, 1, -1, 1, 1, -1, -1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a whole tar file (file could not be opened successfully"),
        (b"no tar" * 1000, "is not a whole tar file (file could not be opened successfully"),
        (tar_of(["a.x", "b.x"], contents=b"x" * 2000)[:4000], "is not a whole tar file (unexpected end of data)"),
        (tar_of(["a.x"])[:1024] + b"x" * 1024, "is not a whole tar file (at byte 1,024 there is no header)"),
        # No time in it: this is part of the test's name, and all of xdist's workers have to find the same tests.
        (gzip.compress(tar_of(["a.x", "b.x"]), mtime=0)[:-40], "is not a whole tar file ("),
    ],
)
def test_torn_files_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "s.tar").write_bytes(data)

    with pytest.raises(DatasetError) as caught:
        Dataset.open(tmp_path / "s.tar")

    assert said in str(caught.value)
    assert caught.value.slug == "damaged-file"


def test_progress_is_told_in_bytes() -> None:
    data = tar_of((f"{i}.x" for i in range(1000)), contents=b"x" * 600)
    told: list[int] = []

    header = read_tar_header(io.BytesIO(data), "s.tar", told.append)

    assert (header.rows, header.hashes.dtype, sum(told)) == (1000, np.uint64, len(data))
    assert len(told) > 2


def test_a_file_that_changed_tells_no_rows(tmp_path: Path) -> None:
    (tmp_path / "s.tar").write_bytes(tar_of(["a.x"]))
    Dataset.open(tmp_path / "s.tar").save(tmp_path / "data.json")
    (tmp_path / "s.tar").write_bytes(tar_of(["a.x", "b.x"]))

    with pytest.raises(DatasetError, match="has 2 samples, and was declared with 1: open the dataset again"):
        Dataset.load(tmp_path / "data.json").sample_keys()
