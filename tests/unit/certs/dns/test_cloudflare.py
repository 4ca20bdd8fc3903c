"""Records at Cloudflare, by the real SDK against a stand-in of the API on loopback."""

import json
import logging
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

import exoproxy.certs.dns.cloudflare as module
from authority import Authority
from cloudflare_api import TOKEN, CloudflareApi, Permissions
from exoproxy.certs.dns.cloudflare import Cloudflare
from exoproxy.certs.dns.provider import Record
from exoproxy.certs.problem import IssuanceProblem
from ports import free_port

ZONE, ZONE_ID = "example.test", "0123456789abcdef" * 2
OTHER_ZONE, OTHER_ID = "other.test", "fedcba9876543210" * 2
NAME = f"_acme-challenge.proxy.{ZONE}"
FIRST = Record(zone=ZONE, name=NAME, value="first-value_0123456789")
SECOND = replace(FIRST, value="second-value_0123456789")
OTHER_TOKEN = "another-token-for-tests-0123456789abcdefg"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK try again at once."""
    monkeypatch.setattr("cloudflare._base_client.INITIAL_RETRY_DELAY", 0.0)


@pytest.fixture
def api() -> Iterator[CloudflareApi]:
    with CloudflareApi({ZONE: ZONE_ID, OTHER_ZONE: OTHER_ID}) as api:
        yield api


@pytest.fixture
def provider(api: CloudflareApi) -> Cloudflare:
    return Cloudflare(SecretStr(TOKEN), api_url=api.url)


def problem_of(provider: Cloudflare, record: Record = FIRST) -> IssuanceProblem:
    """Return why a record can't be published."""
    with pytest.raises(IssuanceProblem) as problem:
        provider.publish(record)
    return problem.value


class TestRecords:
    """One value in, the same one out."""

    def test_values_share_a_name(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """Two values stand beside each other, and removing one leaves the other."""
        first, second = provider.publish(FIRST), provider.publish(SECOND)

        assert api.values(NAME) == [FIRST.value, SECOND.value]

        provider.remove(first)

        assert api.values(NAME) == [SECOND.value]

        provider.remove(second)

        assert api.values(NAME) == []

    def test_as_written(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A record is a quoted TXT with a short life, and its id comes back."""
        published = provider.publish(FIRST)
        (record,) = api.records

        assert published == replace(FIRST, id=record["id"])
        assert (record["type"], record["content"], record["ttl"]) == (
            "TXT",
            f'"{FIRST.value}"',
            60,
        )

    @pytest.mark.parametrize("quote", ["", '"'])
    def test_already_there(self, api: CloudflareApi, provider: Cloudflare, quote: str) -> None:
        """A value that other software wrote, with or without quotes, is as good as written."""
        first = provider.publish(FIRST)
        api.records[0]["content"] = f"{quote}{FIRST.value}{quote}"

        assert provider.publish(FIRST) == first
        assert api.values(NAME) == [FIRST.value]

    def test_older_code_for_already_there(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """Code 81057 means the same as 81058."""
        first = provider.publish(FIRST)
        api.fail("POST", 400, 81057, "Record already exists.")

        assert provider.publish(FIRST) == first

    @pytest.mark.parametrize("status", [500, 502, 503, 520])
    def test_fault_of_the_moment(
        self, api: CloudflareApi, provider: Cloudflare, status: int
    ) -> None:
        """A 5xx answer is asked for again once."""
        api.fail("POST", status, body="<html>", content_type="text/html")
        provider.publish(FIRST)

        assert api.values(NAME) == [FIRST.value]

    def test_lost_answer(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A record whose answer got lost is written once, and its id is found."""
        api.lose_answers("POST")
        published = provider.publish(FIRST)

        assert api.values(NAME) == [FIRST.value]
        assert published.id == api.records[0]["id"]

    def test_remove_without_id(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A record without an id is found by name and value, and no other is touched."""
        longer = replace(FIRST, value=f"{FIRST.value}-and-more")
        for record in (SECOND, longer, FIRST):
            provider.publish(record)
        provider.remove(FIRST)

        assert api.values(NAME) == [SECOND.value, longer.value]

    def test_remove_what_is_gone(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A record that is not there is as good as removed, with an id and without."""
        published = provider.publish(FIRST)
        provider.remove(FIRST)
        provider.remove(published)
        provider.remove(FIRST)

        assert api.records == []

    def test_lost_answer_of_removal(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A removal whose answer got lost is done."""
        published = provider.publish(FIRST)
        api.lose_answers("DELETE")
        provider.remove(published)

        assert api.records == []


class TestZones:
    """Which zone is written."""

    def test_asked_once(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """The zone's id is asked for by its exact name, and once."""
        provider.publish(FIRST)
        provider.publish(SECOND)
        asked = [call.query["name"] for call in api.calls if call.path.endswith("/zones")]

        assert asked == [ZONE]

    def test_by_id(self, api: CloudflareApi) -> None:
        """With a zone's id nothing is listed, and a token without Zone:Read is enough."""
        api.tokens[TOKEN] = Permissions(zone_read=False)
        provider = Cloudflare(SecretStr(TOKEN), zone_id=ZONE_ID, api_url=api.url)
        provider.check(ZONE)
        provider.remove(provider.publish(FIRST))

        assert not any(call.path.endswith("/zones") for call in api.calls)
        assert api.records == []

    def test_id_of_another_zone(self, api: CloudflareApi) -> None:
        """What another zone's id made of the name is removed again, and the id is blamed."""
        provider = Cloudflare(SecretStr(TOKEN), zone_id=OTHER_ID, api_url=api.url)
        problem = problem_of(provider)

        assert str(problem) == (
            f"Cloudflare put the record {NAME} into another zone, as {NAME}.{OTHER_ZONE}, and it "
            f"was removed again: acme.dns.zone_id is not the id of {ZONE}; copy it from that "
            "zone's overview page."
        )
        assert api.records == []

    def test_wrong_id(self, api: CloudflareApi) -> None:
        """An id that is none is told as such."""
        provider = Cloudflare(SecretStr(TOKEN), zone_id="f00", api_url=api.url)

        assert "7003" in str(problem_of(provider))
        assert str(problem_of(provider)).endswith(
            "set acme.dns.zone_id to the id on the zone's overview page, or to null."
        )

    @pytest.mark.parametrize(
        "permissions", [Permissions(zone_read=False), Permissions(zones=frozenset({OTHER_ZONE}))]
    )
    def test_not_listed(
        self, api: CloudflareApi, provider: Cloudflare, permissions: Permissions
    ) -> None:
        """An empty list names both reasons, for Cloudflare does not tell them apart."""
        api.tokens[TOKEN] = permissions
        with pytest.raises(IssuanceProblem) as problem:
            provider.check(ZONE)

        assert str(problem.value) == (
            f"Cloudflare shows the token no zone {ZONE}: either the token lacks the permission "
            "Zone / Zone / Read or is for other zones (see "
            "https://dash.cloudflare.com/profile/api-tokens), or the zone is in another account; "
            "with acme.dns.zone_id set, Zone / DNS / Edit is enough."
        )

    def test_foreign_name(self) -> None:
        """A foreign name is looked up in its own letters, as Cloudflare lists zones."""
        with CloudflareApi({"bücher.test": ZONE_ID}) as api:
            Cloudflare(SecretStr(TOKEN), api_url=api.url).check("xn--bcher-kva.test")

            assert [call.query.get("name") for call in api.calls] == ["bücher.test", None]

    def test_active_one_first(self, provider: Cloudflare, api: CloudflareApi) -> None:
        """Of two zones with one name the active one is written."""
        zones = [
            {"id": OTHER_ID, "name": ZONE, "status": "moved"},
            {"id": ZONE_ID, "name": ZONE, "status": "active"},
        ]
        api.fail("GET", 200, body=json.dumps({"result": zones, "success": True}))
        provider.publish(FIRST)

        assert api.values(NAME) == [FIRST.value]

    def test_check_writes_nothing(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """The check of a zone only reads, and leaves the token's own page alone."""
        provider.check(ZONE)

        assert [(call.method, call.path.removeprefix("/client/v4")) for call in api.calls] == [
            ("GET", "/zones"),
            ("GET", f"/zones/{ZONE_ID}/dns_records"),
        ]


class TestRefusals:
    """What Cloudflare refuses has a sentence that says what to do."""

    def test_malformed_token(self, api: CloudflareApi) -> None:
        """Half a token is to be copied again."""
        problem = problem_of(Cloudflare(SecretStr("half-a-token"), api_url=api.url))

        assert str(problem) == (
            f"Cloudflare's API at {api.url} answered 400, code 6003 (Invalid request headers), "
            "code 6111 (Invalid format for Authorization header) while adding the TXT record "
            f"{NAME} in the zone {ZONE}: the token is no whole API token; copy it again from where "
            "it was shown once, or make another at https://dash.cloudflare.com/profile/api-tokens."
        )

    def test_wrong_token(self, api: CloudflareApi) -> None:
        """A token that Cloudflare doesn't know is to be looked at."""
        problem = problem_of(Cloudflare(SecretStr(OTHER_TOKEN), api_url=api.url))

        assert str(problem) == (
            f"Cloudflare's API at {api.url} answered 403, code 9109 (Invalid access token) while "
            f"adding the TXT record {NAME} in the zone {ZONE}: the token is wrong, expired or "
            "revoked, or is not for this zone or this host's address; see it at "
            "https://dash.cloudflare.com/profile/api-tokens, and the id if acme.dns.zone_id is set."
        )

    def test_token_without_the_zone(self, api: CloudflareApi) -> None:
        """A token for other zones is refused the zone whose id is configured."""
        api.tokens[TOKEN] = Permissions(zones=frozenset({OTHER_ZONE}))
        provider = Cloudflare(SecretStr(TOKEN), zone_id=ZONE_ID, api_url=api.url)

        assert "code 9109 (Unauthorized to access requested resource)" in str(problem_of(provider))

    def test_no_permission(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A token that finds the zone and may not edit its records fails the check already."""
        api.tokens[TOKEN] = Permissions(dns_edit=False)
        with pytest.raises(IssuanceProblem) as problem:
            provider.check(ZONE)

        assert str(problem.value) == (
            f"Cloudflare's API at {api.url} answered 403, code 10000 (Authentication error) while "
            f"looking at the zone {ZONE}: give the token the permission Zone / DNS / Edit at "
            "https://dash.cloudflare.com/profile/api-tokens."
        )

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"Retry-After": "17"}, 17.0),
            ({"Retry-After": "301"}, 301.0),
            ({"Retry-After": "9" * 5000}, 86400.0),
            ({"Retry-After": "junk"}, 300.0),
            ({"Retry-After": f"Sun, 22 Nov 2026 12:00:00 +{'9' * 20}"}, 300.0),
            ({"Retry-After": "-5"}, 300.0),
            ({}, 300.0),
        ],
    )
    def test_too_many_requests(
        self,
        api: CloudflareApi,
        provider: Cloudflare,
        headers: dict[str, str],
        seconds: float,
    ) -> None:
        """A 429 is asked for once, and its Retry-After, or five minutes, is handed on."""
        api.fail("GET", 429, 971, "Please wait", headers=headers, times=9)
        problem = problem_of(provider)

        assert str(problem) == (
            "Cloudflare refuses more requests for now while adding the TXT record "
            f"{NAME} in the zone {ZONE} (429, code 971 (Please wait)): it is asked again later; "
            "look what else uses this account's API."
        )
        assert problem.retry_after == seconds
        assert len(api.calls) == 1

    def test_retry_after_as_a_date(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """Retry-After may be a date."""
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
        api.fail("GET", 503, headers={"Retry-After": later})
        problem = problem_of(provider)

        assert problem.retry_after is not None
        assert 90 < problem.retry_after <= 100
        assert len(api.calls) == 1

    def test_lasting_fault(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A 5xx that lasts is asked for twice in all, then told."""
        api.fail("GET", 502, body="<html>", content_type="text/html", times=9)
        problem = problem_of(provider)

        assert str(problem) == (
            f"Cloudflare's API at {api.url} answered 502 while adding the TXT record {NAME} in the "
            f"zone {ZONE}: it is tried again; if it lasts, see https://www.cloudflarestatus.com."
        )
        assert problem.retry_after is None
        assert len(api.calls) == 2

    @pytest.mark.parametrize("code", [81053, 81054, 81056])
    def test_other_record(self, api: CloudflareApi, provider: Cloudflare, code: int) -> None:
        """A CNAME in the record's place is told as such."""
        api.fail("POST", 400, code, "A CNAME record with that host already exists.")

        assert "a record of another kind has that name" in str(problem_of(provider))

    def test_unknown_code(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A code that nobody foresaw is shown with Cloudflare's words, cut and without controls."""
        api.fail("POST", 400, 1234, "odd\x1b[31m" + "x" * 1000)

        sentence = str(problem_of(provider))

        assert f"code 1234 (odd?[31m{'x' * 192})" in sentence
        assert "developers.cloudflare.com/api" in sentence


HTML = "<html><body>Please log in to the guests' network</body></html>"


class TestStrangers:
    """What is not Cloudflare's API, or not there, has a sentence too."""

    @pytest.mark.parametrize(
        "body",
        [
            HTML,
            "",
            "null",
            "[]",
            '"text"',
            "{}",
            '{"result": null}',
            '{"result": 5}',
            '{"result": [5]}',
            '{"result": {"id": 5}}',
            '{"result": {"name": "x"}}',
            '{"result": [{"name": "example.test"}]}',
            "{",
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("content_type", ["text/html", "application/json"])
    def test_odd_answer(
        self, api: CloudflareApi, method: str, body: str, content_type: str
    ) -> None:
        """Whatever answers with 200, what is no answer of the API ends in our problem."""
        api.fail(method, 200, body=body, content_type=content_type, times=9)
        problem = problem_of(Cloudflare(SecretStr(TOKEN), api_url=api.url))

        assert api.url in str(problem) or "shows the token no zone" in str(problem)
        assert "network" not in str(problem)

    def test_captive_portal(self, api: CloudflareApi, provider: Cloudflare) -> None:
        """A captive portal's page is guessed as such."""
        api.fail("GET", 200, body=HTML, content_type="text/html")

        assert str(problem_of(provider)) == (
            f"What answers at {api.url} while adding the TXT record {NAME} in the zone {ZONE} does "
            "not speak Cloudflare's API (AttributeError): look whether a captive portal, proxy or "
            "firewall answers in its place."
        )

    @pytest.mark.parametrize("status", [302, 403, 404, 451])
    def test_other_page(self, api: CloudflareApi, provider: Cloudflare, status: int) -> None:
        """A redirect is not followed, and an error without a code is no answer of the API."""
        api.fail("GET", status, body=HTML, content_type="text/html", headers={"Location": api.url})

        assert str(problem_of(provider)) == (
            f"Cloudflare's API at {api.url} answered {status} while adding the TXT record {NAME} "
            f"in the zone {ZONE}: that is no answer of its API; look whether a captive portal, "
            "proxy or firewall answers in its place."
        )
        assert len(api.calls) == 1

    @pytest.mark.parametrize(
        "errors",
        [None, 5, "text", [None], [5], [{}], [{"code": None}], [{"code": []}], [{"code": "6003"}]],
    )
    def test_odd_errors(self, api: CloudflareApi, provider: Cloudflare, errors: object) -> None:
        """Errors of another form than the documented one are no codes."""
        api.fail("GET", 400, body=json.dumps({"errors": errors}))

        assert "that is no answer of its API" in str(problem_of(provider))

    def test_silence(self, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch) -> None:
        """An API that says nothing is given up, and how long was waited is told."""
        monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
        api.stall("GET", times=9)
        problem = problem_of(Cloudflare(SecretStr(TOKEN), api_url=api.url))

        assert str(problem).startswith(
            f"Cloudflare's API at {api.url} did not answer within 0 s while adding"
        )

    def test_refused_connection(self) -> None:
        """A port where nobody listens is told in the system's words."""
        url = f"http://127.0.0.1:{free_port()}/client/v4"

        assert str(problem_of(Cloudflare(SecretStr(TOKEN), api_url=url))) == (
            f"Cloudflare's API at {url} can't be reached while adding the TXT record {NAME} in the "
            f"zone {ZONE} (Connection refused): look whether this host can resolve and reach it, "
            "and whether something on the way replaces its certificate."
        )

    def test_unresolvable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is a name that can't be resolved."""

        def getaddrinfo(*_: object, **__: object) -> None:
            raise socket.gaierror(-3, "Temporary failure in name resolution")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

        assert "(Temporary failure in name resolution)" in str(
            problem_of(Cloudflare(SecretStr(TOKEN)))
        )

    def test_certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A certificate by an unknown authority is refused; the system's trust decides."""
        authority = Authority(tmp_path)
        tls = authority.serve("127.0.0.1")
        with CloudflareApi({ZONE: ZONE_ID}, tls=tls) as api:
            problem = problem_of(Cloudflare(SecretStr(TOKEN), api_url=api.url))
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
            Cloudflare(SecretStr(TOKEN), api_url=api.url).check(ZONE)

        assert "certificate verify failed" in str(problem)

    def test_stop_signal(self, provider: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal's exception passes as it is, and at once."""

        class StopError(BaseException):
            pass

        def send(*_: object, **__: object) -> None:
            raise StopError

        monkeypatch.setattr(httpx.Client, "send", send)
        with pytest.raises(StopError):
            provider.publish(FIRST)


class TestToken:
    """The token goes to the API, and nowhere else."""

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("CLOUDFLARE_EMAIL", "someone@example.test"),
            ("CLOUDFLARE_API_KEY", "0" * 37),
            ("CLOUDFLARE_API_USER_SERVICE_KEY", "v1.0-key"),
            ("CLOUDFLARE_API_TOKEN", OTHER_TOKEN),
            ("CLOUDFLARE_CUSTOM_HEADERS", f"Authorization: Bearer {OTHER_TOKEN}"),
            ("CLOUDFLARE_CUSTOM_HEADERS", "X-Auth-Key: 0\nX-Auth-Email: someone@example.test"),
            ("HTTP_PROXY", "http://127.0.0.1:9"),
            ("ALL_PROXY", "http://127.0.0.1:9"),
        ],
    )
    def test_environment(
        self, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        """Nothing in the environment takes the token's place or leads it elsewhere."""
        monkeypatch.setenv(name, value)
        Cloudflare(SecretStr(TOKEN), api_url=api.url).publish(FIRST)

        assert {call.headers.get("Authorization") for call in api.calls} == {f"Bearer {TOKEN}"}

    def test_base_url_of_the_environment(
        self, api: CloudflareApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An endpoint comes from the settings alone."""
        monkeypatch.setenv("CLOUDFLARE_BASE_URL", api.url)

        assert repr(Cloudflare(SecretStr(TOKEN))) == (
            "<Cloudflare at https://api.cloudflare.com/client/v4>"
        )
        assert Cloudflare(SecretStr(TOKEN))._sdk.base_url.host == "api.cloudflare.com"

    def test_never_shown(
        self, api: CloudflareApi, provider: Cloudflare, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither logs at their most talkative, nor problems, nor a repr show the token."""
        caplog.set_level(logging.DEBUG)
        provider.publish(FIRST)
        api.fail("POST", 400, 1234, f"Bad token {TOKEN}!")
        api.fail("GET", 403, 9109, f"Bad token {TOKEN}!")
        problems = [problem_of(provider)]
        api.lose_answers("DELETE", times=2)
        with pytest.raises(IssuanceProblem) as problem:
            provider.remove(replace(FIRST, id="0" * 32))
        problems.append(problem.value)
        shown = "".join(
            [
                caplog.text,
                repr(provider),
                *map(str, vars(provider).values()),
                *(each for problem in problems for each in traceback.format_exception(problem)),
            ]
        )

        assert "Bad token …!" in shown
        assert TOKEN not in shown
