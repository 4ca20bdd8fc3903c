import gzip

import pytest

from bench.check import judge
from bench.load.connection import Answer
from bench.load.turn import Wrong

TEXT = b"right" * 100


def test_right_answers_pass() -> None:
    """The content expected passes, plain and compressed."""
    judge(Answer(status=200, content=TEXT, gzipped=False), TEXT, gzip=False)
    judge(Answer(status=200, content=gzip.compress(TEXT), gzipped=True), TEXT, gzip=True)


@pytest.mark.parametrize(
    ("status", "content", "gzipped", "wanted", "reason"),
    [
        (502, TEXT, False, False, "it answers 502"),
        (200, TEXT[1:], False, False, "it answers with another content"),
        (200, TEXT, False, True, "it doesn't compress"),
        (200, gzip.compress(TEXT), True, False, "it compresses unasked"),
        (200, gzip.compress(TEXT[1:]), True, True, "it answers with another content"),
    ],
)
def test_wrong_answers_have_a_reason(
    status: int, content: bytes, gzipped: bool, wanted: bool, reason: str
) -> None:
    """A front that is quick because it does less is not compared."""
    answer = Answer(status=status, content=content, gzipped=gzipped)

    with pytest.raises(Wrong, match=reason):
        judge(answer, TEXT, gzip=wanted)
