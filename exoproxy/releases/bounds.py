"""How large a client may be: far more than the largest there is, far less than a disk."""

from typing import Final

from exoproxy.releases.problem import ReleaseProblem

# Exosphere's has 45 files and 1.7 MB.
MOST_BYTES: Final = 128 * 1024 * 1024
MOST_FILES: Final = 10_000
# Headers and padding of a tar archive, beside its files.
MOST_STREAM: Final = MOST_BYTES + MOST_FILES * 2048


class Bounds:
    """Counts the files and bytes of one client; each method raises `ReleaseProblem` beyond.

    `subject` begins the sentence, as in "The archive client.tar".
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._files = 0
        self.bytes = 0

    def count(self) -> None:
        """Count a file, or a folder."""
        self._files += 1
        if self._files > MOST_FILES:
            raise ReleaseProblem(
                f"{self.subject} holds more than {MOST_FILES} files, which no client does: name "
                "the folder or the archive of the built client alone."
            )

    def add(self, size: int) -> None:
        """Count bytes of a file."""
        self.bytes += size
        self.check_size(self.bytes)

    def check_size(self, size: int) -> None:
        """Judge a number of bytes."""
        self._check(size, MOST_BYTES)

    def check_stream(self, size: int) -> None:
        """Judge the size of a tar archive once it is decompressed."""
        self._check(size, MOST_STREAM)

    def _check(self, size: int, most: int) -> None:
        if size > most:
            raise ReleaseProblem(
                f"{self.subject} holds more than {MOST_BYTES // 1024**2} MiB, which no client "
                "does: name the folder or the archive of the built client alone."
            )
