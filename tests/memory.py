"""How much memory a piece of work leaves behind: what is remembered must be bounded."""

import gc
import tracemalloc
from collections.abc import Callable


def left_by(work: Callable[[int], object], times: int = 200) -> int:
    """Return the bytes that are still held after `work(0)`, `work(1)` and so on."""
    tracemalloc.start()
    try:
        work(-1)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(times):
            work(number)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
