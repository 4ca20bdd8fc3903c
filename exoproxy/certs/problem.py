"""Why there is no certificate, in one sentence for an operator."""

from typing import Final

# Sentences are logged, printed and stored, and may list what others sent.
_LONGEST: Final = 2000


class IssuanceProblem(Exception):
    """No certificate could be had; the message is a sentence that says what to do.

    One that is too long for anybody is cut. `retry_after` is the number of seconds that the other
    side asked us to wait; None if it didn't.
    """

    def __init__(self, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__(sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}…")
        self.retry_after = retry_after
