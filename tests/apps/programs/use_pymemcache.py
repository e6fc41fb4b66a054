"""Use a memcached: set, get, many keys, counters, compare-and-swap, a pool in threads."""
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from pymemcache import Client, PooledClient

server = (sys.argv[1], int(sys.argv[2]))
seen: dict[str, object] = {}
client = Client(server, connect_timeout=10, timeout=10, no_delay=True)
client.set("key", b"value")
seen["get"] = client.get("key").decode()
client.set_many({f"many{number}": b"x" * number for number in range(200)}, noreply=False)
seen["many"] = sum(len(value) for value in client.get_many([f"many{number}" for number in range(200)]).values())
big = bytes(range(256)) * 4000
client.set("big", big, noreply=False)
seen["big"] = client.get("big") == big
client.set("count", 1, noreply=False)
_, ticket = client.gets("count")
seen["cas"] = [client.cas("count", 2, ticket, noreply=False), client.cas("count", 3, ticket, noreply=False)]
pool = PooledClient(server, max_pool_size=4, connect_timeout=10, timeout=10)
with ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda _: pool.incr("count", 1), range(100)))
seen["count"] = int(client.get("count"))
pool.close()
client.close()
print(json.dumps(seen))
