"""Passes whose batches are filled up by the next one, where passes are the epochs."""

from __future__ import annotations

import numpy as np
import pytest

from coverage_audit.auditor import judge
from coverage_audit.counts.tables import Counts
from coverage_audit.result import Verdict
from coverage_audit.testing.runs import Run, Step, shards_of


@pytest.mark.parametrize(("n", "size", "passes"), [(50, 8, 4), (100, 16, 3), (1003, 64, 3)])
def test_nothing_missed_is_no_short_epoch(n: int, size: int, passes: int) -> None:
    """GIVEN repeat() before batch() WHEN later passes take a batch less and miss nothing THEN no epoch is too short."""
    rows = [int(i) for p in range(passes) for i in np.random.default_rng(p).permutation(n)]
    steps = [Step(rows[at : at + size]) for at in range(0, len(rows), size)]
    counts = Run(shards_of(n), steps, trained=False, exhausted=True, batch_size=size).count()
    assert [e.missed.size for e in counts.epochs] == [0] * passes
    result = judge(Counts(counts.run, (counts,)))
    assert [(f.code, f.severity.value) for f in result.findings] == [("CA607", "warning")]
    assert result.verdict is Verdict.PASS
