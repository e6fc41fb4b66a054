"""Answer each datagram with its upper case. It knows nothing of greendpdk; run it over DPDK with

    python -m greendpdk examples/udp.py 198.18.0.2 7000
"""
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.bind((sys.argv[1], int(sys.argv[2])))
    while True:
        data, sender = sock.recvfrom(2048)
        sock.sendto(data.upper(), sender)
