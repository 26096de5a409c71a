"""wrap(): the one way from a loader to a recorded loader, and which adapter does it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverage_audit.adapters.plain import require_iterable, wrap_plain
from coverage_audit.model.contract import Contract
from coverage_audit.recorder.recorder import Recorder

if TYPE_CHECKING:
    from coverage_audit.sources.dataset import Dataset

Adapter = Callable[[Any, Recorder], Any]


def wrap(
    loader: Any,
    dataset: Dataset | None = None,
    log: str | Path | None = None,
    *,
    batch_size: int | None = None,
    steps_per_epoch: int | None = None,
    epochs: int | None = None,
    split: str = "train",
    contract: Contract | str | Mapping[str, Any] | None = None,
    ids: Any = None,
    identify: str | None = "auto",
    run_id: str | None = None,
    resume: bool = False,
    if_exists: str = "archive",
    data_parallel: tuple[int, int] | None = None,
    sync_every: float | None = None,
) -> Any:
    """Record what ``loader`` yields; what comes back behaves as ``loader`` does.

    ``loader``: a generator, an iterator, an iterable, or the loader of a framework. What comes back has on top
    ``callback()`` (for Keras: tells trained steps from yields) and ``recorder``.

    ``dataset``: the denominator; None leaves coverage unknown. ``log``: the run log, by default COVERAGE_AUDIT_LOG or
    ``run.parquet``. ``batch_size``: rows per batch as declared. ``steps_per_epoch``, ``epochs``: as the trainer is
    told. ``split``: the stream inside the run. ``contract``: what the split promises, see
    :class:`~coverage_audit.model.contract.Contract`. ``ids``: where a batch has its ids: a key, a tuple position, a
    callable; they are removed before the batch goes on. ``identify``: how to find the rows otherwise; "auto" tries
    what arrays remember ("provenance": the files of ``dataset`` that are opened from now on), what they are views of
    ("views"), what they contain ("content", "tracer") and what was read just before ("inferred"); naming one forces
    it, "off" does not look. One batch in ``verify-every`` of the configuration (64) is held against the files.
    ``run_id``, ``resume``, ``if_exists`` ("archive" or "error"): whose log it is. ``data_parallel``: (index, size)
    instead of what the environment says. ``sync_every``: seconds between writes through to the disk, for machines
    that may crash.

    With COVERAGE_AUDIT_DISABLE=1 nothing is recorded and everything else is the same.

    Raises ``UsageError`` for arguments that cannot be meant, ``LogError`` if the log cannot be had.
    """
    adapter = adapter_for(loader)
    recorder = Recorder(
        log,
        dataset,
        batch_size=batch_size,
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        split=split,
        contract=contract,
        ids=ids,
        identify=identify,
        run_id=run_id,
        resume=resume,
        if_exists=if_exists,
        data_parallel=data_parallel,
        sync_every=sync_every,
    )
    return adapter(loader, recorder)


def adapter_for(loader: Any) -> Adapter:
    """What wraps this loader, told by its class; of the frameworks only those that are imported already are asked.

    Raises ``UsageError``: not-iterable, wrapped-twice, unsupported-loader.
    """
    for framework, module in _FRAMEWORKS:
        if framework in sys.modules:
            adapter: Any = importlib.import_module(f"{_HERE}.{module}")
            if adapter.takes(loader):
                return adapter.adapt  # type: ignore[no-any-return]
    require_iterable(loader)
    return wrap_plain


_HERE = __name__.rpartition(".")[0]

# (the module that is there when such a loader can be, our module for it). The first whose ``takes(loader)`` is true
# wraps it, by ``adapt(loader, recorder)``; the more special kinds of loader stand before those they are built on.
_FRAMEWORKS: tuple[tuple[str, str], ...] = (
    ("keras", "keras_pydataset"),
    ("tensorflow", "tf_data"),
    ("datasets", "huggingface"),
    ("webdataset", "webdataset"),
    ("grain", "grain"),
    ("accelerate.data_loader", "accelerate"),
    ("torch.utils.data", "torch_data"),
)


def loaded(module: str, name: str) -> type | None:
    """A class of a module that is imported already; None otherwise."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None
