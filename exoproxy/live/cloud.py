"""Do the cloud's APIs answer, as /proxy will reach them, and are they a Keystone?

Each name of `main.proxy.allow` is resolved, every address is judged by the policy of /proxy, and a
judged one is dialled. What is asked there is what anyone may ask: the list of versions.
"""

import json
import ssl
from collections.abc import Iterator
from typing import Final

from exoproxy.errors import ProxyError, TargetNotAllowed, UpstreamCertificate, UpstreamTls
from exoproxy.live.clock import Skews
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import Answer, IPAddress, Network, Question
from exoproxy.net.tls import open_context, verifying_context
from exoproxy.rules.egress import Policy
from exoproxy.rules.printable import printable
from exoproxy.settings.model import Settings
from exoproxy.settings.names import HostPattern
from exoproxy.settings.sites import Main, Proxy
from exoproxy.sites import cloud_proxy

# Of /, behind which some clouds have a page, and below it where others have Keystone.
_PATHS: Final = ("/", "/v3")
_LONGEST: Final = 20
# Of a name's addresses; each may take seconds to be silent.
_TRIED: Final = 4


def findings(settings: Settings, network: Network, skews: Skews) -> Iterator[Finding]:
    """Yield a finding for each host of `main.proxy.allow`; note the clocks of those that answer."""
    if settings.main and settings.main.proxy:
        yield from _of_proxy(settings.main, settings.main.proxy, network, skews)


def _of_proxy(main: Main, proxy: Proxy, network: Network, skews: Skews) -> Iterator[Finding]:
    try:
        context = verifying_context(proxy.ca_file) if proxy.verify else open_context()
    except OSError as error:
        yield failed(
            "main.proxy.ca_file",
            f"can't be used ({error.strerror or error}); it should be a PEM file with certificates",
        )
        return
    own = network.own_addresses(each.address for each in main.listen)
    policy = cloud_proxy(main, proxy, own).policy
    for pattern in proxy.allow:
        if pattern.subdomains:
            yield note(str(pattern), "is a pattern, and which hosts it means is not known here")
        else:
            yield _of_host(pattern, policy, context, network, skews)


def _of_host(
    pattern: HostPattern, policy: Policy, context: ssl.SSLContext, network: Network, skews: Skews
) -> Finding:
    subject = str(pattern)
    try:
        addresses = network.resolve(pattern.host)
    except OSError as error:
        return failed(
            subject,
            f"has no address ({error.strerror or error}): check the name and the DNS resolver of "
            "this host",
        )
    for address in addresses:
        try:
            policy.judge(address, pattern.port or 443)
        except TargetNotAllowed as refusal:
            return failed(
                subject,
                f"has {address}, which /proxy refuses: {refusal.sentence} If it is your cloud's, "
                "list its network in main.proxy.networks",
            )
    if pattern.port is None:
        return note(
            subject,
            f"has {', '.join(map(str, addresses))}; not dialled, as no port is named in "
            "main.proxy.allow",
        )
    silent = []
    for address in addresses[:_TRIED]:
        try:
            return _asked(subject, address, pattern.host, pattern.port, context, network, skews)
        except OSError as error:
            silent.append(f"{address} ({error.strerror or error})")
    return failed(
        subject,
        f"does not answer at {', '.join(silent)}: look whether the API runs, and whether a "
        "firewall lets this host reach it",
    )


def _asked(
    subject: str,
    address: IPAddress,
    host: str,
    port: int,
    context: ssl.SSLContext,
    network: Network,
    skews: Skews,
) -> Finding:
    """Ask one address, as /proxy would. Raises OSError if it does not answer."""
    answers = []
    try:
        for path in _PATHS:
            answer = network.get(
                Question(
                    address=address,
                    port=port,
                    name=host,
                    authority=_authority(host, port),
                    context=context,
                    path=path,
                )
            )
            if answer.clock_skew is not None:
                skews.setdefault(subject, answer.clock_skew)
            if versions := keystone_versions(answer):
                return ok(subject, f"is a Keystone ({versions}), {answer.tls} from {address}")
            answers.append(answer)
    except UpstreamCertificate as problem:
        return failed(
            subject,
            f"can't be trusted: {problem.sentence} For a private authority, name its certificate "
            "in main.proxy.ca_file",
        )
    except UpstreamTls as problem:
        if _speaks_plain(address, host, port, network):
            return failed(
                subject,
                f"speaks plain HTTP on port {port}: /proxy speaks https alone; name the port where "
                "the API is served by https, or put TLS before it",
            )
        return failed(subject, f"completes no TLS handshake at {address}: {problem.sentence}")
    except ProxyError as problem:
        return failed(subject, f"gives no answer of use: {problem.sentence}")
    statuses = " and ".join(
        f"{each.status} for {path}" for each, path in zip(answers, _PATHS, strict=True)
    )
    return ok(
        subject,
        f"answers over {answers[0].tls} from {address}, {statuses}; nothing there says that it is "
        "a Keystone, so it should be another API",
    )


def _speaks_plain(address: IPAddress, host: str, port: int, network: Network) -> bool:
    authority = _authority(host, port)
    question = Question(address=address, port=port, name=host, authority=authority, context=None)
    try:
        network.get(question)
    except (ProxyError, OSError):
        return False
    return True


def _authority(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return shown if port == 443 else f"{shown}:{port}"


def keystone_versions(answer: Answer) -> str:
    """Return Keystone's versions as it lists them at `/` (300) or `/v3` (200), "" if it is none."""
    if answer.status not in (200, 300):
        return ""
    try:
        content = json.loads(answer.content)
        found = content["versions"]["values"] if "versions" in content else [content["version"]]
        versions = [
            each["id"]
            for each in found
            if isinstance(each["id"], str)
            and any("identity" in media["type"] for media in each["media-types"])
        ]
        return ", ".join(printable(each)[:_LONGEST] for each in versions[:3])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
