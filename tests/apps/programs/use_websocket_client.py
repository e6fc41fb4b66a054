"""Echo over WebSocket by websocket-client."""
import json
import sys

import websocket

big = bytes(range(256)) * 4000
connection = websocket.create_connection(sys.argv[1], timeout=10)
connection.send("hello")
seen: dict[str, object] = {"text": connection.recv()}
connection.send_binary(big)
seen["big"] = connection.recv() == big
connection.ping("still there?")
connection.send("after")
seen["after"] = connection.recv()
connection.close()
print(json.dumps(seen))
