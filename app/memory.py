"""Gives the memory of large images back to the system once they are done."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGE_BYTES = 8 * 2**20
_KEPT_BYTES = 16 * 2**20


def return_large_blocks() -> None:
    """Let blocks of 8 MiB and more be mapped one by one, for the whole process; nothing happens without glibc.

    By itself glibc learns from the first large block that is freed to keep the next ones in its heaps, up to 32 MiB
    each, and a service that has seen photos of many pixels then holds memory that it never needs again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
