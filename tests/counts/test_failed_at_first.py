"""A loader whose first batch failed, and whose loop went on with the same iteration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import coverage_audit as ca


class Rows(Dataset[torch.Tensor]):
    def __init__(self, broken: int) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == self.broken:
            raise ValueError("a broken row")
        return torch.tensor(index)


@pytest.mark.parametrize("broken", [1, 17])
def test_what_comes_after_it_is_no_complete_pass(tmp_path: Path, broken: int) -> None:
    """GIVEN 40 rows in 10 batches, one of which fails, the first one or a later one."""
    loader = ca.wrap(DataLoader(Rows(broken), batch_size=4), ca.Dataset.of(40), tmp_path / "log", batch_size=4)
    got = 0
    for _ in range(2):
        batches = iter(loader)
        for _ in range(10):
            try:
                next(batches)
            except ValueError:
                continue
            got += 1
        assert next(batches, None) is None
    loader.recorder.close()
    result = ca.audit(tmp_path / "log")
    assert got == 18
    assert result.verdict is ca.Verdict.INCOMPLETE
    assert [f.code for f in result.findings if f.code in ("CA101", "CA103", "CA604", "CA901")] == ["CA901", "CA604"]


def test_an_iteration_of_its_own_is_a_pass(tmp_path: Path) -> None:
    """GIVEN a first batch that fails once, WHEN the loop asks the loader for a new iteration."""
    rows = Rows(1)
    loader = ca.wrap(DataLoader(rows, batch_size=4), ca.Dataset.of(40), tmp_path / "log", batch_size=4)
    with pytest.raises(ValueError, match="a broken row"):
        next(iter(loader))
    rows.broken = -1
    assert sum(1 for _ in loader) == 10
    loader.recorder.close()
    result = ca.audit(tmp_path / "log")
    assert [f.code for f in result.findings if f.code in ("CA101", "CA103", "CA901")] == []
