"""The contract of adapters, for LitData's loaders: run by test_litdata.py, with a home folder of its own.

``LITDATA_FOLDER``: the optimized data, as litdata_scenarios.py makes it.
"""

from __future__ import annotations

import os
from typing import Any

import litdata
import torch

from coverage_audit.testing.adapter_contract import AdapterContract

FOLDER = os.environ["LITDATA_FOLDER"]


class TestItsOwnLoader(AdapterContract):
    rows = 37
    restarts = True

    def make_loader(self) -> Any:
        data = litdata.StreamingDataset(FOLDER, shuffle=True, seed=3)
        return litdata.StreamingDataLoader(data, batch_size=4, num_workers=0)

    def rows_in(self, batch: Any) -> list[int]:
        if not _where:
            plain = litdata.StreamingDataset(FOLDER)
            _where.update({int(plain[i]["x"]): i for i in range(self.rows)})
        return [_where[int(x)] for x in batch["x"]]


class TestTorchsLoader(TestItsOwnLoader):
    def make_loader(self) -> Any:
        data = litdata.StreamingDataset(FOLDER, shuffle=True, seed=3)
        return torch.utils.data.DataLoader(data, batch_size=4)


_where: dict[int, int] = {}
