"""What the report of an imported log tells people to do: nothing that only a recording could have done."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coverage_audit.auditor import audit
from coverage_audit.cli.main import main
from coverage_audit.importers.importing import Reading, import_log
from coverage_audit.model.finding import Finding
from coverage_audit.model.run import SplitInfo
from coverage_audit.testing.runs import shards_of


def imported(folder: Path, kind: Any, files: dict[str, str], **info: Any) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text)
    shards = info.pop("shards", shards_of(64))
    split = SplitInfo("train", None if shards is None else shards.fingerprint, **info)
    log = folder / "run.parquet"
    import_log(kind, [folder / name for name in files], log, split, shards, Reading())
    return log


def said(log: Path, code: str) -> Finding:
    (finding,) = [f for f in audit(log).findings if f.code == code]
    return finding


def tsv(rank: int, steps: int = 4) -> str:
    """Lines of one of two ranks, whose steps hold 3 rows in no order that would tell a pass."""
    ids = [[(7 * s + rank) % 64, (7 * s + 7) % 64, 5 * rank] for s in range(1, steps + 1)]
    return "".join(f"{s}\t{a}\t{b}\t{c}\n" for s, (a, b, c) in enumerate(ids, 1))


def test_ranks_without_epochs(tmp_path: Path) -> None:
    """GIVEN two ranks of OLMo and nothing that tells epochs THEN the options of the import are named."""
    for rank in range(2):
        (tmp_path / f"rank{rank}.tsv.gz").write_bytes(gzip.compress(tsv(rank).encode()))
    log, shards = tmp_path / "run.parquet", shards_of(64)
    files = [tmp_path / f"rank{rank}.tsv.gz" for rank in range(2)]
    import_log("olmo", files, log, SplitInfo("train", shards.fingerprint), shards, Reading())
    finding = said(log, "CA901")
    assert (finding.message, finding.cause, finding.fix) == (
        "no complete epoch was recorded: 4 steps so far",
        "nothing says where an epoch ends, and no pass of the data could be told",
        "import it again, `coverage-audit import olmo ...`: --steps-per-epoch if epochs have a length, --per run to "
        "judge all as one",
    )


@pytest.mark.parametrize(
    ("text", "steps_per_epoch", "option"),
    [
        ("step,ids\n0,0 1\n1,2 3\n", 4, "--steps-per-epoch with the steps that an epoch has"),
        ("step,epoch,ids\n0,0,0 1\n1,0,2 3\n", 4, "--finished if the run ended there"),
    ],
)
def test_an_epoch_that_is_not_over(text: str, steps_per_epoch: int, option: str, tmp_path: Path) -> None:
    log = imported(tmp_path, "csv", {"log.csv": text}, steps_per_epoch=steps_per_epoch)
    assert said(log, "CA901").fix == (
        f"import it again, `coverage-audit import csv ...`: {option}, --per run to judge all as one"
    )


def test_the_options_that_are_named_exist() -> None:
    told = CliRunner().invoke(main, ["import", "--help"]).output
    assert all(option in told for option in ("--steps-per-epoch", "--per", "--finished", "--data", "--rows"))
    assert "--dataset" in CliRunner().invoke(main, ["report", "--help"]).output


def test_steps_without_a_line(tmp_path: Path) -> None:
    log = imported(tmp_path, "csv", {"log.csv": "step,ids\n0,0 1\n3,2 3\n"}, batch_size=2)
    finding = said(log, "CA904")
    assert (finding.cause, finding.fix) == (
        "the imported log has no line for this step",
        "import a log that has these steps; nothing else tells what they held",
    )


def test_a_rank_without_a_file(tmp_path: Path) -> None:
    log = imported(tmp_path, "csv", {"rank1.csv": "step,ids\n0,0 1\n1,2 3\n"})
    assert said(log, "CA902").fix == "import the logs of all ranks together"


def test_no_denominator(tmp_path: Path) -> None:
    log = imported(tmp_path, "csv", {"log.csv": "step,ids\n0,0 1\n1,2 3\n"}, shards=None)
    assert said(log, "CA905").fix == (
        'give it to the report, --dataset "shards/x_*.npy", or to the import, --data or --rows'
    )


@pytest.mark.parametrize("text", ["step,ids\n0,0 1\n"])
def test_the_format_is_kept_in_the_log(text: str, tmp_path: Path) -> None:
    log = imported(tmp_path, "csv", {"log.csv": text})
    assert audit(log).run.imported == "csv"
