"""How the process holds memory: what is free is given back, and what stays is not looked through again."""

import ctypes
import gc
import math
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_LARGE_BYTES = 8 * 2**20
_KEPT_BYTES = 16 * 2**20
_ALLOCATIONS = 10_000
_REST_SECONDS = 1.0


def bound_heaps() -> None:
    """Let the process hold little that is free, from here on; nothing happens without glibc.

    Blocks of 8 MiB and more are mapped one by one: by itself glibc learns from the first that is freed to keep the next
    ones in its heaps, up to 32 MiB each, and a service that has seen photos of many pixels then holds memory that it
    never needs again. And all threads share one heap, whose end alone `return_free` gives back; where others allocated
    before, as in Ray's workers, their heaps stay in use.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def return_free() -> None:
    """Give back the free pages between what is in use, some milliseconds; nothing happens without glibc.

    Panels of weights that were packed anew, each too small to be mapped alone, leave such gaps all over the heaps.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def settle() -> None:
    """Once everything is loaded: let the garbage collector leave what there is alone, and look less often at the rest.

    Modules and networks are some 260,000 objects, among which a full collection takes about .2 s: that would make every
    answer late that is due then. For the same reason there is none here: it would find a thousand.
    """
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])


def unsettle() -> None:
    """Before the process ends: let the collector free everything, or native code reports what is left as leaked."""
    gc.unfreeze()


def tidy() -> None:
    """Free what only refers to itself, and give back the pages that are free then; some 10 ms once all is settled."""
    gc.collect()
    return_free()


class Rest:
    """Tidies once in every pause of a second behind an answer, where nobody is likely to wait for it.

    Without it the collector's threshold leaves thousands of dead objects between what is in use, and the heaps grow
    around them for hours.
    """

    def __init__(self, work: Callable[[], None] = tidy) -> None:
        self._work, self._answers, self._since, self._due = work, 0, math.inf, False

    def look(self, now: float, answers: int, *, busy: bool) -> None:
        """To be called often. now: seconds on a clock that never goes back; answers: how many have left so far.

        busy: whether something is being done, which a pause begins behind.
        """
        if busy or answers != self._answers:
            self._answers, self._since, self._due = answers, now, True
        elif self._due and now - self._since >= _REST_SECONDS:
            self._due = False
            self._work()
