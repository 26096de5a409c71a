"""What iterates ids as Grain's iterators iterate elements: the same order, the same states, none of the work.

Each class stands for the iterator of one kind of Grain's and has states of the same form, so a state of the real one
can be set here, and equal states mean that both stand at the same element. An id is an int; a batch is a list.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

Element = Any
State = dict[str, Any]


class Steps(Protocol):
    """An iterator of ids."""

    def __next__(self) -> Element: ...

    def get_state(self) -> State: ...

    def set_state(self, state: State) -> None: ...


class Counting:
    """Over what has positions: its elements in order, fetched ``block`` at a time by ``between(first, stop)``."""

    def __init__(self, length: int, between: Callable[[int, int], Sequence[Element]], block: int) -> None:
        self._length = length
        self._between = between
        self._block = block
        self._next = 0
        self._first = 0
        self._fetched: Sequence[Element] = ()

    def __next__(self) -> Element:
        place = self._next - self._first
        if not 0 <= place < len(self._fetched):
            if self._next >= self._length:
                raise StopIteration
            place = self._next % self._block
            first = self._next - place
            self._fetched = self._between(first, min(first + self._block, self._length))
            self._first = first
        self._next += 1
        return self._fetched[place]

    def take(self, many: int) -> list[Element]:
        """The next ones; fewer where there are no more."""
        place = self._next - self._first
        if place >= 0 and place + many <= len(self._fetched):
            self._next += many
            return list(self._fetched[place : place + many])
        return _taken(self, many)

    def get_state(self) -> State:
        return {"next_index": self._next}

    def set_state(self, state: State) -> None:
        self._next = state["next_index"]


class Batching:
    """Lists of ``size`` elements. ``fill``: the kind of list."""

    def __init__(
        self, parent: Steps, size: int, drop_remainder: bool, fill: Callable[[list[Element]], Element]
    ) -> None:
        self._take = parent.take if isinstance(parent, Counting) else functools.partial(_taken, parent)
        self._size = size
        self._drops = drop_remainder
        self._fill = fill
        self.get_state = parent.get_state
        self.set_state = parent.set_state

    def __next__(self) -> Element:
        elements = self._take(self._size)
        if len(elements) < self._size and (self._drops or not elements):
            raise StopIteration
        return self._fill(elements)


class Numbering:
    """Elements as they are, counted under ``key`` of the state, as maps that know the number do."""

    def __init__(self, parent: Steps, key: str, limit: int | None = None) -> None:
        self._parent = parent
        self._key = key
        self._limit = limit
        self._count = 0

    def __next__(self) -> Element:
        if self._count == self._limit:
            raise StopIteration
        element = next(self._parent)
        self._count += 1
        return element

    def get_state(self) -> State:
        return {"parent": self._parent.get_state(), self._key: self._count}

    def set_state(self, state: State) -> None:
        self._parent.set_state(state["parent"])
        self._count = state[self._key]


class Repeating:
    """``times`` from the beginning, without end for None."""

    def __init__(self, parent: Steps, times: int | None) -> None:
        self._parent = parent
        self._times = times
        self._epoch = 0
        self._start = parent.get_state()

    def __next__(self) -> Element:
        while self._epoch != self._times:
            try:
                return next(self._parent)
            except StopIteration:
                self._epoch += 1
                if self._epoch == self._times:
                    break
                self._parent.set_state(self._start)
                first = next(self._parent, None)
                if first is None:
                    break
                return first
        raise StopIteration

    def get_state(self) -> State:
        return {"parent": self._parent.get_state(), "epoch": self._epoch}

    def set_state(self, state: State) -> None:
        self._epoch = state["epoch"]
        self._parent.set_state(state["parent"])


class WindowShuffling:
    """``size`` elements at a time, each window in the order that ``shuffled(window, seed)`` gives it, from its end."""

    def __init__(
        self, parent: Steps, size: int, seed: int, shuffled: Callable[[list[Element], int], list[Element]]
    ) -> None:
        self._parent = parent
        self._size = size
        self._seed = seed
        self._shuffled = shuffled
        self._window: list[Element] = []
        self._number = self._place = 0
        self._start = parent.get_state()
        self._over = False

    def __next__(self) -> Element:
        if not self._window:
            if self._over:
                raise StopIteration
            self._start = self._parent.get_state()
            self._fill()
            self._place = 0
        if not self._window:
            raise StopIteration
        self._place += 1
        element = self._window.pop()
        self._number += not self._window
        return element

    def get_state(self) -> State:
        return {
            "parent_window_start_state": self._start,
            "window_index": self._number,
            "pos_in_window": self._place,
        }

    def set_state(self, state: State) -> None:
        self._start = state["parent_window_start_state"]
        self._parent.set_state(self._start)
        self._number, self._place, self._over = state["window_index"], state["pos_in_window"], False
        self._fill()
        del self._window[max(0, len(self._window) - self._place) :]

    def _fill(self) -> None:
        window = _taken(self._parent, self._size)
        self._over = len(window) < self._size
        self._window = self._shuffled(window, self._seed + self._number)


class Interleaving:
    """One element of each of ``cycle`` datasets in turn; the next dataset where one is over.

    ``makers``: what makes the iterator of each. ``last``: which of them gave the element given last.
    """

    def __init__(self, makers: Sequence[Callable[[], Steps]], cycle: int) -> None:
        self._makers = makers
        self._cycle = min(cycle, len(makers))
        self._turn = self._begun = 0
        self._in_use: list[Steps | None] = [None] * self._cycle
        self._which = list(range(self._cycle))
        self._ended: list[State | None] = [None] * self._cycle
        self.last = -1

    @property
    def datasets(self) -> int:
        """How many there are."""
        return len(self._makers)

    def __next__(self) -> Element:
        while True:
            turn = self._turn
            steps = self._in_use[turn]
            if steps is None:
                if self._begun < len(self._makers):
                    self._begin(turn)
                    continue
                if not any(each is not None for each in self._in_use):
                    raise StopIteration
                self._turn = (turn + 1) % self._cycle
                continue
            self._turn = (turn + 1) % self._cycle
            try:
                element = next(steps)
            except StopIteration:
                self._ended[turn] = steps.get_state()
                self._in_use[turn] = None
                continue
            self.last = self._which[turn]
            return element

    def get_state(self) -> State:
        states: list[State | None] = [None] * self._cycle
        for place in range(self._cycle):
            if self._in_use[place] is None and self._ended[place] is None and self._begun < len(self._makers):
                self._begin(place)
            steps = self._in_use[place]
            states[place] = self._ended[place] if steps is None else steps.get_state()
        return {
            "next_index_in_cycle": self._turn,
            "next_index_in_datasets": self._begun,
            "iterators_in_use_indices": self._which.copy(),
            "iterators_in_use_states": states,
            "exhausted": [int(each is not None) for each in self._ended],
            "future_states": {},
        }

    def set_state(self, state: State) -> None:
        self._which = list(state["iterators_in_use_indices"])
        for place, (which, own) in enumerate(zip(self._which, state["iterators_in_use_states"], strict=True)):
            over = bool(state["exhausted"][place])
            if over:  # else what is there is left, as Grain leaves it
                self._ended[place] = own
            self._in_use[place] = None if over or own is None else self._makers[which]()
            steps = self._in_use[place]
            if steps is not None and own:
                steps.set_state(own)
        self._turn, self._begun = state["next_index_in_cycle"], state["next_index_in_datasets"]

    def _begin(self, place: int) -> None:
        self._in_use[place] = self._makers[self._begun]()
        self._ended[place] = None
        self._which[place] = self._begun
        self._begun += 1


def _taken(steps: Steps, many: int) -> list[Element]:
    """The next ones; fewer where there are no more."""
    return list(itertools.islice(iter(steps.__next__, None), many))  # no element is None
