"""What takes the lines of a log in unit tests: a file in memory, which a test can read."""

import os

from exoproxy.ops.sink import Sink


class Paper:
    """A sink that takes everything, and what was told of it."""

    def __init__(self) -> None:
        self._file = os.memfd_create("log")
        self.told: list[str] = []
        self.sink = Sink(self._file, name="The paper", tell=self.told.append)

    def text(self) -> str:
        """Return all that was written."""
        return os.pread(self._file, 1 << 24, 0).decode()

    def close(self) -> None:
        """Throw it away."""
        os.close(self._file)
