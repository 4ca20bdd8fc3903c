"""A file's content: it leaves the disk as the client takes it."""

import asyncio
from pathlib import Path

from engine_room import NAME, Straight, engine_room
from exoproxy.net.listen import Peer
from exoproxy.proxy.decision import Decision, File, Reply, stamp_of
from exoproxy.wire.head import RequestHead
from peers import request

SIZE = 20_000_000


class Disk(Straight):
    """A site with one file, whose answer has a large head, and some memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(0, "http")
        self._path = path
        self._stamp = stamp_of(path.stat())

    def decide(self, request: RequestHead, peer: Peer) -> Decision:
        if request.target.path == b"/file":
            fields = [(b"X-Large", b"x" * 300_000)]
            return File(
                status=200,
                fields=fields,
                path=self._path,
                stamp=self._stamp,
                offset=0,
                length=SIZE,
            )
        return Reply(status=200, content=bytes(50_000))


async def test_client_that_is_slow_before_the_file_begins(tmp_path: Path) -> None:
    """When the head alone fills the buffer, the content waits on the disk."""
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    async with engine_room() as room:
        room.engine.site = Disk(path)
        client = await room.connect()
        client.stop_taking()
        (inbound,) = room.engine.inbounds
        while not inbound.transport.get_write_buffer_size():
            client.send(request(NAME))
            await asyncio.sleep(0.005)
        client.send(request(NAME, line=b"GET /file HTTP/1.1"))
        await asyncio.sleep(0.5)

        assert inbound.transport.get_write_buffer_size() < 1_000_000


async def test_file_that_was_replaced_before_it_is_sent(tmp_path: Path) -> None:
    """Other bytes never go out under the fields of the file that was judged."""
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    async with engine_room() as room:
        room.engine.site = Disk(path)
        replacement = tmp_path / "replacement"
        replacement.write_bytes(b"x" * SIZE)
        replacement.replace(path)
        client = await room.connect()
        client.send(request(NAME, line=b"GET /file HTTP/1.1"))
        await client.head()

        assert await client.ended() == "RST"
