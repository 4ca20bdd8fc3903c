"""The admin page as a document: whole, escaped, and allowed to do nothing but its own."""

import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

import status_sample
from exoproxy.admin.page import page

SAMPLES = {
    "busy": status_sample.busy,
    "fresh": status_sample.fresh,
    "troubled": status_sample.troubled,
    "draining": status_sample.draining,
}
# Elements that have no end.
VOID = {"meta", "link"}


class Document(HTMLParser):
    """A document's elements and attributes; fails where an end has no beginning."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content.decode())
        self.close()

        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"style", "script"}:
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for _, each, value in self.attributes if each == name]


@pytest.mark.parametrize("name", SAMPLES)
def test_document_is_whole(name: str) -> None:
    """Whatever the state, every element ends, ids are unique, and references lead somewhere."""
    document = Document(page(SAMPLES[name]())[0])
    ids = document.all("id")

    assert len(ids) == len(set(ids))
    assert set(document.all("aria-labelledby")) <= set(ids)
    assert document.elements["main"] == document.elements["h1"] == 1
    assert document.elements["caption"] == document.elements["table"]


@pytest.mark.parametrize(
    ("name", "missing"), [("busy", set()), ("troubled", set()), ("fresh", {"learned", "client"})]
)
def test_every_section_is_there(name: str, missing: set[str]) -> None:
    """A section is there with nothing to show, too; only what a mode does not have is left out."""
    everything = {
        *("health", "hour", "certificate", "tunnels", "refusals", "routes", "upstreams"),
        *("learned", "client", "configuration", "totals"),
    }

    assert everything - set(Document(page(SAMPLES[name]())[0]).all("id")) == missing


def test_policy_is_of_this_document() -> None:
    """The style and the script that it holds are those that it may have, and it has no others."""
    content, fields = page(status_sample.busy())
    document = content.decode()
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (inner,) = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", document, re.DOTALL)
        hashed = b64encode(sha256(inner.encode()).digest()).decode()

        assert f"{directive} 'sha256-{hashed}';" in fields["Content-Security-Policy"]
    names = {name for _, name, _ in Document(content).attributes}

    assert "unsafe" not in fields["Content-Security-Policy"]
    assert "style" not in names
    assert not any(name.startswith("on") for name in names)


def test_loads_nothing() -> None:
    """All that the document refers to is itself, its siblings, and data that it holds."""
    document = Document(page(status_sample.busy())[0])

    assert document.all("src") == []
    assert {each.partition(",")[0] for each in document.all("href")} == {
        *("", "data:image/svg+xml", "metrics", "status.json"),
    }
    assert "url(" not in page(status_sample.busy())[0].decode()


@pytest.mark.parametrize(
    "mark",
    [
        "</main></script><script>alert(1)</script>",
        """"><img src=x onerror='alert(1)'>""",
        "{main}{style}{script}{title}",
        "<!-- ]]> &lt;b&gt;",
        "`<b>`",
        "\u202e\x00\x1b[2J",
    ],
)
def test_text_of_others_is_text(mark: str) -> None:
    """In every field that holds text, what looks like markup adds no element and no attribute."""
    plain, hostile = (
        Document(page(status_sample.hostile(each))[0]) for each in (mark.replace("<", "("), mark)
    )

    assert hostile.elements == plain.elements
    assert [each[:2] for each in hostile.attributes] == [each[:2] for each in plain.attributes]
    assert hostile.text.count("alert(1)") == plain.text.count("alert(1)")


def test_text_of_others_is_shown() -> None:
    """The sample reaches the page by each of its free texts: none is passed over."""
    marked: dict[str, Any] = status_sample.hostile("<hostile>")
    shown = Document(page(marked)[0]).text

    # Problems, names, issuer, errors, tunnels, routes, upstreams, refusals, learned, client, file.
    assert shown.count("<hostile>") > 40


@pytest.mark.parametrize(
    ("name", "title", "colour"),
    [
        ("busy", "All is well · my-example.exosphere.app", "16a34a"),
        ("troubled", "3 things need attention · my-example.exosphere.app", "dc2626"),
        ("draining", "Draining: nothing new is taken · my-example.exosphere.app", "d97706"),
    ],
)
def test_tab_says_how_it_is(name: str, title: str, colour: str) -> None:
    """Among twenty tabs, title and icon tell."""
    document = page(SAMPLES[name]())[0].decode()

    assert f"<title>{title}</title>" in document
    assert f"fill='%23{colour}'" in document


def test_calm_sentence() -> None:
    """Who finds all well reads how well, and a host without requests has no share of them."""
    busy, fresh = (Document(page(SAMPLES[name]())[0]).text for name in ("busy", "fresh"))

    assert (
        "The certificate lasts 62 d 9 h; 22 k requests in the last hour, 0.5 % failed here or "
        "upstream." in busy
    )
    assert "no request in the last hour." in fresh
