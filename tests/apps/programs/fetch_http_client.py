"""Fetch by http.client over one connection: three times, chunked, a chunked upload."""
import hashlib
import http.client
import json
import sys

host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, port, timeout=10)
seen: dict[str, object] = {}


def get(path: str) -> str:
    connection.request("GET", path)
    return hashlib.sha256(connection.getresponse().read()).hexdigest()


seen["big"] = [get("/big") for _ in range(3)]
seen["chunked"] = get("/chunked")
body = bytes(range(256)) * 4000
connection.request("POST", "/echo", body, {"Expect": ""})
seen["echo"] = connection.getresponse().read() == body
connection.close()
print(json.dumps(seen))
