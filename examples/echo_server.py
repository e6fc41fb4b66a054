"""An echo server with a thread for each client. The first two lines put it on DPDK; run as

    python examples/echo_server.py 198.18.0.2 7000
"""
from greendpdk import monkey

monkey.patch_all()

import socket  # noqa: E402 (what is patched is imported after the patch)
import sys  # noqa: E402
import threading  # noqa: E402


def echo(sock: socket.socket) -> None:
    with sock:
        while data := sock.recv(65536):
            sock.sendall(data)


address = sys.argv[1], int(sys.argv[2])
family = socket.getaddrinfo(*address)[0][0]
with socket.create_server(address, family=family) as listener:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=echo, args=(client,), daemon=True).start()
