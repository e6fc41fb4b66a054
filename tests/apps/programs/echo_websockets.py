"""A WebSocket server that echoes, on the sockets of whoever runs it."""
import sys

from websockets.sync.server import ServerConnection, serve


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


with serve(echo, sys.argv[1], int(sys.argv[2])) as server:
    server.serve_forever()
