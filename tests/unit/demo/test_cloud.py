"""The stand-in cloud answers as OpenStack does, as far as it answers at all."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import Application, Request
from pytest_aiohttp import AiohttpClient

from exoproxy.demo.cloud import IMAGES, PASSWORD, USER, Endpoints, Server, cloud

ENDPOINTS = Endpoints(
    identity="https://cloud.localhost:5000",
    compute="https://cloud.localhost:8774",
    image="https://cloud.localhost:8774",
)
SERVER = Server(name="demo-instance", address="127.0.0.2", port=8080)

Client = TestClient[Request, Application]


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(cloud(ENDPOINTS, SERVER))


def login(name: str = USER, password: str = PASSWORD) -> dict[str, Any]:
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}


async def token(client: Client) -> dict[str, str]:
    async with client.post("/v3/auth/tokens", json=login()) as answer:
        return {"X-Auth-Token": answer.headers["X-Subject-Token"]}


@pytest.mark.parametrize("path", ["/v3", "/v3/"])
async def test_version_document_names_keystone(client: Client, path: str) -> None:
    """The version document links to the identity endpoint, with and without a slash."""
    async with client.get(path) as answer:
        version = (await answer.json())["version"]

    assert answer.status == 200
    assert version["links"][0]["href"] == "https://cloud.localhost:5000/v3/"


async def test_login_gives_token_and_catalogue(client: Client) -> None:
    """The right password gives 201, a token in X-Subject-Token, and where the services are."""
    async with client.post("/v3/auth/tokens", json=login()) as answer:
        catalogue = (await answer.json())["token"]["catalog"]

    assert answer.status == 201
    assert len(answer.headers.getall("X-Subject-Token")) == 1
    assert {service["type"]: service["endpoints"][0]["url"] for service in catalogue} == {
        "identity": "https://cloud.localhost:5000/v3/",
        "compute": "https://cloud.localhost:8774/v2.1",
        "image": "https://cloud.localhost:8774",
    }


@pytest.mark.parametrize(
    "body", [login(password="wrong"), login(name="admin"), {}, {"auth": {"identity": 1}}, []]
)
async def test_login_refuses_anything_but_the_password(client: Client, body: object) -> None:
    """A wrong password, a wrong user or another shape gives Keystone's 401, and no token."""
    async with client.post("/v3/auth/tokens", json=body) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["code"], error["title"]) == (401, 401, "Unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Keystone uri="https://cloud.localhost:5000"'
    assert "X-Subject-Token" not in answer.headers


async def test_login_that_is_not_json_is_a_bad_request(client: Client) -> None:
    """A body that is not JSON gives 400, not a stack trace."""
    async with client.post("/v3/auth/tokens", data=b"\xff{") as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["code"]) == (400, 400)


async def test_servers_name_the_demo_instance(client: Client) -> None:
    """The list of servers holds the instance, its address and the port of its application."""
    async with client.get("/v2.1/servers/detail", headers=await token(client)) as answer:
        (server,) = (await answer.json())["servers"]

    assert (server["name"], server["status"]) == ("demo-instance", "ACTIVE")
    assert [address["addr"] for address in server["addresses"]["demo"]] == ["127.0.0.2"]
    assert server["metadata"] == {"web_port": "8080"}


async def test_images_are_a_large_answer(client: Client) -> None:
    """The list of images is of a public cloud's size, and comes uncompressed."""
    async with client.get("/v2/images?limit=999999", headers=await token(client)) as answer:
        content = await answer.read()
        images = (await answer.json())["images"]

    assert "Content-Encoding" not in answer.headers
    assert len(content) > 200_000
    assert len({image["id"] for image in images}) == IMAGES


@pytest.mark.parametrize("path", ["/v2.1/servers/detail", "/v2/images"])
@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "made-up"}])
async def test_services_want_a_token(client: Client, path: str, headers: dict[str, str]) -> None:
    """Without a token that was issued here, a service answers 401 in JSON."""
    async with client.get(path, headers=headers) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["code"]) == (401, 401)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v9/nothing", 404), ("DELETE", "/v3", 405)]
)
async def test_errors_are_json(client: Client, method: str, path: str, status: int) -> None:
    """What the cloud doesn't know it answers in JSON, with the fields of every answer."""
    async with client.request(method, path) as answer:
        error = (await answer.json())["error"]

    assert (answer.status, error["code"]) == (status, status)
    assert answer.headers["X-OpenStack-Request-Id"].startswith("req-")
    assert ("Allow" in answer.headers) == (status == 405)
