"""Use a Redis server in the ways apps do; print what came back."""
import json
import sys
import threading

import redis

client = redis.Redis(sys.argv[1], int(sys.argv[2]), socket_timeout=10, socket_keepalive=True)
seen = {"ping": client.ping()}

client.set("key", b"value")
seen["get"] = client.get("key").decode()

big = bytes(range(256)) * 4096
client.set("big", big)
seen["big"] = client.get("big") == big

with client.pipeline() as pipe:
    for number in range(1000):
        pipe.incr("count", number)
    seen["pipeline"] = pipe.execute()[-1]

waiter = threading.Thread(target=lambda: seen.update(blpop=client.blpop(["queue"], timeout=5)[1].decode()))
waiter.start()
client.rpush("queue", "job")
waiter.join()

with client.pubsub() as channel:
    channel.subscribe("news")
    channel.get_message(timeout=5)
    client.publish("news", "extra")
    seen["pubsub"] = channel.get_message(timeout=5)["data"].decode()
print(json.dumps(seen))
