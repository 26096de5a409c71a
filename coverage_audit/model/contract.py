"""What a split promises about its rows, and what it therefore tolerates."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from coverage_audit.errors import UsageError

Kind = Literal["exactly-once", "at-least-once", "padded", "drop-remainder", "with-replacement", "subset"]
Per = Literal["epoch", "pass", "run"]
KINDS: tuple[str, ...] = get_args(Kind)
PERS: tuple[str, ...] = get_args(Per)


@dataclass(frozen=True, slots=True)
class Contract:
    """What one split promises, and per what.

    ``explicit`` tells a promise somebody wrote down from the default; only a written exactly-once fails on
    repeats. Raises :class:`UsageError` for an unknown kind or unit.
    """

    kind: Kind = "exactly-once"
    per: Per = "epoch"
    explicit: bool = False

    def __post_init__(self) -> None:
        _require("contract kind", self.kind, KINDS)
        _require("contract per", self.per, PERS)

    @classmethod
    def of(cls, value: Contract | str | Mapping[str, Any] | None) -> Contract:
        """A kind, a mapping ``{"kind": ..., "per": ...}``, a Contract, or None for the default."""
        if value is None:
            return cls()
        if isinstance(value, Contract):
            return cls(value.kind, value.per, explicit=True)
        if isinstance(value, str):
            return cls(kind=cast(Kind, value), explicit=True)
        if isinstance(value, Mapping):
            for key in value:
                _require("contract key", key, ("kind", "per"))
            return cls(
                kind=cast(Kind, value.get("kind", "exactly-once")),
                per=cast(Per, value.get("per", "epoch")),
                explicit="kind" in value,
            )
        raise UsageError(
            f"contract={value!r} is no contract: give a kind such as 'exactly-once', a mapping with kind and per, or a "
            "Contract",
            slug="bad-contract",
        )

    @property
    def tolerates_missed(self) -> bool:
        """Whether rows may stay out of an epoch without any cause being named."""
        return self.kind in ("with-replacement", "subset")

    @property
    def tolerates_repeats(self) -> bool:
        return self.kind in ("with-replacement", "at-least-once")

    def to_json(self) -> dict[str, Any]:
        """Kind and unit, as reports show them."""
        return {"kind": self.kind, "per": self.per}


def _require(what: str, value: object, known: tuple[str, ...]) -> None:
    if value in known:
        return
    close = difflib.get_close_matches(str(value), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
    raise UsageError(f"{what} {value!r} is unknown; {hint}", slug="bad-contract")
