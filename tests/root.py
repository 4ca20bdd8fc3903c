"""What only root can try: other owners, and file systems of a size."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def require_root() -> None:
    """Skip the test with the reason, or fail it where CI is set, unless root runs it."""
    if os.geteuid() == 0:
        return
    if os.environ.get("CI"):
        pytest.fail("needs root; run the tests as root", pytrace=False)
    pytest.skip("needs root")


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Yield a path to a file system in memory that a test can fill; `folder` is empty.

    It is mounted for a moment only and then held by a descriptor, so that nothing of it is left
    however the tests end.
    """
    require_root()
    mounted = subprocess.run(  # noqa: S603 - a fixed command on the test's own folder
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        reason = f"needs to mount a tmpfs, which a container may not: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - as above
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)
