"""Fetch three times, and post, by urllib3 or httpx over TLS; print the digests."""
import hashlib
import json
import ssl
import sys

kind, url, cafile = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
body = bytes(range(256)) * 4000
if kind == "urllib3":
    import urllib3

    pool = urllib3.PoolManager(ssl_context=context, timeout=10)
    pages = [pool.request("GET", f"{url}/big").data for _ in range(3)]
    echo = pool.request("POST", f"{url}/echo", body=body).data
else:
    import httpx

    with httpx.Client(verify=context, timeout=10) as client:
        pages = [client.get(f"{url}/big").content for _ in range(3)]
        echo = client.post(f"{url}/echo", content=body).content
print(json.dumps([[hashlib.sha256(page).hexdigest() for page in pages], echo == body]))
