"""A report file appears whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coverage_audit.reporters.destination import write


def test_parents_are_made_and_the_file_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "report.json", b"{}")
    assert (tmp_path / "a/b/report.json").read_bytes() == b"{}"
    assert os.listdir(tmp_path / "a/b") == ["report.json"]


def test_the_mode_is_that_of_the_file_replaced_or_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write(tmp_path / "new", b"x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o604)
    write(tmp_path / "new", b"y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o604


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_to() -> None:
    write(Path("/dev/null"), b"x")
    assert not Path("/dev/null").is_file()


def test_a_folder_is_no_destination(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write(tmp_path, b"x")
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_file_and_no_leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report").write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no"):
        write(tmp_path / "report", b"new")
    assert os.listdir(tmp_path) == ["report"]
    assert (tmp_path / "report").read_bytes() == b"old"
