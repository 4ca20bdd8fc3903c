"""What pydantic found, in sentences for people."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.part import EMPTY
from exoproxy.settings.problems import find

REGION = {"hostname": "proxy.example.org", "subnets": ["192.168.0.0/24"]}


def told(content: Any) -> list[str]:
    """Return every mistake as `KEY: sentence`."""
    _, mistakes = find(content)
    return [f"{dotted(each.location)}: {each.sentence}" for each in mistakes]


def main(**keys: Any) -> dict[str, Any]:
    return {"main": {"hostname": "my.example.org", "proxy": {"allow": ["a.example.org"]}, **keys}}


def test_returns_the_settings_when_nothing_is_wrong() -> None:
    """Right values become settings, without mistakes."""
    assert find(main()) == (Settings.model_validate(main()), [])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"limits": {"conections": 5}},
            "limits.conections: is not known; did you mean `connections`?",
        ),
        ({"LOG": {}}, "LOG: is not known; did you mean `log`?"),
        (main(allow=["x"]), "main.allow: does not belong here, but to main.proxy"),
        (
            {"subnets": []},
            "subnets: does not belong here, but to uap.regions.NAME",
        ),
        (
            {"log": {"zzz": 1}},
            "log.zzz: is not known; what can stand here: format, access",
        ),
        (
            {"main": {"proxy": {"allow": ["a.org"]}}},
            "main.hostname: is missing; write e.g. `hostname: my-example.exosphere.app`",
        ),
        (
            {"uap": {"regions": {"X": REGION}}},
            "uap.allowed_origins: is missing; write e.g. "
            '`allowed_origins: ["https://my-example.exosphere.app"]`',
        ),
        (
            {"main": {"hostnam": "my.example.org", "proxy": {"allow": ["a.example.org"]}}},
            "main.hostnam: is not known; did you mean `hostname`?",
        ),
        (
            main(listen="0.0.0.0:443"),
            "main.listen: '0.0.0.0:443' should be a list; write [\"0.0.0.0:443\"]",
        ),
        (main(listen={"a": 1}), "main.listen: a mapping should be a list"),
        (
            main(listen=[]),
            'main.listen: is empty; write at least one, e.g. `listen: ["0.0.0.0:443", "[::]:443"]`',
        ),
        (
            main(listen=[None]),
            "main.listen[0]: null should be an address and a port, e.g. 0.0.0.0:443 or [::]:443",
        ),
        (
            {"acme": {"challenge": "dns01"}},
            "acme.challenge: 'dns01' should be 'dns-01' or 'http-01'",
        ),
        (
            main(certificate="self-signed"),
            "main.certificate: 'self-signed' should be 'acme' or 'local', or hold the keys "
            "cert_file, key_file",
        ),
        (
            main(certificate={"cert_file": "/c"}),
            "main.certificate.key_file: is missing; write e.g. "
            "`key_file: /etc/ssl/exoproxy/privkey.pem`",
        ),
        (
            {"log": ["json"]},
            "log: a list stands where keys are needed: format, access, access_format …",
        ),
        (
            {"uap": {"allowed_origins": [], "regions": {"X": EMPTY}}},
            "uap.regions.X: nothing stands where keys are needed: hostname, listen, "
            "redirect_listen …",
        ),
        (
            {"uap": {"allowed_origins": [], "regions": ["X"]}},
            "uap.regions: a list stands where keys are needed",
        ),
        (
            {"uap": {"allowed_origins": [], "regions": {}}},
            "uap.regions: is empty; write at least one, e.g. "
            '`regions: {"RegionOne": {"hostname": "proxy-example.exosphere.app", '
            '"subnets": ["192.168.0.0/24"]}}`',
        ),
        (
            {"limits": {"idle_timeout": "75s"}},
            "limits.idle_timeout: '75s' should be a whole number of seconds, e.g. 75",
        ),
        ({"limits": {"buffer_low": 300_000}}, "limits.buffer_low: limits.buffer_low (300000)"),
    ],
    ids=repr,
)
def test_tells_each_mistake_once(content: Any, expected: str) -> None:
    """One mistake, one sentence: at the written key, with what to write."""
    mistakes = told(content)

    assert len(mistakes) == 1
    assert mistakes[0].startswith(expected)


def test_tells_contradictions_beside_other_mistakes() -> None:
    """A misspelt key elsewhere does not hide that two limits contradict each other."""
    mistakes = told({"lgo": {}, "limits": {"buffer_low": 300_000, "drain": "x"}, "main": []})

    assert [each.partition(":")[0] for each in mistakes] == [
        "main",
        "limits.drain",
        "lgo",
        "limits.buffer_low",
    ]


@pytest.mark.parametrize(
    "content",
    [
        # An empty list of hosts would be a contradiction, if it were known to be empty.
        main(proxy={"allow": ["https://"]}),
        main(proxy={"alow": ["a.example.org"]}),
        # A wrong listener might overlap.
        main(listen=["x"], admin_listen="0.0.0.0:443"),
        {"limits": {"buffer_high": "x", "buffer_low": 300_000}},
        {**main(), "uap": {"allowed_origins": [], "regions": {"X": {**REGION, "hostname": 5}}}},
    ],
    ids=repr,
)
def test_tells_no_contradiction_of_what_is_wrong_already(content: Any) -> None:
    """Nothing is said about a key whose value can't be known."""
    assert len(told(content)) == 1


@pytest.mark.parametrize(
    "regions",
    [{"X": [], "Y": REGION}, {"-": REGION}, {"X": 5}, {"X": {"hostname": []}}, 5, {"X": {}}],
)
def test_tells_contradictions_beside_a_wrong_region(regions: Any) -> None:
    """Whatever stands in place of a region, the rest is judged; no made-up region is named."""
    mistakes = told(
        {
            "acme": {"challenge": "http-01"},
            "limits": {"buffer_low": 300_000},
            "uap": {"allowed_origins": [], "regions": regions},
        }
    )

    assert any(each.startswith("limits.buffer_low: ") for each in mistakes)
    assert not any("RegionOne;" in each for each in mistakes)


JUNK: list[Any] = [None, True, -1, 1.5, "", "https://", [], [None], [[]], {}, {"a": 1}, EMPTY]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every holder in a document with each of its keys or indexes."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from places(value[key])


@pytest.mark.parametrize("seed", range(100))
def test_has_a_sentence_of_its_own_for_whatever_stands_anywhere(seed: int) -> None:
    """Junk in any place is a mistake in our words, never a defect, and the file's values stay."""
    chance = random.Random(seed)
    settings = Settings.model_validate(
        {**main(), "uap": {"allowed_origins": [], "regions": {"X": REGION}}}
    )
    content = settings.model_dump(mode="json")
    for _ in range(chance.randint(1, 6)):
        holder, key = chance.choice(list(places(content)))
        holder[key] = copy.deepcopy(chance.choice(JUNK))
    before = copy.deepcopy(content)
    found, mistakes = find(content)

    assert (found is None) == bool(mistakes)
    assert content == before
    assert not any("Input should" in each.sentence for each in mistakes)
