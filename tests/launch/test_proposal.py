"""What is proposed as --data: patterns of the files that were opened, features first, labels aligned with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from coverage_audit.launch.proposal import Opened, propose


def opened(folder: Path, *names: tuple[str, int]) -> list[Opened]:
    found = []
    for name, rows in names:
        file, _, member = name.partition("::")
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        found.append(Opened(str(path), member, rows))
    return found


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ((), ()),
        ((("x.npy", 5),), ("--data", "x.npy")),
        ((("x_0.npy", 5),), ("--data", "x_0.npy")),
        ((("x_0.npy", 5), ("x_1.npy", 6)), ("--data", "x_*.npy")),
        ((("shards/x_0.npy", 5), ("shards/x_10.npy", 6)), ("--data", "shards/x_*.npy")),
        ((("stats.npy", 2), ("x_0.npy", 5), ("x_1.npy", 5)), ("--data", "x_*.npy")),
        (
            (("x_0.npy", 5), ("y_0.npy", 5), ("x_1.npy", 6), ("y_1.npy", 6)),
            ("--data", "x_*.npy", "--aligned", "y_*.npy"),
        ),
        ((("x_0.npy", 5), ("x_1.npy", 6), ("val.npy", 5)), ("--data", "x_*.npy")),
        ((("data.h5::x", 5), ("data.h5::y", 5)), ("--data", "data.h5::x")),
        ((("train.bin", 1000), ("val.bin", 100)), ("--data", "train.bin::TYPE")),
        ((("train.bin::uint16", 1000), ("val.bin::uint16", 100)), ("--data", "train.bin::uint16")),
        ((("empty.npy", 0),), ("--data", "empty.npy")),
        ((("2024/day_01.npy", 5), ("2024/day_02.npy", 5)), ("--data", "2024/day_*.npy")),
    ],
)
def test_patterns(tmp_path: Path, files: tuple[tuple[str, int], ...], words: tuple[str, ...]) -> None:
    assert propose(opened(tmp_path, *files), str(tmp_path)) == list(words)


def test_files_that_were_not_opened_widen_the_pattern(tmp_path: Path) -> None:
    """A run that was cut off after the first shard has read x_0 alone; x_1 beside it is the same data."""
    (tmp_path / "x_1.npy").write_text("")

    assert propose(opened(tmp_path, ("x_0.npy", 5)), str(tmp_path)) == ["--data", "x_*.npy"]


def test_data_elsewhere_is_named_in_full(tmp_path: Path) -> None:
    files = opened(tmp_path / "da[t]a", ("x_0.npy", 5), ("x_1.npy", 5))

    assert propose(files, str(tmp_path / "project")) == ["--data", f"{tmp_path}/da[[]t]a/x_*.npy"]
