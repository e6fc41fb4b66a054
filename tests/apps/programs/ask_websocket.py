"""Ask a WebSocket server in capitals, from the kernel's side: URL."""
import sys

from websockets.sync.client import connect

with connect(sys.argv[1], proxy=None) as connection:
    connection.send("hello")
    print(connection.recv(10))
