"""Keeps the process small: what an epoch's data took goes back to the system when it is no longer needed.

The exporter holds a hundred megabytes for a second per epoch. The allocator of glibc would keep them, once
for each thread that ever worked on them; other C libraries have no such switch and need none.
"""

import ctypes

# Source: malloc.h of glibc.
_MMAP_THRESHOLD = -3
_ARENA_MAX = -8
_LARGE_BYTES = 4 << 20


def return_large_blocks() -> bool:
    """Let all threads share one arena, and map what is large on its own; return whether it could be set."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_ARENA_MAX, 1)) and bool(mallopt(_MMAP_THRESHOLD, _LARGE_BYTES))
