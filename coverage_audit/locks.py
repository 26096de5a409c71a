"""Locks of things that are used in several threads, and go on being used in forked children.

A thread that holds a lock while another one forks does not exist in the child, where that lock would be held for ever:
loader workers would hang. So each owner gets a new lock there. They are reentrant, as a signal's handler may come in
while the same thread holds one.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import RLock

_owners: weakref.WeakSet[Any] = weakref.WeakSet()


def new_lock(owner: Any) -> RLock:
    """A lock for ``owner._lock``, which is another one after a fork. ``owner`` can be referred to weakly."""
    _owners.add(owner)
    return threading.RLock()


def _renew() -> None:
    for owner in tuple(_owners):
        owner._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew)
