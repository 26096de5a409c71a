"""assert_full_coverage with loaders of frameworks, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

SCRIPT = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np, torch
import coverage_audit as ca

data, x = ca.Dataset.of(103), np.arange(103.0)

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return len(x)
    def __getitem__(self, i):
        return torch.tensor(x[i])

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 13
    def __getitem__(self, i):
        return x[8 * i : 8 * i + 8]

def loader(**options):
    return torch.utils.data.DataLoader(Rows(), 8, shuffle=True, **options)

print(ca.assert_full_coverage(loader(), data, epochs=2).epochs["missed"].tolist())
print(ca.assert_full_coverage(loader(num_workers=2), data).epochs["missed"].tolist())
try:
    ca.assert_full_coverage(loader(drop_last=True), data)
except AssertionError as error:
    print([line.split("   ")[0] for line in str(error).splitlines() if line.startswith("FAIL")])
named = Batches()
print(ca.assert_full_coverage(named, data, ids=lambda batch: batch.astype(int)).epochs["steps"].tolist())
"""


def test_loaders_of_torch_and_keras(tmp_path: Path) -> None:
    """GIVEN loaders as a project has them THEN whole ones pass, in several processes too, and a short one is named."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["[0, 0]", "[0]", "['FAIL  CA103 dropped-remainder']", "[13]"], done.stderr
    assert [p for p in os.listdir(tmp_path) if p.startswith("coverage-audit")] == []
