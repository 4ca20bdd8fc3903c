"""Texts that stand for secrets, and the search for them in everything that was written.

A secret may come out in another form than it went in: percent-encoded or decoded, in Base64, in
other letter case. `found_in` knows these forms; a text that it does not find is in none of them.
"""

import base64
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_CANARY = re.compile(rb"k4n4r13z[0-9]{4}q")
# Long runs of Base64's characters, of both alphabets.
_BASE64 = re.compile(rb"[0-9A-Za-z+/_-]{8,}")


class Canaries:
    """Hands out texts, each once, and remembers what each stood for."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def __call__(self, place: str) -> bytes:
        """Return a text that is nowhere else, for a place in what is sent."""
        # As a token looks: letters with digits among them.
        canary = b"k4n4r13z%04dq" % len(self._places)
        self._places[canary] = place
        return canary

    def found_in(self, text: bytes) -> list[str]:
        """Return the places whose canaries are in a text in any form."""
        found = {canary for form in _forms(text) for canary in _CANARY.findall(form)}
        return [place for canary, place in self._places.items() if canary in found]


def _forms(text: bytes) -> Iterator[bytes]:
    yield text.lower()
    unquoted = unquote_to_bytes(text.replace(b"\\x", b"%"))
    yield unquoted.lower()
    for each in (text, unquoted):
        for run in _BASE64.findall(each):
            plain = run.replace(b"-", b"+").replace(b"_", b"/")
            # Whatever stands before it in the run: Base64 begins anew every four characters.
            for start in range(4):
                piece = plain[start : start + (len(plain) - start) // 4 * 4]
                yield base64.b64decode(piece).lower()
                rest = plain[start:]
                if len(rest) % 4 > 1:
                    yield base64.b64decode(rest + b"=" * (-len(rest) % 4)).lower()
