"""The main host and the User Application Proxies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from exoproxy.settings.addresses import ListenAddress, PortRange
from exoproxy.settings.part import Part
from exoproxy.settings.types import (
    File,
    HostAddress,
    Hostname,
    Hosts,
    ListenOn,
    Origin,
    Ports,
    RegionName,
    Subnet,
    Switch,
    UrlPath,
)

_HTTPS: Final = (ListenAddress.parse("0.0.0.0:443"), ListenAddress.parse("[::]:443"))
_HTTP: Final = (ListenAddress.parse("0.0.0.0:80"), ListenAddress.parse("[::]:80"))
_REGIONS: Final = {
    "RegionOne": {"hostname": "proxy-example.exosphere.app", "subnets": ["192.168.0.0/24"]}
}


class CertificateFiles(Part):
    """A certificate that others put here and renew."""

    cert_file: File = Field(examples=["/etc/ssl/exoproxy/fullchain.pem"])
    """The certificate and its chain (PEM), the server's own first."""

    key_file: File = Field(examples=["/etc/ssl/exoproxy/privkey.pem"])
    """Its private key (PEM, without a passphrase). Keep it 0600."""


# Tags stand in the places of pydantic's errors; `load` leaves them out again.
WORD: Final = "as a word"
FILES: Final = "as files"


def _certificate_form(value: Any) -> str:
    return FILES if isinstance(value, dict | CertificateFiles) else WORD


Certificate = Annotated[
    Annotated[Literal["acme", "local"], Tag(WORD)] | Annotated[CertificateFiles, Tag(FILES)],
    Discriminator(_certificate_form),
]


class Client(Part):
    """The Exosphere client that browsers load."""

    root: File = Path("/var/lib/exoproxy/client/current")
    """Document root: the folder with the built client's index.html; unless it is written here,
    client/current in the state folder. `exoproxy client install` makes it a link to the release
    that it installs; a folder of your own is served as it is. A client's source is built by running
    its code: as the owner of the state, or with --builder docker in a container."""

    overrides: File = Path("/etc/exoproxy/client")
    """Files here win over those in root: config.js, cloud_configs.js, logos. An update of the
    client leaves them alone. They are public: no secrets here."""


class Proxy(Part):
    """The Cloud CORS Proxy: carries the client's API calls to the cloud."""

    path: UrlPath = "/proxy"
    """Where it answers; `cloudCorsProxyUrl` in the client's config.js must say the same."""

    allow: tuple[Hosts, ...] = Field((), examples=[["keystone.example.org:5000", "*.example.org"]])
    """The cloud's API hosts: HOST or *.SUFFIX (any port), or HOST:PORT. All others are refused.
    Wide patterns turn this host into a stepping stone for others; name what is needed."""

    learn_endpoints: Switch = True
    """Also allow the endpoints (https) that an allowed Keystone names in the catalogue of a token,
    for 30 days after the last login. Turn it off if you don't trust everyone who may edit that
    catalogue, or who runs a host that `allow` holds."""

    allow_any_public: Switch = False
    """true: any host with a public address, as try.exosphere.app does. Then anyone can send
    requests to the internet in this host's name."""

    networks: tuple[Subnet, ...] = ()
    """Networks that are not public and may be dialled all the same, e.g. 10.20.0.0/16, for a cloud
    with internal API addresses. Whatever lives there can be reached through allowed names."""

    ca_file: File | None = None
    """Extra trust (PEM) for API certificates of a private authority; null is the system's trust."""

    verify: Switch = True
    """false: don't check the API's certificates. Whoever sits on the way then reads the users'
    passwords and tokens; use ca_file instead."""

    merge_slashes: Switch = True
    """Send `//` in paths as `/`: the client makes such paths of the usual catalogue, and Keystone
    answers them with a redirect that breaks the login."""

    compress: Switch = True
    """Compress JSON and text that the API sends plain: a session shrinks to a fifth."""


class Main(Part):
    """The main host: the client, /proxy and the OpenID Connect redirector."""

    hostname: Hostname = Field(examples=["my-example.exosphere.app"])
    """The name that users type. Requests for other names get 421."""

    listen: tuple[ListenOn, ...] = Field(_HTTPS, min_length=1)
    """Where https is served. Sockets that systemd hands over come first."""

    redirect_listen: tuple[ListenOn, ...] = _HTTP
    """Where http is redirected to https, and http-01 is answered; [] for nowhere."""

    certificate: Certificate = "acme"
    """acme; local (a private CA under state_dir, for a laptop or an intranet); or files that
    others renew: {cert_file: /etc/ssl/fullchain.pem, key_file: /etc/ssl/privkey.pem}"""

    client: Client = Client()
    """The Exosphere client: files that browsers load."""

    proxy: Proxy | None = Proxy()
    """The Cloud CORS Proxy, which carries the client's API calls to the cloud; null switches it
    off."""

    allowed_origins: tuple[Origin, ...] = ()
    """Other sites whose pages may call /proxy with their users' tokens, e.g. a second client:
    https://other.example.org. The client on this host needs no entry."""

    development_origins: Switch = False
    """true: also http(s)://[*.]exosphere.localhost[:port], for work on the client. Off, because
    any program on a user's computer can serve such a page."""

    oidc_redirector: Switch = True
    """Answer POST /oidc-redirector, which federated logins come back to."""

    self_test: Switch = False
    """Serve /.exoproxy/self-test, a page that tries the whole deployment from the browser of who
    opens it. It names your regions and one host of proxy.allow to anyone, so turn it off again."""

    admin_listen: ListenOn | None = ListenAddress.parse("127.0.0.1:9180")
    """Where health, metrics and status are served, without a password; null for nowhere. They name
    the addresses of clients and what these use: on loopback to every user of this machine, anywhere
    else to the network."""


class Region(Part):
    """The User Application Proxy of one OpenStack region."""

    hostname: Hostname = Field(examples=["proxy-example.exosphere.app"])
    """Instances are reached at names one label below it, so the DNS needs it and *.HOSTNAME. A
    sibling of the main host's name, never a parent: instances are strangers to your site."""

    listen: tuple[ListenOn, ...] = Field(_HTTPS, min_length=1)
    """Where https is served. Sockets that systemd hands over come first."""

    redirect_listen: tuple[ListenOn, ...] = _HTTP
    """Where http is redirected to https; [] for nowhere."""

    certificate: Certificate = "acme"
    """As for main; it has to cover the hostname and *.HOSTNAME."""

    subnets: tuple[Subnet, ...] = Field(min_length=1, examples=[["192.168.0.0/24"]])
    """Where the region's instances live; nothing else is ever dialled. Networks of any prefix,
    IPv4 or IPv6. Whatever else lives in them can be reached by anyone, so keep them narrow."""

    own_addresses: tuple[HostAddress, ...] = ()
    """Public addresses of this host that it can't see itself, because a NAT (a floating IP) has
    them; never dialled. Addresses of its own interfaces are known."""

    ports: tuple[Ports, ...] = Field((PortRange(1, 65535),), min_length=1)
    """Ports of an instance that may be reached, single ones or ranges: [8888, "49152-65535"]. All,
    because users start whatever they like; whoever can open a page can reach them."""

    admin_listen: ListenOn | None = ListenAddress.parse("127.0.0.1:9181")
    """As for main."""


class Uap(Part):
    """The User Application Proxies: pages, shells and desktops of instances."""

    allowed_origins: tuple[Origin, ...] = Field(examples=[["https://my-example.exosphere.app"]])
    """The sites whose pages may talk to instances: the main host's, as https://NAME."""

    development_origins: Switch = False
    """true: also http(s)://[*.]exosphere.localhost[:port] and http://localhost[:port], for work on
    the client."""

    regions: Mapping[RegionName, Region] = Field(min_length=1, examples=[_REGIONS])
    """One entry per region, by the name that `exoproxy uap --region` takes. Each host runs one."""
