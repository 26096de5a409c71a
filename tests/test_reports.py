"""reports/ is what the tool says about sample_data/."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "reports"
SAMPLES = ("clean", "drifting", "killed", "missed-shard", "short-epoch")
TEXTS = [f"{name}.{kind}" for name in SAMPLES for kind in ("txt", "md", "json")]
FIGURES = ("train-visits", "train-epochs", "train-position")


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    subprocess.run([sys.executable, str(REPORTS / "make.py"), str(folder)], check=True, timeout=120)
    return folder


def test_the_same_files_are_made(rebuilt: Path) -> None:
    made = {p.relative_to(rebuilt).as_posix() for p in rebuilt.rglob("*") if p.is_file()}
    committed = {p.relative_to(REPORTS).as_posix() for p in REPORTS.rglob("*") if p.is_file()}
    by_hand = {"README.md", "make.py", "terminal.svg"}  # the picture: tests/test_readme.py
    assert made == {name for name in committed if "__pycache__" not in name} - by_hand
    assert made == {*TEXTS, "VERSIONS", *(f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "svg"))}


@pytest.mark.parametrize("name", TEXTS)
def test_reports_are_the_same_letter_for_letter(rebuilt: Path, name: str) -> None:
    """After a change of wording: make samples."""
    assert (rebuilt / name).read_text() == (REPORTS / name).read_text()


@pytest.mark.parametrize("name", SAMPLES)
def test_no_line_is_wider_than_80_columns(name: str) -> None:
    assert [line for line in (REPORTS / f"{name}.txt").read_text().splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_the_same_words(rebuilt: Path, name: str) -> None:
    """Matplotlib draws letters as curves, and leaves each text as a comment beside them."""
    made, committed = words(rebuilt / "figures" / f"{name}.svg"), words(REPORTS / "figures" / f"{name}.svg")
    assert made == committed
    assert any("epoch" in text or "seen" in text for text in made)


def words(svg: Path) -> list[str]:
    return sorted(re.findall(r"<!-- (.+?) -->", svg.read_text()))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_the_same(rebuilt: Path, name: str) -> None:
    """The size always; the pixels where this matplotlib is the one that drew the committed ones."""
    made = matplotlib.image.imread(rebuilt / "figures" / f"{name}.png")
    committed = matplotlib.image.imread(REPORTS / "figures" / f"{name}.png")
    assert np.abs(np.subtract(made.shape[:2], committed.shape[:2])).max() <= 2
    if f"matplotlib {mpl.__version__}" in (REPORTS / "VERSIONS").read_text().splitlines():
        differ = np.abs(made - committed).max(axis=-1) > 0.1
        assert differ.mean() < 0.001


def test_the_index_names_every_sample_and_its_verdict() -> None:
    told = dict(re.findall(r"^\| ([a-z-]+) \| ([A-Z]+) \|", (REPORTS / "README.md").read_text(), re.MULTILINE))
    verdicts = {name: (REPORTS / f"{name}.md").read_text().split()[1] for name in SAMPLES}
    assert told == verdicts
