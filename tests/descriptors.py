"""Room for thousands of connections."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Let this process, and those that it starts, open so many files; skip where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"needs a limit of {count} open files; here it is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
