"""Which columns of a table hold what."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from coverage_audit.errors import LogError

KNOWN: dict[str, tuple[str, ...]] = {
    "step": ("step", "global_step", "steps"),
    "ids": ("ids", "id", "index", "indices", "sample_id", "sample_ids"),
    "rank": ("rank",),
    "epoch": ("epoch",),
}
"""What each is called where nothing is said, in the order they are looked for; upper case is the same."""

_REQUIRED = ("step", "ids")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns; None where they are to be found (or, for rank and epoch, are not there)."""

    step: str | None = None
    ids: str | None = None
    rank: str | None = None
    epoch: str | None = None

    def found_in(self, names: Sequence[str], where: str) -> Columns:
        """The same with names out of ``names``.

        Raises :class:`LogError` (import-column) where a required one is not among them, or one that was asked for.
        """
        return Columns(**{role: _find(role, getattr(self, role), names, where) for role in KNOWN})

    @property
    def wanted(self) -> list[str]:
        """The names that are known, each once."""
        found = (self.step, self.ids, self.rank, self.epoch)
        return list(dict.fromkeys(name for name in found if name is not None))


def _find(role: str, asked: str | None, names: Sequence[str], where: str) -> str | None:
    if asked is not None:
        if asked in names:
            return asked
        close = difflib.get_close_matches(asked, names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(map(repr, names))}"
        raise LogError(f"{where}: there is no column {asked!r}; {hint}", slug="import-column")
    simple = {name.strip().lower(): name for name in reversed(names)}
    for known in KNOWN[role]:
        if known in simple:
            return simple[known]
    if role not in _REQUIRED:
        return None
    words = {
        word: name for name in names for word in (name.strip().lower(), *name.lower().replace("-", "_").split("_"))
    }
    close = [word for known in KNOWN[role] for word in difflib.get_close_matches(known, words, n=1)]
    hint = f"did you mean --{role}-column {words[close[0]]!r}?" if close else f"say which by --{role}-column"
    raise LogError(
        f"{where}: none of the columns {', '.join(map(repr, names)) or '(there are none)'} is called "
        f"{' or '.join(KNOWN[role][:2])}; {hint}",
        slug="import-column",
    )
