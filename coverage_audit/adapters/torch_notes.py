"""Which of its own samples a dataset gave, where it may ask itself for another than it was asked for.

Noted while samples are made, in the process that makes them, by stand-ins for the datasets
(:mod:`~coverage_audit.adapters.torch_standin`). A sample is the one that was asked for if the dataset asked itself for
none meanwhile; it is another one if it is the very object that it got of itself; of any other nobody knows. Knows
nothing of torch.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Sequence
from typing import Any

from coverage_audit.adapters.whole_numbers import whole_numbers

DEEP = 64
"""Questions of a dataset to itself that are followed, one in another: each costs a frame."""

Tag = tuple[int, int | list[int]]
"""The number of a dataset, and the position in it, or several where a sample is a batch already."""

_SHARED = (type(None), bool, int, float, complex, str, bytes)
"""Of these, one object may be the sample at several positions."""


_Answer = tuple[Any, Any, Tag | None]
"""What was asked for, the sample, and its tag."""

_LOST: _Answer = (None, None, None)
"""Something was asked that was not followed."""


class Notes:
    """What the ``bases`` gave since the last batch. Takes the place of a
    :class:`~coverage_audit.adapters.torch_inband.Tally`."""

    def __init__(self, bases: Sequence[Any]) -> None:
        self.bases = tuple(bases)
        self.made: dict[int, Any] = {}
        """The stand-ins of this process, by the ids of what they stand for."""
        self._answers: list[_Answer] = []
        self._threads = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return Notes, (self.bases,)

    def ask(self, dataset: Any, kind: Any, asked: Any, more: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What ``dataset``, a stand-in, gives as ``kind`` does; noted for the question that it is asked in, or for the
        batch. ``more``, ``named``: arguments beside the index."""
        base = dataset._audit_of
        if vars(dataset) is not vars(base):  # given another state as a whole
            object.__setattr__(dataset, "__dict__", vars(base))
        threads = self._threads
        try:
            outer: list[_Answer] | None = threads.outer
        except AttributeError:  # the first question in this thread
            outer, threads.depth = None, 0
        if type(base) is not kind:  # the dataset was made one of another kind
            sample = type(base).__getitem__(base, asked, *more, **named)
            (self._answers if outer is None else outer).append((asked, sample, None))
            return sample
        if threads.depth >= DEEP:
            assert outer is not None
            outer.append(_LOST)
            return kind.__getitem__(base, asked, *more, **named)
        before = asked.copy() if type(asked) is list else asked
        inner: list[_Answer] = []
        threads.outer = inner
        threads.depth += 1
        try:
            sample = kind.__getitem__(dataset, asked, *more, **named)
        finally:
            threads.depth -= 1
            threads.outer = outer
        number = dataset._audit_number
        if type(before) is int and not inner:
            tag: Tag | None = (number, before)
        else:
            tag = _tag(number, before, sample, inner)
        (self._answers if outer is None else outer).append((before, sample, tag))
        return sample

    def take(self, samples: Sequence[Any]) -> list[Tag | None]:
        """The tags of the samples of a batch; None for those of which nothing is known."""
        answers, self._answers = self._answers, []
        last = answers[-len(samples) :] if samples else []
        if len(last) == len(samples) and all(map(operator.is_, map(operator.itemgetter(1), last), samples)):
            return [tag for _, _, tag in last]
        tags: dict[int, Tag | None] = {}
        for _, given, tag in answers:
            is_sure = not _is_shared(given) and tags.get(id(given), tag) == tag
            tags[id(given)] = tag if is_sure else None
        return [tags.get(id(sample)) for sample in samples]


def _tag(number: int, asked: Any, sample: Any, inner: list[_Answer]) -> Tag | None:
    if any(answer is _LOST for answer in inner):
        return None
    if not inner:
        return _plain(number, asked)
    if type(asked) is list and [one for one, _, _ in inner if type(one) is int] == asked:
        return _together(number, [tag for _, _, tag in inner])
    tags = [tag for _, given, tag in inner if given is sample]
    return tags[0] if tags and not _is_shared(sample) and all(tag == tags[0] for tag in tags) else None


def _plain(number: int, asked: Any) -> Tag | None:
    numbers = None if isinstance(asked, tuple) else whole_numbers(asked)
    if numbers is None:
        return None
    return number, numbers.tolist()


def _together(number: int, tags: list[Tag | None]) -> Tag | None:
    positions = [tag[1] for tag in tags if tag is not None and tag[0] == number and isinstance(tag[1], int)]
    return (number, positions) if len(positions) == len(tags) else None


def _is_shared(sample: Any) -> bool:
    return isinstance(sample, _SHARED) or (isinstance(sample, tuple | frozenset) and not sample)
