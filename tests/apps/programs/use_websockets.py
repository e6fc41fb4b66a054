"""Echo over WebSocket by websockets, blocking and in asyncio."""
import asyncio
import json
import random
import sys

import websockets
from websockets.sync.client import connect

big = random.Random(1).randbytes(1_000_000)
seen: dict[str, object] = {}
with connect(sys.argv[1], open_timeout=10) as connection:
    connection.send("hello")
    seen["text"] = connection.recv(10)
    connection.send(big)
    seen["big"] = connection.recv(10) == big


async def many() -> int:
    async def one(number: int) -> int:
        async with websockets.connect(sys.argv[1]) as each:
            await each.send(str(number))
            return int(await each.recv())

    return sum(await asyncio.gather(*map(one, range(20))))


seen["asyncio"] = asyncio.run(many())
print(json.dumps(seen))
