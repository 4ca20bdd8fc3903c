"""TXT records in a zone on any name server that takes signed updates (RFC 2136, RFC 8945).

All goes by TCP: an answer is never cut off, and nobody can forge one from afar. Called through
`provider.Provider`.
"""

import base64
import socket
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from exoproxy.certs.dns.provider import Record
from exoproxy.certs.dns.token import TsigKey
from exoproxy.certs.problem import IssuanceProblem

# As short as most servers take it, so that a leftover value misleads nobody for long.
_TTL: Final = 60
_TIMEOUT_SECONDS: Final = 10.0

_ALLOW: Final = (
    "let the zone's settings there allow the key to update TXT records (BIND: update-policy or "
    "allow-update, Knot: an acl with action update)"
)


class Rfc2136:
    """The provider of zones on the name server at `host` (a name or an address) and `port`."""

    def __init__(
        self, host: str, port: int, key: TsigKey, *, timeout: float = _TIMEOUT_SECONDS
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._key = dns.tsig.Key(
            dns.name.from_text(key.name),
            base64.b64decode(key.secret.get_secret_value()),
            _algorithm(key.algorithm),
        )

    def __repr__(self) -> str:
        return f"<Rfc2136 at {self._server}>"

    def check(self, zone: str) -> None:
        """Prove that the server knows the key and serves the zone; not that the key may write."""
        query = dns.message.make_query(_name(zone), dns.rdatatype.SOA, flags=0)
        query.use_tsig(self._key)
        answer = self._ask(query, f"looking at the zone {zone}")
        apexes = {rrset.name for rrset in answer.answer if rrset.rdtype == dns.rdatatype.SOA}
        if not answer.flags & dns.flags.AA or _name(zone) not in apexes:
            raise IssuanceProblem(
                f"The name server {self._server} does not serve the zone {zone} itself: set "
                "acme.dns.server to its primary server."
            )

    def publish(self, record: Record) -> Record:
        """Add the value beside those there."""
        update = self._update(record)
        update.add(_name(record.name), _TTL, _txt(record))
        self._ask(update, f"adding the TXT record {record.name} in the zone {record.zone}")
        return record

    def remove(self, record: Record) -> None:
        """Remove this value; without it the server does nothing (RFC 2136 section 3.4.2.4)."""
        update = self._update(record)
        update.delete(_name(record.name), _txt(record))
        self._ask(update, f"removing the TXT record {record.name} in the zone {record.zone}")

    @property
    def _server(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    def _update(self, record: Record) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(_name(record.zone), keyring=self._key)

    def _ask(self, message: dns.message.Message, doing: str) -> dns.message.Message:
        """Return the server's answer, which is signed and without an error.

        Raises `IssuanceProblem`.
        """
        try:
            answer = self._exchange(message)
        except dns.tsig.PeerBadKey:
            # Knot says so, too, of a key that it knows and that no acl of the zone names.
            raise self._problem(
                doing,
                f"does not know the key {self._key.name.to_text(omit_final_dot=True)} for this",
                f"compare its name with the server's settings, and {_ALLOW}",
            ) from None
        except (dns.tsig.PeerBadSignature, dns.tsig.PeerBadTruncation, dns.tsig.BadSignature):
            raise self._problem(
                doing,
                "and we do not sign alike",
                "the secret or the algorithm of the key differs from the server's; copy the key "
                "from there again",
            ) from None
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            raise self._problem(
                doing,
                "has a clock that differs from ours by minutes",
                "set both by NTP; see `timedatectl`",
            ) from None
        except TimeoutError:
            raise self._problem(
                doing,
                f"did not answer within {self._timeout:.0f} s",
                "look whether it runs, and whether a firewall lets TCP through to that port",
            ) from None
        except socket.gaierror as error:
            raise IssuanceProblem(
                f"The name server's own name {self._host} can't be resolved ({error.strerror}) "
                f"while {doing}: write its address as acme.dns.server, or look at this host's "
                "resolver."
            ) from None
        except OSError as error:
            raise self._problem(
                doing,
                f"can't be reached ({error.strerror or type(error).__name__})",
                "look whether it runs and takes TCP on that port, and at acme.dns.server",
            ) from None
        except Exception as error:
            # Whatever dnspython finds in bytes that are no DNS.
            raise self._problem(
                doing,
                f"gives no answer of a name server ({type(error).__name__})",
                "look at the address and port in acme.dns.server",
            ) from None
        self._judge(answer, doing)
        return answer

    def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        """Return the server's answer, its signature verified if it has one."""
        query = message.to_wire()
        with (
            socket.create_connection((self._host, self._port), self._timeout) as connection,
            connection.makefile("rb") as stream,
        ):
            # RFC 1035 section 4.2.2.
            connection.sendall(len(query).to_bytes(2) + query)
            wire = stream.read(int.from_bytes(stream.read(2)))
        answer = _parse(wire, self._key, message.mac)
        if not message.is_response(answer):
            raise dns.query.BadResponse
        return answer

    def _judge(self, answer: dns.message.Message, doing: str) -> None:
        """Raise `IssuanceProblem` if an answer says no, or is not signed."""
        code = answer.rcode()
        if code == dns.rcode.NOERROR:
            if not answer.had_tsig:
                # RFC 8945 section 5.3: nobody knows who said yes.
                raise self._problem(
                    doing,
                    "answered without a signature",
                    "let it require the key for updates, and look what stands between",
                )
            return
        what_to_do = {
            dns.rcode.NOTAUTH: "it is not the zone's primary server; set acme.dns.server to that",
            dns.rcode.NOTZONE: "the name is not in that zone on this server; look where the zone "
            "is delegated to",
            dns.rcode.REFUSED: f"set acme.dns.server to the zone's primary server, and {_ALLOW}",
            dns.rcode.NOTIMP: "it takes no updates; set acme.dns.server to one that does",
            dns.rcode.SERVFAIL: "its log says why, often that it can't write its journal",
        }.get(code, "its log says why")
        raise self._problem(doing, f"answered {dns.rcode.to_text(code)}", what_to_do)

    def _problem(self, doing: str, what: str, what_to_do: str) -> IssuanceProblem:
        return IssuanceProblem(
            f"The name server {self._server} {what} while {doing}: {what_to_do}."
        )


def _parse(wire: bytes, key: dns.tsig.Key, request_mac: bytes | None) -> dns.message.Message:
    """Return an answer. Raises what dnspython finds wrong with it or its signature."""
    try:
        return dns.message.from_wire(wire, keyring=key, request_mac=request_mac)
    except dns.exception.FormError:
        # Newer dnspythons refuse what is not signed. A no may well not be, and says why.
        answer = dns.message.from_wire(wire, keyring=False)
        if answer.had_tsig:
            raise
        return answer


def _name(text: str) -> dns.name.Name:
    return dns.name.from_text(text)


def _txt(record: Record) -> dns.rdata.Rdata:
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, [record.value.encode()])


def _algorithm(name: str) -> dns.name.Name:
    # The only one with a name of its own (RFC 8945 section 6).
    return dns.tsig.HMAC_MD5 if name == "hmac-md5" else dns.name.from_text(name)
