"""Fetch from several threads through one urllib3 pool; print the digests."""
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import urllib3

pool = urllib3.PoolManager(maxsize=4, block=True, timeout=10)


def fetch(_: int) -> str:
    return hashlib.sha256(pool.request("GET", f"{sys.argv[1]}/big").data).hexdigest()


with ThreadPoolExecutor(8) as threads:
    print(json.dumps(list(threads.map(fetch, range(12)))))
