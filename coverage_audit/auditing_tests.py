"""What the fixture ``audited`` does: record the loaders of a test, judge them when it ends. Pytest's own part is in
``pytest_plugin``, which brings this in when a test asks for it."""

from __future__ import annotations

import difflib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from coverage_audit.adapters.choice import wrap
from coverage_audit.auditor import audit
from coverage_audit.config import read_config
from coverage_audit.errors import CoverageAuditError
from coverage_audit.full_coverage import gates_with
from coverage_audit.recorder.recorder import Recorder
from coverage_audit.reporters import json_file, markdown, short, total
from coverage_audit.result import AuditResult, Verdict
from coverage_audit.sources.dataset import Dataset

GATES = ("max_missed", "max_repeated", "fail_on", "warn_on", "allow_incomplete")
WRAPPING = ("epochs", "batch_size", "steps_per_epoch", "contract", "ids", "identify")


class Audited:
    """``shown``: what reports call the log. ``marked``: of the test's marks, ``given``: of the command line, which is
    stronger."""

    def __init__(self, log: Path, shown: str, marked: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        for key in marked:
            if key not in GATES + WRAPPING:
                close = difflib.get_close_matches(key, GATES + WRAPPING, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(WRAPPING + GATES)}"
                pytest.fail(f"data_coverage() has no {key!r}; {hint}", pytrace=False)
        self.log = log
        self._shown = shown
        self._wrapping = {key: marked[key] for key in WRAPPING if key in marked}
        self._gates = {key: marked[key] for key in GATES if key in marked} | dict(given)
        self._run_id = uuid.uuid4().hex
        self._recorders: list[Recorder] = []
        self._result: AuditResult | None = None
        self._new = False

    def __call__(self, loader: Any, dataset: Dataset | None = None, **options: Any) -> Any:
        """As ``ca.wrap(loader, dataset, **options)``, into the log of this test."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        fixed = {"run_id": self._run_id, "data_parallel": (0, 1)}
        wrapped = wrap(loader, dataset, self.log, **{**fixed, **self._wrapping, **options})
        if wrapped.recorder.log is None:
            pytest.fail("COVERAGE_AUDIT_DISABLE is set, so nothing can be audited: unset it", pytrace=False)
        self._recorders.append(wrapped.recorder)
        self._new = True
        return wrapped

    def result(self) -> AuditResult:
        """End the recording, and fail the test here if a gate fails."""
        __tracebackhide__ = True
        self.judge()
        assert self._result is not None
        return self._result

    def judge(self) -> None:
        """The same, unless it was done: nothing that was recorded stays unjudged, and nothing is judged twice."""
        __tracebackhide__ = True
        if self._result is not None and not self._new:
            return
        if not self._recorders:
            pytest.fail("the fixture 'audited' was given no loader: call audited(loader, dataset)", pytrace=False)
        self._close()
        self._new = False
        config = read_config()
        try:
            found = audit(self.log, gates=gates_with(config.gates, **self._gates), config=config)
        except CoverageAuditError as error:
            pytest.fail(f"coverage-audit: {error}", pytrace=False)
        self._result = found = replace(found, run=replace(found.run, log=self._shown))
        if found.verdict is not Verdict.PASS:
            pytest.fail(short.render(found), pytrace=False)
        wanted = self._wrapping.get("epochs")
        for split in found.splits:
            whole = len(split.counts.complete_epochs)
            if wanted is not None and split.name == "train" and whole < wanted:
                pytest.fail(f"{split.name}: {whole} of {wanted} epochs were recorded whole", pytrace=False)

    def told(self, kind: str) -> dict[str, Any] | None:
        """What is to be said of this test at the end of the session: plain values."""
        if self._result is None:
            return None
        found = self._result
        texts = {"text": short.render, "markdown": markdown.render, "total": total.render, "json": json_file.render}
        return {"verdict": found.verdict.value, "text": texts[kind](found)}

    def _close(self) -> None:
        for recorder in self._recorders:
            recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def compose(kind: str, told: Sequence[Mapping[str, Any]]) -> str:
    """One report out of those of all tests, in the order given."""
    if kind == "json":
        tests = [{"test": one["test"], "report": json.loads(one["text"])} for one in told]
        return json.dumps(tests, ensure_ascii=False, indent=1) + "\n"
    if kind == "total":
        return "".join(f"{one['test']}  {one['text'].strip()}\n" for one in told)
    if not told:
        return "no audited test was run\n"
    head = "# {}\n\n{}\n" if kind == "markdown" else "{}\n\n{}\n"
    return "\n".join(head.format(one["test"], one["text"].strip()) for one in told)
