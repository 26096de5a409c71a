"""Which item an iterable dataset asked itself for, for datasets that iterate by ``self.__getitem__(index)``.

While such a dataset is iterated, in the process that does it, an attribute of the instance stands before the method of
its class; it notes the index and asks the method. Whoever overrides ``__getitem__`` is asked as before, with the index
that the framework chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_NAME = "__getitem__"


class Noting:
    """Stands before ``__getitem__`` of one dataset. Items that it asks for while it is asked are its own matter."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._inside = False
        self._calls = 0
        self._last: Any = None

    def __call__(self, index: Any) -> Any:
        ask = getattr(type(self._dataset), _NAME)
        if self._inside:
            return ask(self._dataset, index)
        self._inside = True
        try:
            item = ask(self._dataset, index)
        finally:
            self._inside = False
        self._calls += 1
        self._last = index
        return item

    def take(self) -> Any:
        """The index asked for since the last time, if it is exactly one; None otherwise."""
        calls, self._calls = self._calls, 0
        return self._last if calls == 1 else None


class AskedItems:
    """Tells samples by the index that their dataset was asked for. ``tag``: (dataset, index) to the tag."""

    def __init__(self, tag: Callable[[Any, Any], Any]) -> None:
        self._tag = tag

    def tagged(self, dataset: Any, samples: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """As :meth:`~coverage_audit.adapters.tellers.Teller.tagged`."""
        noting = Noting(dataset)
        vars(dataset)[_NAME] = noting
        try:
            # Not a for loop: what is its own iterator would begin anew.
            while True:
                try:
                    sample = next(samples)
                except StopIteration:
                    return
                index = noting.take()
                yield sample, None if index is None else self._tag(dataset, index)
        finally:
            if vars(dataset).get(_NAME) is noting:
                del vars(dataset)[_NAME]


def asks_itself(dataset: Any, kind: type, *methods: str) -> bool:
    """Whether the dataset is iterated by these methods of the framework's class, and not by others of a subclass."""
    own = vars(dataset)
    return _NAME not in own and all(getattr(type(dataset), name) is getattr(kind, name) for name in methods)
