"""The frame of our own pages."""

import re

from exoproxy.proxy.page import SECURITY_FIELDS, page


def test_a_page_is_complete_and_loads_nothing() -> None:
    """Language, encoding and width are told; no other resource is named."""
    html = page("Title", "<h1>Heading</h1>\n")

    assert html.startswith('<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n')
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "<title>Title</title>" in html
    assert "<main>\n<h1>Heading</h1>\n</main>" in html
    assert re.search(r"https?:|//|src=|href=|url\(|@import|<script|refresh", html) is None


def test_a_page_may_load_itself_again() -> None:
    """Without a script, which the policy forbids."""
    assert '<meta http-equiv="refresh" content="5">' in page("Title", "", refresh=5)


def test_nothing_may_be_loaded_or_kept() -> None:
    """The fields hold for every answer of our own, so that a form can't make it a script."""
    fields = dict(SECURITY_FIELDS)

    assert fields[b"Content-Security-Policy"].startswith(b"default-src 'none'; ")
    assert fields[b"X-Content-Type-Options"] == b"nosniff"
    assert fields[b"Cache-Control"] == b"no-store"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
        parts = [int(digits[index : index + 2], 16) / 255 for index in (0, 2, 4)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read() -> None:
    """Every colour of text has a contrast of 4.5 to 1 to what is behind it, light and dark."""
    html = page("Title", "")
    light, dark = re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    for scheme in (light, dark):
        colours = dict(re.findall(r"--(\w+): #([0-9a-f]+);", scheme))

        assert colours.keys() >= {"back", "card", "text", "soft", "warm", "link"}
        for name in ("text", "soft", "warm", "link"):
            assert contrast(colours[name], colours["card"]) >= 4.5
