"""A dataset of torch whose samples say which row they are, for scripts of scenarios."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

N, B = 40, 6


class Rows(Dataset[Any]):
    """{"row": 0}, {"row": 1}, ..."""

    def __init__(self, n: int = N) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> Any:
        return {"row": torch.tensor(i)}
