"""What ends an installation without a trace."""


class ReleaseProblem(Exception):
    """A client can't be installed; the message says what is wrong and what to do about it."""
