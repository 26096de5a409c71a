"""Every test leaves its logs closed behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coverage_audit.recorder import open_writers


@pytest.fixture(autouse=True)
def _closed_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RUN_ID", "LOG", "DISABLE", "INHERITED"):
        monkeypatch.delenv(f"COVERAGE_AUDIT_{name}", raising=False)
    yield
    for writer in tuple(open_writers._writers.values()):
        writer.close()
