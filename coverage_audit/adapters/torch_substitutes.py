"""May a map-style dataset give another sample than the one it was asked for? Read off its code.

Datasets with samples that cannot be read often give others in their place: ``return self[other]``, or a loop that tries
another index until one can be read. What asks the dataset itself can be followed while it runs
(:mod:`~coverage_audit.adapters.torch_standin`); what loads another sample in any other way cannot. An index that is
computed from the one that was asked for is the dataset's own order, and no substitute. Knows nothing of torch.
"""

from __future__ import annotations

import dis
from typing import Any

from coverage_audit.adapters.asked_indices import Given, Kind
from coverage_audit.adapters.source_code import Source, codes_in, draws, functions_of, source_of
from coverage_audit.adapters.substitute_reader import Above, Method, SubstituteReader, Substitutes

DEEP = 24
"""Functions that are followed into each other, at the most."""


def substitutes_of(dataset: Any, *, together: bool = False) -> Substitutes:
    """``together``: whether it is asked for all samples of a batch at once, by ``__getitems__``. Does not raise."""
    found = Substitutes()
    name = "__getitems__" if together else "__getitem__"
    _follow(found, Method(dataset, type(dataset), name), {1: Kind.EACH if together else Kind.ASKED}, ())
    return found


def _follow(found: Substitutes, method: Method, given: Given, above: Above) -> None:
    mro = type(method.dataset).__mro__
    at = mro.index(method.kind) if method.kind in mro else len(mro)
    owner = next((kind for kind in mro[at:] if method.name in vars(kind)), None)
    if owner is None or str(owner.__module__).partition(".")[0] == "torch":
        return
    for function in functions_of(vars(owner)[method.name]):
        if len(above) >= DEEP:
            return
        code = function.__code__
        once = (id(method.dataset), code, tuple(given.items()), method.failing)
        if once in found.read:
            continue
        found.read.add(once)
        source = source_of(code)
        found.reaches.append(source)
        if source.tree is None:
            _read_bytecode(found, source, method.dataset)
        else:
            above_it = (*above, (method.dataset, code))
            reader = SubstituteReader(found, method.dataset, owner, source, given, above_it, _follow)
            reader.failing = int(method.failing)
            reader.read()


def _read_bytecode(found: Substitutes, source: Source, dataset: Any) -> None:
    """Where there is no source: whether it may ask itself, or takes another index where something failed."""
    code = source.code
    place = f"{type(dataset).__name__}.{code.co_name} ({source.place()})"
    found.asks_itself = found.asks_itself or place
    codes = list(codes_in(code))
    stored = {one.argval for one in dis.get_instructions(code) if one.opname.startswith("STORE_FAST")}
    kept = {name for one in stored for name in (one if isinstance(one, tuple) else (one,))}
    tries = any(getattr(one, "co_exceptiontable", b"") for one in codes)
    if tries and (kept & set(source.parameters[1:]) or any(draws(name) for one in codes for name in one.co_names)):
        found.loads = found.loads or place
