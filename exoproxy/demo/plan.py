"""The demo on paper: which names and ports, both modes' configuration, and what a person is told.

Values only; `exoproxy.demo.life` opens the ports and starts what is planned here.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from exoproxy.demo.cloud import PASSWORD, REGION, USER, Endpoints, Server

# Browsers and curl find every name below `localhost` on this machine (RFC 6761 section 6.3).
MAIN_NAME = "exosphere.localhost"
UAP_NAME = "proxy.localhost"
CLOUD_NAME = "cloud.localhost"
CERTIFICATE_NAMES = (MAIN_NAME, UAP_NAME, f"*.{UAP_NAME}", CLOUD_NAME)

LOOPBACK = ("127.0.0.1", "::1")
# Not the address that the proxies listen on: a UAP never dials its own.
INSTANCE_ADDRESS = "127.0.0.2"

DOCUMENT_ROOT = Path(__file__).with_name("client")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Where everything is.

    `keystone_port` and `services_port` belong to the cloud, `instance_port` to the instance.
    `addresses` are those that the proxies listen on. `certificate` holds key and certificate for
    `CERTIFICATE_NAMES`; `folder` is for this run alone.
    """

    main_port: int
    uap_port: int
    keystone_port: int
    services_port: int
    instance_port: int
    addresses: tuple[str, ...] = LOOPBACK
    certificate: Path
    ca_file: Path
    folder: Path

    @property
    def main_url(self) -> str:
        """The main host's origin."""
        return f"https://{MAIN_NAME}:{self.main_port}"

    @property
    def instance_url(self) -> str:
        """The instance's origin, behind the UAP."""
        label = f"http-{INSTANCE_ADDRESS.replace('.', '-')}-{self.instance_port}"
        return f"https://{label}.{UAP_NAME}:{self.uap_port}"

    @property
    def overrides(self) -> Path:
        """The folder of the client's own configuration, `config.js`."""
        return self.folder / "client"

    def endpoints(self) -> Endpoints:
        """Return what the cloud's catalogue says: the services have a port of their own."""
        services = f"https://{CLOUD_NAME}:{self.services_port}"
        identity = f"https://{CLOUD_NAME}:{self.keystone_port}"
        return Endpoints(identity=identity, compute=services, image=services)

    def server(self) -> Server:
        """Return the instance as the cloud lists it."""
        return Server(name="demo-instance", address=INSTANCE_ADDRESS, port=self.instance_port)

    def configuration(self) -> dict[str, Any]:
        """Return the configuration of both modes, as the file has it."""
        return {
            "state_dir": str(self.folder / "state"),
            "main": {
                "hostname": MAIN_NAME,
                "listen": self._listen(self.main_port),
                "redirect_listen": [],
                "certificate": self._certificate(),
                "client": {"root": str(DOCUMENT_ROOT), "overrides": str(self.overrides)},
                "proxy": {
                    "allow": [
                        f"{CLOUD_NAME}:{self.keystone_port}",
                        f"{CLOUD_NAME}:{self.services_port}",
                    ],
                    "networks": ["127.0.0.1/32"],
                    "ca_file": str(self.ca_file),
                },
                "self_test": True,
                "admin_listen": None,
            },
            "uap": {
                "allowed_origins": [self.main_url],
                "regions": {
                    REGION: {
                        "hostname": UAP_NAME,
                        "listen": self._listen(self.uap_port),
                        "redirect_listen": [],
                        "certificate": self._certificate(),
                        "subnets": [f"{INSTANCE_ADDRESS}/32"],
                        "admin_listen": None,
                    }
                },
            },
        }

    def _certificate(self) -> dict[str, str]:
        return {"cert_file": str(self.certificate), "key_file": str(self.certificate)}

    def _listen(self, port: int) -> list[str]:
        return [f"[{a}]:{port}" if ":" in a else f"{a}:{port}" for a in self.addresses]

    def config_js(self) -> str:
        """Return the page's `config.js`."""
        values = {
            "keystone": f"https://{CLOUD_NAME}:{self.keystone_port}/v3",
            "user": USER,
            "password": PASSWORD,
            "userAppProxy": f"{UAP_NAME}:{self.uap_port}",
            "cloudCorsProxyUrl": "/proxy",
        }
        return f"window.exoproxyDemo = {json.dumps(values, indent=2)};\n"

    def guide(self) -> str:
        """Return what a person needs to know, ready to print."""
        ca = quote(str(self.ca_file))
        to = "-H 'exo-proxy-orig-host: {}' -H 'exo-proxy-orig-port: {}'".format
        return f"""
The exoproxy demo is running. Open

    {self.main_url}/
    {self.instance_url}/

The certificates come from a CA of this demo, which vouches for its names below localhost alone:

    {self.ca_file}

To trust it in Firefox, import that file under Settings > Privacy & Security > View Certificates >
Authorities. In Chromium, under chrome://certificate-manager > Custom > Installed by you, or with
certutil (Debian's libnss3-tools):

    certutil -A -d sql:$HOME/.pki/nssdb -n 'exoproxy demo' -t C,, -i {ca}

To try with curl: the page, the cloud's API, a host that isn't allowed, the instance, its clock.

    ca={ca}
    curl --cacert "$ca" {self.main_url}/
    curl --cacert "$ca" {to(CLOUD_NAME, self.keystone_port)} {self.main_url}/proxy/v3/
    curl --cacert "$ca" {to("example.org", 443)} {self.main_url}/proxy/
    curl --cacert "$ca" {self.instance_url}/request
    curl --cacert "$ca" --no-buffer {self.instance_url}/clock

Both modes run with this configuration: {self.folder / "exoproxy.yaml"}
Stop with Ctrl-C.
"""
