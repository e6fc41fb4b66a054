"""Fetch, stream and post with one requests session; print the digests."""
import hashlib
import json
import sys

import requests

url, *cafile = sys.argv[1:]
digests = {}
with requests.Session() as session:
    session.verify = cafile[0] if cafile else True
    for number in range(3):
        answer = session.get(f"{url}/big", timeout=10)
        answer.raise_for_status()
        digests[f"big {number}"] = hashlib.sha256(answer.content).hexdigest()
    digest = hashlib.sha256()
    with session.get(f"{url}/chunked", stream=True, timeout=10) as answer:
        for chunk in answer.iter_content(7001):
            digest.update(chunk)
    digests["chunked"] = digest.hexdigest()
    body = bytes(range(256)) * 4000
    digests["echo"] = session.post(f"{url}/echo", data=body, timeout=10).content == body
print(json.dumps(digests))
