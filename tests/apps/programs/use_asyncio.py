"""Fetch by asyncio's streams, six at once; time out on one that never answers."""
import asyncio
import hashlib
import json
import sys

host, port = sys.argv[1], int(sys.argv[2])


async def fetch(_: int) -> str:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")
    digest = hashlib.sha256(await reader.read())
    writer.close()
    await writer.wait_closed()
    return digest.hexdigest()


async def silent() -> str:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        await asyncio.wait_for(reader.read(1), 0.1)
    except TimeoutError:
        return "timed out"
    finally:
        writer.close()
    return "answered"


async def main() -> dict[str, object]:
    return {"big": await asyncio.gather(*map(fetch, range(6))), "silent": await silent()}


print(json.dumps(asyncio.run(main())))
