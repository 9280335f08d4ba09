"""How the process holds memory: large images are given back, and what stays is not looked through again."""

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGE_BYTES = 8 * 2**20
_KEPT_BYTES = 16 * 2**20
_ALLOCATIONS = 10_000


def return_large_blocks() -> None:
    """Let blocks of 8 MiB and more be mapped one by one, for the whole process; nothing happens without glibc.

    By itself glibc learns from the first large block that is freed to keep the next ones in its heaps, up to 32 MiB
    each, and a service that has seen photos of many pixels then holds memory that it never needs again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def return_free() -> None:
    """Give back the free pages between what is in use, some milliseconds; nothing happens without glibc.

    For after weights were packed anew: their panels, each too small to be mapped alone, leave gaps all over the heaps.
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
