"""Interim answers of an instance, which reach a browser like any other answer."""

from deployment import Way
from peers import answer


async def test_early_hints_are_edited_as_answers_are(uap: Way) -> None:
    """A 103 can't plant a cookie for other instances either."""
    client = await uap.connect()
    client.send(uap.request())
    instance = await uap.upstream.accepted()
    await instance.message()
    instance.send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
        b"Set-Cookie: a=1; Domain=proxy.example.org\r\n\r\n" + answer(b"ok")
    )
    hints = await client.head()
    final = await client.message()

    assert hints.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n")
    assert b"Set-Cookie: a=1\r\n" in hints
    assert final.content == b"ok"
