"""Fetch, stream and post with one aiohttp session; print the digests."""
import asyncio
import hashlib
import json
import sys

import aiohttp

url = sys.argv[1]


async def main() -> dict[str, object]:
    seen: dict[str, object] = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        async def get(path: str) -> str:
            digest = hashlib.sha256()
            async with session.get(url + path) as answer:
                async for chunk in answer.content.iter_any():
                    digest.update(chunk)
            return digest.hexdigest()

        seen["big"] = await asyncio.gather(*[get("/big") for _ in range(6)])
        seen["chunked"] = await get("/chunked")
        body = bytes(range(256)) * 4000
        async with session.post(f"{url}/echo", data=body) as answer:
            seen["echo"] = await answer.read() == body
    return seen


print(json.dumps(asyncio.run(main())))
