"""Functions of other libraries that are replaced for as long as recording lasts, and put back exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Function = Callable[..., Any]


class Patch(NamedTuple):
    """``owner.name`` was ``raw`` (as it stood in the owner, a ``staticmethod`` included) and is ``ours``."""

    owner: Any
    name: str
    raw: Any
    ours: Any


class Patches:
    """What was replaced, in order."""

    def __init__(self) -> None:
        self._made: list[Patch] = []

    def replace(self, owner: Any, name: str, make: Callable[[Function], Function]) -> None:
        """Put ``make(original)`` in the place of ``owner.name``; nothing happens where the owner has no such thing."""
        raw = vars(owner).get(name)
        if raw is None:
            return
        made = make(getattr(owner, name))
        ours = staticmethod(made) if isinstance(raw, staticmethod) else made
        setattr(owner, name, ours)
        self._made.append(Patch(owner, name, raw, ours))

    def restore(self) -> None:
        """Put everything back, except where somebody else has replaced ours since: theirs goes on calling it."""
        while self._made:
            owner, name, raw, ours = self._made.pop()
            if vars(owner).get(name) is ours:
                setattr(owner, name, raw)
