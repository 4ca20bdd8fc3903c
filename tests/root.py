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
def small_disk(folder: Path, kilobytes: int, *options: str) -> Iterator[Path]:
    """Mount a file system in memory, of a size that a test can fill, on an empty folder."""
    require_root()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join([f"size={kilobytes}k", *options])]
    mounted = subprocess.run(  # noqa: S603 - a fixed command on the test's own folder
        [*mount, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        reason = f"needs to mount a tmpfs, which a container may not: {mounted.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - as above
