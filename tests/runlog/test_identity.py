"""Whose log it is: joining, archiving, refusing; between real processes where it matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from simulated_trainer import batch, mark

from coverage_audit.errors import LogError, UsageError
from coverage_audit.model.event import MarkKind
from coverage_audit.model.run import SplitInfo
from coverage_audit.model.shards import Shard, Shards
from coverage_audit.runlog.identity import OpenLog, open_log
from coverage_audit.runlog.inherited import INHERITED
from coverage_audit.runlog.journal import Journal
from coverage_audit.testing.logs import write_log

SHARDS = Shards((Shard("a", 90),))


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (INHERITED, "COVERAGE_AUDIT_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def start(path: Path, run_id: str | None = None, **changes: Any) -> OpenLog:
    options: dict[str, Any] = {
        "resume": False, "if_exists": "archive", "rank": 0, "world_size": 1, "launcher_id": None, "restart": None,
    }  # fmt: skip
    return open_log(path, run_id=run_id, **{**options, **changes})


def visit(path: Path, run_id: str | None = None, **changes: Any) -> tuple[str, str]:
    """(run id, stem) of a process that opens the log and leaves."""
    log = start(path, run_id, **changes)
    log.close()
    return log.run_id, log.stem


def in_child(path: Path, **changes: Any) -> list[str]:
    """What :func:`visit` gives in another process, started by this one."""
    script = f"""
        import json
        from coverage_audit.errors import CoverageAuditError
        from coverage_audit.runlog.identity import open_log
        options = dict(run_id=None, resume=False, if_exists="archive", rank=0, world_size=1)
        options |= dict(launcher_id=None, restart=None)
        try:
            log = open_log({str(path)!r}, **{{**options, **{changes!r}}})
            print(json.dumps([log.run_id, log.stem]))
            log.close()
        except CoverageAuditError as error:
            print(json.dumps([error.slug]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True, timeout=60
    )
    found: list[str] = json.loads(done.stdout)
    return found


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_the_first_process_makes_a_run(tmp_path: Path) -> None:
    log = start(tmp_path / "deep" / "run.parquet")

    assert (log.stem, log.path, log.state) == (
        "a000-r0000-p0001",
        tmp_path / "deep" / "run.parquet",
        tmp_path / "deep" / "run.parquet.state",
    )
    assert len(log.run_id) == 32
    assert names(log.state) == ["a000-r0000-p0001.json", "run.json"]
    assert not log.path.exists()
    log.close()


def test_run_id_comes_from_the_argument_then_the_environment_then_the_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visit(tmp_path / "1", launcher_id="launcher")[0] == "launcher"
    monkeypatch.setenv("COVERAGE_AUDIT_RUN_ID", "environment")
    assert visit(tmp_path / "2", launcher_id="launcher")[0] == "environment"
    assert visit(tmp_path / "3", "argument", launcher_id="launcher")[0] == "argument"


def test_the_same_run_joins_as_its_next_attempt(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"

    assert visit(path, "r") == ("r", "a000-r0000-p0001")
    assert visit(path, "r") == ("r", "a001-r0000-p0001")
    assert visit(path, "r", rank=1) == ("r", "a000-r0001-p0001")
    assert visit(path, "r", restart=1) == ("r", "a001-r0000-p0002")
    assert visit(path, "r", restart=7) == ("r", "a007-r0000-p0001")


def test_a_launch_of_another_size_is_a_later_attempt_for_ranks_that_are_new_too(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"

    assert visit(path, "r", rank=0, world_size=2) == ("r", "a000-r0000-p0001")
    assert visit(path, "r", rank=1, world_size=2) == ("r", "a000-r0001-p0001")
    assert visit(path, "r", rank=2, world_size=3) == ("r", "a001-r0002-p0001")
    assert visit(path, "r", rank=0, world_size=3) == ("r", "a001-r0000-p0001")


def test_children_join_the_attempt_of_their_parent(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    visit(path, "r")
    log = start(path, "r")

    assert in_child(path) == ["r", "a001-r0000-p0002"]
    assert in_child(path, rank=1, world_size=2) == ["r", "a001-r0001-p0001"]
    assert in_child(path, run_id="r") == ["r", "a001-r0000-p0003"]
    assert in_child(tmp_path / "other.parquet")[1] == "a000-r0000-p0001"

    # WHEN the parent is done, its later children are runs of their own
    log.close()
    found = in_child(path)
    assert found[1] == "a000-r0000-p0001"
    assert found[0] != "r"


def test_another_run_archives_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN a finished log of run "old", and one of journals only of run "new/er"
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, [batch(0), mark(MarkKind.CLOSED, "")], run_id="old")
    write_log(path, SHARDS, [batch(0)], run_id="new/er", finish=False)
    assert capsys.readouterr().err == f"coverage-audit: {path} held run old; it is now run.parquet.prev-old\n"

    # WHEN further runs come, one of them again "old"
    visit(path, "old")
    visit(path, "last")

    # THEN everything is still there
    assert names(tmp_path) == [
        "run.parquet.prev-new_er.state",
        "run.parquet.prev-old",
        "run.parquet.prev-old-2.state",
        "run.parquet.prev-old.state",
        "run.parquet.state",
    ]
    assert "a000-r0000-p0001-00000.journal" in names(tmp_path / "run.parquet.prev-new_er.state")
    assert names(tmp_path / "run.parquet.prev-old") == ["part-a000-r0000-p0001-00000.parquet"]


def test_an_archiving_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    # GIVEN a process that died between moving the parts and moving the state
    path = tmp_path / "run.parquet"
    write_log(path, SHARDS, [batch(0)], run_id="old")
    path.rename(tmp_path / "run.parquet.prev-old")

    visit(path, "new")

    assert names(tmp_path) == ["run.parquet.prev-old", "run.parquet.prev-old.state", "run.parquet.state"]


def test_a_log_may_be_refused_instead_or_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    visit(path, "old")

    with pytest.raises(LogError) as caught:
        start(path, "new", if_exists="error")
    assert str(caught.value) == (
        f"{path} exists and belongs to run old: choose another log=, or allow if_exists='archive' [log-exists]"
    )
    assert visit(path, "new", resume=True) == ("old", "a001-r0000-p0001")
    assert visit(path, "newer", resume=True, restart=0) == ("old", "a002-r0000-p0001")
    assert visit(path, "old", if_exists="error") == ("old", "a003-r0000-p0001")


def test_a_log_with_a_live_writer_is_never_moved(tmp_path: Path) -> None:
    # GIVEN a live process of run "r", between any two of its steps
    path = tmp_path / "run.parquet"
    log = start(path, "r")
    assert in_child(path, run_id="other") == ["live-writer"]
    journal = Journal(log.state, log.stem)
    assert in_child(path, run_id="other") == ["live-writer"]
    assert names(tmp_path) == ["run.parquet.state"]

    # WHEN it is done
    journal.close()
    log.close()
    assert in_child(path, run_id="other") == ["other", "a000-r0000-p0001"]


def test_a_killed_writer_does_not_hold_the_log(tmp_path: Path) -> None:
    script = f"""
        import os, signal
        from coverage_audit.runlog.identity import open_log
        open_log({str(tmp_path / "run.parquet")!r}, run_id="dead", resume=False, if_exists="archive", rank=0,
                 world_size=1, launcher_id=None, restart=None)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60)

    assert visit(tmp_path / "run.parquet", "next") == ("next", "a000-r0000-p0001")
    assert "run.parquet.prev-dead.state" in names(tmp_path)


def test_processes_that_start_together_share_the_log(tmp_path: Path) -> None:
    # GIVEN an old log, and four processes of one run that all find it
    path = tmp_path / "run.parquet"
    visit(path, "old")
    script = f"""
        import sys
        from coverage_audit.runlog.identity import open_log
        sys.stdin.readline()
        log = open_log({str(path)!r}, run_id="r", resume=False, if_exists="archive", rank=0, world_size=1,
                       launcher_id=None, restart=0)
        print(log.stem, flush=True)
        sys.stdin.readline()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    stems = [process.communicate("\n", timeout=60)[0].strip() for process in crowd]

    assert sorted(stems) == [f"a000-r0000-p000{n}" for n in range(1, 5)]
    assert names(tmp_path) == ["run.parquet.prev-old.state", "run.parquet.state"]


def test_several_ranks_need_a_shared_id(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        start(tmp_path / "run.parquet", rank=1, world_size=4)

    assert str(caught.value) == (
        "run.parquet: rank 1 of 4 has no run id to share with the others: set the environment variable "
        "COVERAGE_AUDIT_RUN_ID, or pass run_id=, to the same value on all ranks [no-shared-run-id]"
    )
    assert names(tmp_path) == []


@pytest.mark.parametrize("beside", ["", ".state"])
def test_what_is_no_log_is_left_alone(tmp_path: Path, beside: str) -> None:
    for kind in ("file", "folder"):
        path = tmp_path / kind
        taken = tmp_path / (kind + beside)
        if kind == "file":
            taken.write_text("precious")
        else:
            taken.mkdir()
            (taken / "thesis.tex").write_text("precious")
        before = names(tmp_path)

        with pytest.raises(LogError) as caught:
            start(path, "r")

        assert caught.value.slug == "not-a-run-log"
        assert names(tmp_path) == before


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "run.parquet").mkdir()

    assert visit(tmp_path / "run.parquet", "r") == ("r", "a000-r0000-p0001")


def test_a_folder_that_cannot_be_written() -> None:
    with pytest.raises(LogError) as caught:
        start(Path("/proc/run.parquet"), "r")  # not even root can make a folder there
    assert caught.value.slug == "unwritable-log"


def test_a_parent_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError) as caught:
        start(tmp_path / "file" / "run.parquet", "r")
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'run.parquet.state' / 'run.json'} cannot be written (Not a directory): choose another "
        "log= or make its folder writable [unwritable-log]"
    )


@pytest.mark.parametrize(
    ("changes", "slug"), [({"if_exists": "replace"}, "bad-if-exists"), ({"run_id": ""}, "bad-run-id")]
)
def test_values_that_cannot_be_meant(tmp_path: Path, changes: dict[str, Any], slug: str) -> None:
    with pytest.raises(UsageError) as caught:
        start(tmp_path / "run.parquet", **changes)
    assert caught.value.slug == slug


def test_run_json_of_a_creator_that_died_is_filled_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "run.parquet.state").mkdir()
    (tmp_path / "run.parquet.state" / "run.json").write_text("")

    assert visit(tmp_path / "run.parquet", "r") == ("r", "a000-r0000-p0001")
    assert json.loads((tmp_path / "run.parquet.state" / "run.json").read_text())["run_id"] == "r"


def test_parts_without_a_state_folder_keep_their_run(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    log = write_log(path, SHARDS, [batch(0)], run_id="old")
    for entry in log.state.iterdir():
        entry.unlink()
    log.state.rmdir()

    assert visit(path, "new") == ("new", "a000-r0000-p0001")
    assert "run.parquet.prev-old" in names(tmp_path)


def test_a_declaration_is_whole_and_datasets_stay(tmp_path: Path) -> None:
    log = start(tmp_path / "run.parquet", "r", world_size=2)
    info = SplitInfo("train", SHARDS.fingerprint, batch_size=3)
    log.declare([info], {SHARDS.fingerprint: SHARDS}, {"backend": "torch"})
    log.write_dataset(SHARDS.fingerprint, Shards(()))
    log.close()

    facts = json.loads((log.state / f"{log.stem}.json").read_text())
    assert (facts["run_id"], facts["world_size"], facts["pid"], facts["facts"]) == (
        "r", 2, os.getpid(), {"backend": "torch"},
    )  # fmt: skip
    assert facts["splits"] == [{"name": "train", **info.to_json()}]
    dataset = json.loads((log.state / f"dataset-{SHARDS.fingerprint}.json").read_text())
    assert dataset == {"fingerprint": SHARDS.fingerprint, "shards": SHARDS.to_json()}
