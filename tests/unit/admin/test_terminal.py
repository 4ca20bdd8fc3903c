"""The status as `exoproxy status` sets it."""

from typing import Any

import pytest

import status_sample
from exoproxy.admin.terminal import SPARKS, healthy, report, spark


def told(status: Any, width: int = 100, **options: bool) -> str:
    return report(status, width, **options)


def test_busy_host() -> None:
    """Health comes first; each refusal has its command on a line of its own."""
    lines = told(status_sample.busy()).splitlines()

    assert lines[:4] == [
        "my-example.exosphere.app (main), exoproxy 0.1.0, up 11 d 4 h",
        "",
        "health         all is well",
        "certificate    62 d 9 h left, until 2026-07-05 23:43 UTC; Let's Encrypt E7; for",
    ]
    assert "                 exoproxy explain https://designate.example.org:9001/" in lines
    assert "connections    412 of 8192 from clients; 38 to upstreams, 31 of them idle" in lines


def test_host_in_trouble() -> None:
    """Every problem, the certificate's error, and what the reload refused are told whole."""
    text = " ".join(told(status_sample.troubled()).split())

    for sentence in status_sample.troubled()["health"]["problems"]:
        assert sentence in text
    assert "temporary, self-signed" in text
    assert "3 attempts failed in a row error: Cloudflare refused the token (9109)" in text
    assert "the last reload failed: /etc/exoproxy/exoproxy.yaml:14:" in text
    assert "takes a restart: main.listen, main.admin_listen" in text


def test_host_that_just_started() -> None:
    """Nothing is told in a few lines, and what a region has not is left out."""
    text = told(status_sample.fresh())

    assert "proxy-example.exosphere.app (uap, region IU)" in text
    assert "last hour      no request\n" in text
    assert "client  " not in text
    assert len(text.splitlines()) < 15


def test_host_that_drains() -> None:
    """That it takes nothing new comes before all else."""
    assert told(status_sample.draining()).splitlines()[2].startswith("state          draining")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"days_left": -2.0}, "expired on 2026-07-05 23:43 UTC"),
        ({"served_is_stored": False}, "another one is stored, and not served"),
    ],
)
def test_certificate_that_will_not_do(changes: dict[str, Any], says: str) -> None:
    """What browsers complain of is told."""
    status = status_sample.busy()
    status["certificate"] |= changes

    assert says in told(status)


@pytest.mark.parametrize("width", [1, 50, 80, 400])
def test_fits_the_terminal(width: int) -> None:
    """Lines are no longer than the terminal is wide, names and commands apart."""
    status = status_sample.busy()
    status["hour"] = status["hour"][-30:]
    longest = max(len(line) for line in told(status, width).splitlines())

    assert longest <= min(max(width, 67), 110)


def test_terminal_without_unicode() -> None:
    """Where the bars can't be written, ASCII stands for them."""
    assert told(status_sample.busy(), unicode=False).isascii()
    assert not told(status_sample.busy()).isascii()


@pytest.mark.parametrize(
    "mark", ["\x1b]0;owned\x07", "\r\x1b[2K", "\u202e", "\n\nhealth         all is well"]
)
def test_text_of_others_says_nothing_to_the_terminal(mark: str) -> None:
    """No text of the status moves the cursor, turns the line around, or begins a line."""
    text = told(status_sample.hostile(mark))

    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("\nhealth ") == 1


@pytest.mark.parametrize(
    ("values", "bars"),
    [([], ""), ([0, 0], "▁▁"), ([0, 1, 1_000], "▁▂█"), ([2**63, 2**62], "█▅")],
)
def test_sparks(values: list[int], bars: str) -> None:
    """The least bar is of zeros alone."""
    assert spark(values, SPARKS) == bars


def test_more_than_is_shown() -> None:
    """Of many reasons the first are shown, and the others counted."""
    status = status_sample.busy()
    status["refusals"] *= 3

    assert "and 4 other reasons" in told(status)


def test_healthy() -> None:
    """Whoever says that all is well, and names a problem, is not well."""
    assert healthy({"ok": True, "problems": []})
    assert not healthy({"ok": True, "problems": ["x"]})
    assert not healthy({"ok": False, "problems": []})
