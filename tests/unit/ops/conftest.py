"""What takes lines in these tests."""

from collections.abc import Iterator

import pytest

from paper import Paper


@pytest.fixture
def paper() -> Iterator[Paper]:
    """A sink that takes everything."""
    made = Paper()
    yield made
    made.close()
