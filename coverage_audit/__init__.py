"""Which rows of your data a training run really saw, how often, in what order, and what to fix.

    record  ->  run log (run.parquet)  ->  counts  ->  rules  ->  report

The map: ``model`` the nouns · ``sources`` the denominator, and the bytes of its rows · ``recorder`` what runs in the
training loop · ``identity`` from a batch to its rows · ``adapters`` the frameworks · ``launch`` a script, unchanged ·
``runlog`` what is left on disk · ``counts`` · ``rules`` · ``reporters`` · ``cli``.

The names below are the public ones. They are loaded when first used, so that ``import coverage_audit`` costs neither
pandas nor a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from coverage_audit._version import __version__

if TYPE_CHECKING:
    from coverage_audit.adapters.choice import wrap as wrap
    from coverage_audit.auditor import audit as audit
    from coverage_audit.errors import CoverageAuditError as CoverageAuditError
    from coverage_audit.full_coverage import assert_full_coverage as assert_full_coverage
    from coverage_audit.identity.tracer_maker import tracer as tracer
    from coverage_audit.model.contract import Contract as Contract
    from coverage_audit.planner import plan as plan
    from coverage_audit.recorder.recorder import Recorder as Recorder
    from coverage_audit.result import AuditResult as AuditResult
    from coverage_audit.result import Verdict as Verdict
    from coverage_audit.sources.dataset import Dataset as Dataset

_HOME = {
    "AuditResult": "coverage_audit.result",
    "Contract": "coverage_audit.model.contract",
    "CoverageAuditError": "coverage_audit.errors",
    "Dataset": "coverage_audit.sources.dataset",
    "Recorder": "coverage_audit.recorder.recorder",
    "Verdict": "coverage_audit.result",
    "assert_full_coverage": "coverage_audit.full_coverage",
    "audit": "coverage_audit.auditor",
    "plan": "coverage_audit.planner",
    "tracer": "coverage_audit.identity.tracer_maker",
    "wrap": "coverage_audit.adapters.choice",
}

__all__ = [
    "AuditResult",
    "Contract",
    "CoverageAuditError",
    "Dataset",
    "Recorder",
    "Verdict",
    "__version__",
    "assert_full_coverage",
    "audit",
    "plan",
    "tracer",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
