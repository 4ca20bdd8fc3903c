"""The challenge http-01 (RFC 8555 section 8.3), as one small file for each token.

The process that orders a certificate publishes and removes, the process that has port 80 answers:
it reads the folder at each question and keeps nothing. Neither trusts the other, nor the network:
a token is only ever a name of the base64url alphabet, and only what is a key authorization goes
out. Which requests are questions is `redirect`'s.
"""

import logging
import os
import re
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from exoproxy.certs.folder import Folder, explained, opened
from exoproxy.certs.problem import IssuanceProblem

logger: Final = logging.getLogger("exoproxy")

# Authorities use 43 characters; a file's name can have 255.
_TOKEN: Final = re.compile(r"[0-9A-Za-z_-]{1,128}")
# `token "." base64url(thumbprint)`; the thumbprint is always a SHA-256 (RFC 8555 section 8.1).
_KEY_AUTHORIZATION: Final = re.compile(rb"([0-9A-Za-z_-]{1,128})\.[0-9A-Za-z_-]{43}")
_LONGEST: Final = 128 + 1 + 43

# No order is pending for that long: such a file was left by a process that was killed.
_LEFT_BEHIND: Final = 24 * 3600.0


def publish(folder: Path, token: str, key_authorization: str) -> None:
    """Let `answer` give the key authorization for the token; sweeps what was left behind.

    The folder is made where it is missing, for its owner alone. Raises `IssuanceProblem`.
    """
    content = key_authorization.encode(errors="replace")
    if not _answers(token, content):
        raise IssuanceProblem(
            "The authority's http-01 challenge has a token that is not base64url, so it was not "
            "answered: see that acme.directory names the right authority."
        )
    with explained(folder), _opened(folder) as challenges:
        _sweep(challenges)
        challenges.write(token, content, mode=0o600)


def remove(folder: Path, token: str) -> None:
    """Take the answer away again. Never raises: a file that stays is told, and swept next time."""
    if not _TOKEN.fullmatch(token):
        return
    try:
        with _opened(folder, make=False) as challenges:
            challenges.remove(token)
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning(
            "The challenge's answer %s can't be removed (%s)", folder / token, error.strerror
        )


def answer(folder: Path, token: str) -> bytes | None:
    """Return the key authorization that was published for a token, None if there is none.

    `token` is whatever a client sent. What can't be read counts as not there.
    """
    if not _TOKEN.fullmatch(token):
        return None
    try:
        with _opened(folder, make=False) as challenges:
            content = challenges.read(token, limit=_LONGEST)
    except OSError:
        return None
    return content if _answers(token, content) else None


def _opened(folder: Path, *, make: bool = True) -> AbstractContextManager[Folder]:
    """Open the folder, which lies two below the store's; as all there, neither may be a link."""
    store, *below = folder.parents[1], folder.parent.name, folder.name
    return opened(store, *below, make=make)


def _answers(token: str, content: bytes) -> bool:
    """Tell whether the content is a key authorization for the token."""
    match = _KEY_AUTHORIZATION.fullmatch(content)
    return match is not None and match[1] == token.encode()


def _sweep(challenges: Folder) -> None:
    """Remove files that are older than any order, half-written ones among them."""
    oldest = time.time() - _LEFT_BEHIND
    for name in challenges.names():
        try:
            state = os.stat(name, dir_fd=challenges.descriptor, follow_symlinks=False)
            if state.st_mtime < oldest:
                challenges.remove(name)
        except OSError as error:
            # Somebody else's sweep was faster, or it stays: neither is in the order's way.
            logger.debug("%s was not swept (%s)", challenges.path / name, error.strerror)
