"""Fetch, stream and post with one httpx client, blocking and in asyncio; print the digests."""
import asyncio
import hashlib
import json
import sys

import httpx

url = sys.argv[1]
seen: dict[str, object] = {}
with httpx.Client(timeout=10) as client:
    seen["big"] = [hashlib.sha256(client.get(f"{url}/big").content).hexdigest() for _ in range(3)]
    digest = hashlib.sha256()
    with client.stream("GET", f"{url}/chunked") as answer:
        for chunk in answer.iter_bytes():
            digest.update(chunk)
    seen["chunked"] = digest.hexdigest()
    body = bytes(range(256)) * 4000
    seen["echo"] = client.post(f"{url}/echo", content=body).content == body


async def many() -> list[str]:
    async with httpx.AsyncClient(timeout=20) as client:
        answers = await asyncio.gather(*[client.get(f"{url}/big") for _ in range(6)])
    return [hashlib.sha256(answer.content).hexdigest() for answer in answers]


seen["asyncio"] = asyncio.run(many())
print(json.dumps(seen))
