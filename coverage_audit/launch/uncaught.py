"""What a script leaves uncaught is shown as under Python itself: by the script's excepthook, without our frames."""

from __future__ import annotations

import os
import sys
from types import TracebackType

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LAUNCHER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def show_as_python(error: BaseException, below: TracebackType | None) -> None:
    """Prepare for ``error`` to end the program; raise it again after this.

    Python then does all that it does of itself: shows it, runs exit handlers, exits with status 1, or by SIGINT for
    KeyboardInterrupt. ``below``: the part of the traceback that is the script's.
    """
    hook = getattr(sys, "excepthook", None)
    if isinstance(error, SystemExit) or hook is None:
        return
    _clean_causes(error)
    clean = without_ours(below)

    def once(kind: type[BaseException], value: BaseException, trace: TracebackType | None) -> None:
        sys.excepthook = hook
        if value is not error:
            hook(kind, value, trace)
            return
        error.__traceback__ = sys.last_traceback = clean
        try:
            hook(kind, error, clean)
        except SystemExit:
            raise
        except BaseException as second:  # noqa: BLE001 - as Python does for a hook that fails
            second.__context__ = None
            _show_failing_hook(second, error, clean)

    sys.excepthook = once


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package; as it is, if what the script called of us raised the error."""
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    if frames and _is_ours(frames[-1]) and not _is_ours(frames[-1], LAUNCHER):
        return frames[0]
    if any(map(_is_ours, frames)):
        for frame in reversed(frames):
            if not _is_ours(frame):
                trace = TracebackType(trace, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
        return trace
    return frames[0] if frames else None


def _is_ours(trace: TracebackType, place: str = PACKAGE) -> bool:
    return trace.tb_frame.f_code.co_filename.startswith(place)


def _clean_causes(error: BaseException) -> None:
    """The same for what led to ``error``."""
    seen = {id(error)}
    waiting = [error]
    while waiting:
        told = waiting.pop()
        for cause in (told.__cause__, told.__context__, *getattr(told, "exceptions", ())):
            if isinstance(cause, BaseException) and id(cause) not in seen:
                seen.add(id(cause))
                cause.__traceback__ = without_ours(cause.__traceback__)
                waiting.append(cause)


def _show_failing_hook(second: BaseException, error: BaseException, clean: TracebackType | None) -> None:
    if sys.stderr is None:
        return
    trace = second.__traceback__
    second.__traceback__ = None if trace is None else trace.tb_next
    sys.stderr.write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(second), second, second.__traceback__)
    sys.stderr.write("\nOriginal exception was:\n")
    sys.__excepthook__(type(error), error, clean)
