"""Which of its own samples a dataset gave, where it may ask itself for another than it was asked for.

Noted while samples are made, in the process that makes them, by stand-ins for the datasets
(:mod:`~coverage_audit.adapters.torch_standin`). A sample is the one that was asked for if the dataset asked itself for
none meanwhile; it is another one if it is the very object that it got of itself; of any other nobody knows. Knows
nothing of torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from coverage_audit.adapters.whole_numbers import whole_numbers

DEEP = 64
"""Questions of a dataset to itself that are followed, one in another: each costs a frame."""

Tag = tuple[int, int | list[int]]
"""The number of a dataset, and the position in it, or several where a sample is a batch already."""

_SHARED = (type(None), bool, int, float, complex, str, bytes)
"""Of these, one object may be the sample at several positions."""


class _Answer(NamedTuple):
    asked: Any
    sample: Any
    tag: Tag | None


class _Open:
    """A question that is not answered yet. ``lost``: something in it was not followed."""

    __slots__ = ("inner", "lost")

    def __init__(self) -> None:
        self.inner: list[_Answer] = []
        self.lost = False


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

    def ask(self, number: int, asked: Any, ask: Callable[[], Any], unseen: Callable[[], Any]) -> Any:
        """What ``ask()`` gives; ``unseen()``: the same of the dataset itself, which is followed no further."""
        questions: list[_Open] | None = getattr(self._threads, "questions", None)
        if questions is None:
            questions = self._threads.questions = []
        if len(questions) >= DEEP:
            questions[-1].lost = True
            return unseen()
        asked = asked.copy() if type(asked) is list else asked
        question = _Open()
        questions.append(question)
        try:
            sample = ask()
        finally:
            questions.pop()
        answer = _Answer(asked, sample, _tag(number, asked, sample, question))
        (questions[-1].inner if questions else self._answers).append(answer)
        return sample

    def take(self, samples: Sequence[Any]) -> list[Tag | None]:
        """The tags of the samples of a batch; None for those of which nothing is known."""
        answers, self._answers = self._answers, []
        last = answers[-len(samples) :] if samples else []
        if len(last) == len(samples) and all(a.sample is s for a, s in zip(last, samples, strict=True)):
            return [answer.tag for answer in last]
        tags: dict[int, Tag | None] = {}
        for answer in answers:
            key = id(answer.sample)
            is_sure = not _is_shared(answer.sample) and tags.get(key, answer.tag) == answer.tag
            tags[key] = answer.tag if is_sure else None
        return [tags.get(id(sample)) for sample in samples]


def _tag(number: int, asked: Any, sample: Any, question: _Open) -> Tag | None:
    if question.lost:
        return None
    if not question.inner:
        return _plain(number, asked)
    if type(asked) is list and [answer.asked for answer in question.inner if type(answer.asked) is int] == asked:
        return _together(number, [answer.tag for answer in question.inner])
    tags = [answer.tag for answer in question.inner if answer.sample is sample]
    return tags[0] if tags and not _is_shared(sample) and all(tag == tags[0] for tag in tags) else None


def _plain(number: int, asked: Any) -> Tag | None:
    if type(asked) is int:
        return number, asked
    numbers = None if isinstance(asked, tuple) else whole_numbers(asked)
    if numbers is None:
        return None
    return number, numbers.tolist()


def _together(number: int, tags: list[Tag | None]) -> Tag | None:
    positions = [tag[1] for tag in tags if tag is not None and tag[0] == number and isinstance(tag[1], int)]
    return (number, positions) if len(positions) == len(tags) else None


def _is_shared(sample: Any) -> bool:
    return isinstance(sample, _SHARED) or (isinstance(sample, tuple | frozenset) and not sample)
