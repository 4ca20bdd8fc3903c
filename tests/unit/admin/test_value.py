"""The status as another process gives it."""

import json
from typing import Any

import pytest

import status_sample
from exoproxy.admin.value import parse


def changed(**parts: Any) -> bytes:
    return json.dumps({**status_sample.busy(), **parts}).encode()


@pytest.mark.parametrize(
    "sample", [status_sample.busy, status_sample.fresh, status_sample.troubled]
)
def test_statuses_are_read(sample: Any) -> None:
    """What a process gives is what one gets, whatever its state."""
    assert parse(json.dumps(sample()).encode()) == sample()


def test_newer_versions_may_say_more() -> None:
    """A key that is not known yet stays, and does no harm."""
    assert parse(changed(more=[1]))["more"] == [1]  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 100_000],
    ids=["nothing", "html", "cut", "no text", "deep", "number"],
)
def test_what_is_no_json(content: bytes) -> None:
    """Whatever is not JSON, or none that can be read, is refused with a sentence."""
    with pytest.raises(ValueError, match="it is not JSON"):
        parse(content)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"[]", "it: "),
        (b'{"error": 1}', "version: "),
        (changed(state="asleep"), "state: "),
        (changed(now="yesterday"), "now: "),
        (changed(now="2026-05-04T14:07:31"), "now: "),
        (changed(hour=[{}]), r"hour\.0\.minute: "),
        (changed(hour=status_sample.busy()["hour"] * 2), "hour: "),
        (changed(tunnels={"open": -1, "ages": [], "oldest": []}), r"tunnels\.open: "),
        (changed(tunnels={"open": 10**30, "ages": [], "oldest": []}), r"tunnels\.open: "),
        (changed(tunnels={"open": 1, "ages": [{"up_to": 1e400, "count": 1}], "oldest": []}), "up"),
    ],
)
def test_what_is_no_status(content: bytes, place: str) -> None:
    """JSON of another form is refused, by the first key that is wrong and without its value."""
    with pytest.raises(ValueError, match=place) as caught:
        parse(content)

    assert "asleep" not in str(caught.value)
    assert "yesterday" not in str(caught.value)
