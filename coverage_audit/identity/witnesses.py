"""What the arrays of a batch say of themselves: by what they remember, or by what they are views of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverage_audit.identity.agreement import STRANGER, Voice
from coverage_audit.identity.batches import NO_IDS, Run, Unknown
from coverage_audit.identity.declared import Declared
from coverage_audit.identity.held_views import HeldViews
from coverage_audit.identity.parts import as_array, rows_listed
from coverage_audit.identity.provenance import shadow_of
from coverage_audit.identity.shadows import Shadow
from coverage_audit.identity.views import CHANGED, Doubt, Seen, Views
from coverage_audit.model.event import Found


class Witnesses:
    """Asks the arrays. ``provenance``, ``views``: in which ways. ``held``: knows views of arrays in memory, if any."""

    def __init__(self, declared: Declared, *, provenance: bool, views: bool, held: HeldViews | None) -> None:
        self._declared = declared
        self._provenance = provenance
        self.views = Views(declared) if views else None
        self._held = held
        self._asks_held = views

    def dismiss(self, way: Found) -> None:
        """Arrays were wrong in this way: none is asked in it again."""
        if way is Found.PROVENANCE:
            self._provenance = False
        else:
            self.views = None
            self._asks_held = False

    def listen(self, parts: Sequence[Any], *, ask_held: bool = True) -> tuple[list[Voice], Unknown | None]:
        """What they say; and why one of them cannot. ``ask_held``: whether views of arrays in memory are, too."""
        voices: list[Voice] = []
        doubt: Unknown | None = None
        for at, part in enumerate(parts):
            if self._provenance:
                shadow = rows_listed(part) if type(part) is list else shadow_of(part)
                if shadow is not None:
                    told = self._declared.tell(shadow)
                    if told is not None:
                        voices.append(Voice(at, Found.PROVENANCE, told.role, told.rows))
                        continue
                    doubt = doubt or self._replaced(shadow)
            if self._held is not None and self._asks_held and ask_held:
                leaf = as_array(part)
                held = None if leaf is None else self._held.tell(leaf)
                if held is not None:
                    voices.append(self._voice(at, held))
                    continue
            if self.views is not None and isinstance(part, np.ndarray):
                seen = self.views.tell(part)
                if isinstance(seen, Doubt):
                    doubt = doubt or Unknown(seen.shows, seen.reason, seen.detail)
                elif seen is not None:
                    voices.append(self._voice(at, seen))
        return voices, doubt

    def whole_rows(self, leaf: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The rows of an array in memory that ``leaf`` is a view of, in full; ``leaf`` if it is none."""
        return leaf if self._held is None else self._held.whole_rows(leaf)

    def _voice(self, at: int, seen: Seen) -> Voice:
        home, (first, step, length), total, path = seen
        if home is None:
            return Voice(at, Found.VIEW, STRANGER, None, (seen.rows, total), path)
        if step == 1 or length == 1:
            return Voice(at, Found.VIEW, home.role, Run(home.shard, first, length) if length else NO_IDS, path=path)
        start = int(self._declared.offsets[home.shard]) + first
        return Voice(at, Found.VIEW, home.role, start + step * np.arange(length, dtype=np.int64), path=path)

    def _replaced(self, shadow: Shadow) -> Unknown | None:
        path = self._declared.replaced(shadow)
        return None if path is None else Unknown(-1, CHANGED, path)
