"""What a rule is that says how rows follow one of numpy's functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt

from coverage_audit.identity.elementwise import Ask
from coverage_audit.identity.leads import Known

Array = npt.NDArray[Any]
Arguments = tuple[Any, ...]
Named = Mapping[str, Any]
Rule = Callable[[Ask, Array, Arguments, Named], Known | None]
"""What it may ask of arrays, the result, the arguments of the call by place and by name -> what the result knows."""


def argument(args: Arguments, named: Named, at: int, name: str, default: Any) -> Any:
    """An argument that may be given by place or by name."""
    return named[name] if name in named else args[at] if len(args) > at else default
