"""Can this host reach the instances of its regions?

A route is looked up without sending anything. An instance is dialled only if one is named, after
the same judgement as a request's.
"""

import errno
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from exoproxy.errors import ProxyError, UpstreamTls
from exoproxy.live.finding import Finding, failed, note, ok
from exoproxy.live.network import IPAddress, Network, Question
from exoproxy.live.units import are_for_one
from exoproxy.net.tls import open_context
from exoproxy.rules.instance_name import Instance, host_of
from exoproxy.rules.redaction import escape
from exoproxy.settings.location import dotted
from exoproxy.settings.model import Settings
from exoproxy.settings.sites import Region, Uap
from exoproxy.settings.text import parse_port
from exoproxy.sites import uap_site
from exoproxy.uap import UapSite

# Where a bare address is tried: every instance has it, and any answer proves that it is reached.
_SSH = 22


def findings(settings: Settings, instances: Sequence[str], network: Network) -> Iterator[Finding]:
    """Yield the routes to the subnets, then what the instances that were named gave."""
    if settings.uap is None:
        for instance in instances:
            yield failed(
                _shown(instance), "is no instance, as the file has no uap: nobody serves it"
            )
        return
    for name, region in settings.uap.regions.items():
        key = f"{dotted(('uap', 'regions', name))}.subnets"
        for index, subnet in enumerate(region.subnets):
            yield _of_route(f"{key}[{index}]", subnet, are_for_one(settings), network)
        if not instances:
            example = Instance(scheme="http", address=_first(region.subnets[0]), port=80)
            yield note(
                dotted(("uap", "regions", name)),
                "no instance was tried; name one that runs a web server, e.g. `--instance "
                f"{host_of(example, region.hostname)}`",
            )
    for instance in instances:
        yield _of_instance(settings.uap, instance, network)


def _of_route(
    subject: str, subnet: IPv4Network | IPv6Network, ours: bool, network: Network
) -> Finding:
    try:
        source = network.route(_first(subnet))
    except OSError as error:
        # With several modes in the file, the region may be another host's.
        tell, condition = (failed, "") if ours else (note, "if this host shall serve the region, ")
        return tell(
            subject,
            f"{subnet} has no route from this host ({error.strerror or error}): {condition}give it "
            "a port in that network, or a route to it; `ip route` shows those there are",
        )
    if source in subnet:
        return ok(subject, f"{subnet} is this host's own network, where it has {source}")
    return ok(subject, f"{subnet} has a route, from {source} outside of it")


def _first(subnet: IPv4Network | IPv6Network) -> IPAddress:
    """Return an address that an instance could have."""
    return subnet[min(7, subnet.num_addresses - 1)]


def _of_instance(uap: Uap, text: str, network: Network) -> Finding:
    subject = _shown(text)
    host, port, problem = _parts(text)
    if problem:
        return failed(subject, problem)
    address = _address(host)
    if address is not None:
        return _of_address(uap, subject, address, port, network)
    name = host.lower().removesuffix(".")
    for region_name, region in uap.regions.items():
        site = _site(uap, region, network)
        if site.serves(name):
            return _of_name(site, region_name, subject, name, network)
    hostnames = ", ".join(f"*.{region.hostname}" for region in uap.regions.values())
    return failed(
        subject, f"is neither an address nor an instance's name here, which end in {hostnames}"
    )


def _parts(text: str) -> tuple[str, int | None, str]:
    """Return host, port and what is wrong with them."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or _address(text) is not None:
        return text.strip("[]"), None, ""
    try:
        return host.strip("[]"), parse_port(port, text), ""
    except ValueError as error:
        return "", None, f"is not HOST or HOST:PORT: {error}"


def _of_name(site: UapSite, region: str, subject: str, name: str, network: Network) -> Finding:
    try:
        instance = site.instance(name)
        site.policy.judge(instance.address, instance.port)
    except ProxyError as refusal:
        return failed(subject, _refused(region, refusal))
    try:
        return _asked(subject, name, instance, network)
    except OSError as error:
        return failed(subject, _unreached(instance.address, instance.port, error, network))


def _asked(subject: str, name: str, instance: Instance, network: Network) -> Finding:
    """Ask for the instance's first page, as the UAP would. Raises OSError."""
    where = f"{instance.address}:{instance.port}"
    try:
        answer = network.get(
            Question(
                address=instance.address,
                port=instance.port,
                name=str(instance.address),
                authority=name,
                context=open_context() if instance.scheme == "https" else None,
            )
        )
    except UpstreamTls as problem:
        return failed(
            subject,
            f"is reached at {where}, and completes no TLS handshake: {problem.sentence} "
            f"{problem.hint}".rstrip(),
        )
    except ProxyError as problem:
        return failed(subject, f"is reached at {where}, and speaks no HTTP: {problem.sentence}")
    return ok(subject, f"answers {answer.status} over {answer.tls or 'plain HTTP'} at {where}")


def _of_address(
    uap: Uap, subject: str, address: IPAddress, port: int | None, network: Network
) -> Finding:
    region = next(
        (
            name
            for name, region in uap.regions.items()
            if any(address in subnet for subnet in region.subnets)
        ),
        next(iter(uap.regions)),
    )
    ports = uap.regions[region].ports
    usual = _SSH if any(each.first <= _SSH <= each.last for each in ports) else ports[0].first
    asked = port or usual
    try:
        _site(uap, uap.regions[region], network).policy.judge(address, asked)
    except ProxyError as refusal:
        return failed(subject, _refused(region, refusal))
    try:
        network.connect(address, asked)
    except ConnectionRefusedError as error:
        if port is None:
            return ok(subject, f"is reached: it refuses connections to port {asked}")
        return failed(subject, _unreached(address, asked, error, network))
    except OSError as error:
        return failed(subject, _unreached(address, asked, error, network))
    return ok(subject, f"takes connections to port {asked}")


def _site(uap: Uap, region: Region, network: Network) -> UapSite:
    own = network.own_addresses(each.address for each in region.listen)
    return uap_site(uap, region, own)


def _refused(region: str, refusal: ProxyError) -> str:
    return f"is refused by the region {region}: {refusal.sentence} {refusal.hint}".rstrip()


def _unreached(address: IPAddress, port: int, error: OSError, network: Network) -> str:
    try:
        source = f"this host ({network.route(address)})"
    except OSError:
        source = "this host"
    if isinstance(error, ConnectionRefusedError):
        return (
            f"is reached, and {address} refuses connections to port {port}: start the application "
            "there, and let it listen on all addresses (0.0.0.0) and not on 127.0.0.1 alone"
        )
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return (
            f"gives no answer at {address}:{port} in time: see that the instance runs, that its "
            f"security group lets {source} in on that port, and that it is in a network that this "
            "host reaches (`openstack server show`)"
        )
    return (
        f"can't be reached at {address}:{port} from {source} ({error.strerror or error}): see that "
        "an instance has that address, and that this host has a port or a route in its network"
    )


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None


def _shown(text: str) -> str:
    return escape(text.encode(errors="backslashreplace"))
