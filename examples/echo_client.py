"""Measure echo round trips with greendpdk.socket, used directly: nothing is patched. Run as

    python examples/echo_client.py 198.18.0.1 7000
"""
import sys
import time

import greendpdk
from greendpdk import socket

greendpdk.start()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    begun = time.perf_counter()
    for number in range(1000):
        message = b"%08d" % number
        sock.sendall(message)
        assert sock.recv(100) == message
    took = time.perf_counter() - begun
print(f"1000 round trips, {took * 1000:.0f} us each")
greendpdk.stop()
