"""The ways from a batch to its rows, in turn: what its arrays remember, what they are views of, what they contain.

Each step says how its rows were found. A sample of batches is held against the files; a way that is caught wrong is not
asked again. Rows are exact or unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from coverage_audit.errors import CoverageAuditError
from coverage_audit.identity.agreement import Voice, agree, ids_in, text
from coverage_audit.identity.batches import NO_IDS, Answer, Identified, Notice, Unknown, count_rows
from coverage_audit.identity.declared import OWN, Declared
from coverage_audit.identity.held_views import HeldViews
from coverage_audit.identity.inferred import Inferred
from coverage_audit.identity.parts import arrays, as_array, handed_on
from coverage_audit.identity.provenance import altered
from coverage_audit.identity.verification import Contents, holds
from coverage_audit.identity.views import CHANGED, NOT_KNOWN
from coverage_audit.identity.witnesses import Witnesses
from coverage_audit.locks import new_lock
from coverage_audit.model.event import VERIFIED, Found, MarkKind
from coverage_audit.model.rows import Ints

VERIFY_EVERY = 64
_PROVENANCE = int(Found.PROVENANCE)


class Recognises(Protocol):
    """A way that looks at what an array contains (content, tracer)."""

    def tell(self, leaf: npt.NDArray[Any], at: int) -> tuple[Found, Answer] | Unknown | None:
        """The rows of an array; None if it cannot be rows of this data; Unknown with a reason if they are not told."""


@runtime_checkable
class Listens(Protocol):
    """A recogniser that wants to know of reads until it is closed."""

    def close(self) -> None: ...


class Ladder:
    """``identify="auto"`` and the forced single ways.

    ``provenance``, ``views``: whether arrays are asked what they remember, and for what they are views of.
    ``recognisers``: asked in this order, made when first needed. ``inferred``: the last resort. ``contents``: for
    verification, None where the files cannot be read. ``verify_every``: one batch in so many, from the first on, and a
    few more at the beginning. ``held``: what knows views of arrays in memory.
    """

    found = Found.UNKNOWN
    alters = True
    made_of: tuple[Any, int, int] | None = None
    """(dataset, verify_every, offset) where this is all ways for a dataset: another process can make it anew."""

    def __init__(
        self,
        declared: Declared,
        *,
        provenance: bool = True,
        views: bool = True,
        recognisers: Sequence[Callable[[], Recognises | None]] = (),
        inferred: Inferred | None = None,
        contents: Contents | None = None,
        verify_every: int = VERIFY_EVERY,
        held: HeldViews | None = None,
    ) -> None:
        self._declared = declared
        self._witnesses = Witnesses(declared, provenance=provenance, views=views, held=held)
        self._makers = tuple(recognisers)
        self._recognisers: list[Recognises] | None = None
        self._inferred = inferred
        self._contents = contents
        self._every = verify_every
        self._lock = new_lock(self)
        self._asked = 0
        # By plain numbers: the hash of a member of an enumeration takes as long as the look-up.
        self._verified: dict[int, int] = {}
        self._misaligned = 0
        self._twins = 0
        self._changed = False

    def identify(self, batch: Any) -> tuple[Any, Identified]:
        """The batch with ordinary arrays, its rows, and what the log is to know of them."""
        notices: list[Notice] = []
        with self._lock:
            number = self._asked
            self._asked += 1
            try:
                parts = arrays(batch)
                since = 0 if self._inferred is None else self._inferred.next_batch()
                found, rows = self._find(parts, number, since, notices)
            except Exception as error:  # noqa: BLE001 - one batch that cannot be looked into must not end the recording
                text = f"{type(error).__name__}: {error}"
                found, rows = int(Found.UNKNOWN), Unknown(-1, "the batch could not be looked into", text)
        if isinstance(rows, Unknown) and rows.length < 0:
            rows = rows._replace(length=count_rows(batch))
        return handed_on(batch), Identified(found, rows, tuple(notices))

    def is_data(self, array: npt.NDArray[Any]) -> bool:
        """Whether an array is a piece of the data by what it remembers, or by its address.

        Whole numbers in memory are rather an order that is gone through: those are not asked for their address.
        """
        with self._lock:
            voices, _ = self._witnesses.listen((array,), ask_held=array.dtype.kind not in "iu")
            return agree(self._declared, voices).voice is not None

    def _find(self, parts: Sequence[Any], number: int, since: int, notices: list[Notice]) -> tuple[int, Answer]:
        voices, doubt = self._witnesses.listen(parts)
        verdict = agree(self._declared, voices)
        if verdict.fault:
            notices += self._misalignment(verdict.fault)
        voice = verdict.voice
        if voice is not None and voice.rows is not None:
            found = self._checked(voice, parts, number, notices)
            if found is not None:
                return found, voice.rows
            if self._changed:
                doubt = doubt or Unknown(-1, CHANGED)
        if verdict.unknown is not None:
            return int(Found.UNKNOWN), verdict.unknown
        recognised = self._recognise(parts, notices)
        if recognised is not None and not isinstance(recognised, Unknown):
            if number % self._every == 0:
                notices += self._look_for_changes(recognised[1])
            return int(recognised[0]), recognised[1]
        if self._inferred is not None:
            proposals = [ids_in(self._declared, v.rows) for v in voices if v.role > OWN and v.rows is not None]
            proposals.append(self._inferred.read_since(since))
            for leaf in (leaf for leaf in map(as_array, parts) if leaf is not None):
                for proposal in proposals:
                    rows = self._explained(leaf, proposal)
                    if rows is not None:
                        return Found.INFERRED | VERIFIED, rows
        return int(Found.UNKNOWN), doubt or recognised or Unknown(-1, NOT_KNOWN)

    def _checked(self, voice: Voice, parts: Sequence[Any], number: int, notices: list[Notice]) -> int | None:
        """How the rows are known, with the VERIFIED bit if they were looked up just now; None if they are wrong."""
        found = int(voice.found)
        if self._contents is None or (found in self._verified and not self._is_due(found, number)):
            return found
        part = parts[voice.at]
        leaf = as_array(part)
        if leaf is None or voice.rows is None:
            return found
        try:
            may_differ = voice.found is Found.PROVENANCE and altered(part)
            right = holds(self._declared, self._contents, leaf, voice.rows, altered=may_differ)
        except (CoverageAuditError, OSError) as error:
            if getattr(error, "slug", "changed-file") != "changed-file":
                self._verified.setdefault(found, -1)
                return found
            ids = ids_in(self._declared, voice.rows)
            self._declared.forget_changed(np.searchsorted(self._declared.offsets, ids, side="right") - 1)
            notices += self._change(error)
            return None
        last = self._verified.get(found, -1)
        if right is not False:
            self._verified[found] = number if right else last
            return found | VERIFIED if right else found
        self._witnesses.dismiss(voice.found)
        how = voice.found.name.lower()
        reason = f"a batch did not hold the rows it was said to hold by {how}"
        notices.append(
            Notice(
                MarkKind.DEMOTED,
                {"found": found, "reason": reason, "asked": number, "verified": last},
                f"{reason} ({text(self._declared, voice.rows)}); rows are no longer told in this way. Give ids=, or "
                "record the data index (Dataset.index)",
            )
        )
        return None

    def _is_due(self, found: int, number: int) -> bool:
        """Whether this batch is verified: one in so many, and the 2nd, 3rd, 5th, 9th, ... before that.

        What arrays remember may be overwritten where nobody sees it, and then stays wrong. Among the batches k to 2k is
        one of these, so that a run whose second half is wrong is found out, however short it is.
        """
        early = found == _PROVENANCE and number < self._every and number & (number - 1) == 0
        return early or number % self._every == 0

    def _change(self, error: Exception) -> list[Notice]:
        """Said once: a file is not what it was, so that nothing can be compared with it any more.

        Other things that keep a file from being read (objects, several arrays, a missing package) are no news.
        """
        if self._changed or getattr(error, "slug", "changed-file") != "changed-file":
            return []
        self._changed = True
        what = str(error)
        return [Notice(MarkKind.CHANGED, {"reason": what}, f"a sample of batches cannot be verified: {what}")]

    def _look_for_changes(self, rows: Answer) -> list[Notice]:
        """Rows known by their bytes stay known when a file is written anew; that it was is to be said all the same."""
        if self._contents is None or self._changed:
            return []
        shards = np.unique(np.searchsorted(self._declared.offsets, ids_in(self._declared, rows), side="right") - 1)
        try:
            for shard in shards.tolist():
                self._contents.read(shard, NO_IDS)
        except (CoverageAuditError, OSError) as error:
            return self._change(error)
        return []

    def _misalignment(self, fault: str) -> list[Notice]:
        """Marked with the 1st, 2nd, 4th, 8th ... such batch, so that a log never fills with them."""
        self._misaligned += 1
        n = self._misaligned
        if n & (n - 1):
            return []
        warning = "" if n > 1 else f"the arrays of a batch hold different rows ({fault}): x and y are misaligned"
        return [Notice(MarkKind.MISALIGNED, {"batches": n, "detail": fault}, warning)]

    def _recognise(self, parts: Sequence[Any], notices: list[Notice]) -> tuple[Found, Answer] | Unknown | None:
        reason: Unknown | None = None
        for way in self._made(notices):
            for at, part in enumerate(parts):
                leaf = as_array(part)
                if leaf is None or leaf.ndim == 0:
                    continue
                try:
                    told = way.tell(self._witnesses.whole_rows(leaf), at)
                except (CoverageAuditError, OSError) as error:
                    notices += self._change(error)
                    continue
                if isinstance(told, Unknown):
                    reason = reason or told
                elif told is not None:
                    self._tell_twins(way, notices)
                    return told
        return reason

    def _made(self, notices: list[Notice]) -> list[Recognises]:
        """The recognisers, made with the first batch that needs them; those that cannot be had are said once."""
        if self._recognisers is None:
            self._recognisers = []
            for make in self._makers:
                try:
                    way = make()
                except (CoverageAuditError, OSError) as error:
                    notices += self._change(error)
                    continue
                if way is not None:
                    self._recognisers.append(way)
        return self._recognisers

    def close(self) -> None:
        """Nothing more is asked: what was read need not be remembered any longer."""
        with self._lock:
            if self._inferred is not None:
                self._inferred.close()
            for way in self._recognisers or ():
                if isinstance(way, Listens):
                    way.close()

    def _tell_twins(self, way: Recognises, notices: list[Notice]) -> None:
        """Marked whenever more identical rows have come to light."""
        twins = getattr(way, "twins", None)
        if twins is not None and twins[0] > self._twins:
            self._twins = twins[0]
            notices.append(Notice(MarkKind.TWINS, {"groups": twins[0], "rows": twins[1], "of": twins[2]}))

    def _explained(self, leaf: npt.NDArray[Any], proposal: Ints) -> Answer | None:
        assert self._inferred is not None
        try:
            return self._inferred.tell(leaf, proposal)
        except (CoverageAuditError, OSError):
            return None  # the files cannot be read any more: then nothing is inferred from them
