"""Why there is no certificate, in one sentence for an operator."""


class IssuanceProblem(Exception):
    """No certificate could be had; the message is a sentence that says what to do.

    `retry_after` is the number of seconds that the other side asked us to wait; None if it didn't.
    """

    def __init__(self, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after
