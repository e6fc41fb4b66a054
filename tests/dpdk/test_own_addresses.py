"""A program that speaks to its own stack's addresses: TCP and UDP, IPv4 and IPv6, whoever has the loopback.

Uses tests/socket/run.py. The port is a net_ring, which leads nowhere: nothing of this may leave by it.
"""
from __future__ import annotations

import pytest
from run import run

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]


@pytest.mark.parametrize("loopback", ["kernel", "stack"])
def test_a_program_reaches_its_own_addresses(loopback: str) -> None:
    run(f"""
        import greendpdk
        from greendpdk import socket
        stack = greendpdk.start(vdev="net_ring0", address="198.18.9.2/24,fd09::2/64", loopback="{loopback}")
        sent = greendpdk.counters()["net_ring0.tx_packets"]
        """ + """
        for family, own, everywhere in ((socket.AF_INET, "198.18.9.2", ""), (socket.AF_INET6, "fd09::2", "::")):
            for bound in (own, everywhere):
                with socket.create_server((bound, 0), family=family) as listener:
                    port = listener.getsockname()[1]
                    with socket.create_connection((own, port)) as client, listener.accept()[0] as server:
                        assert client.getpeername()[:2] == (own, port) and client.getsockname()[0] == own
                        assert server.getpeername() == client.getsockname()
                        client.sendall(b"x" * 100_000)
                        assert len(server.recv(100_000, socket.MSG_WAITALL)) == 100_000
                with socket.socket(family, socket.SOCK_DGRAM) as a, socket.socket(family, socket.SOCK_DGRAM) as b:
                    a.bind((bound, 0))
                    b.sendto(b"?", (own, a.getsockname()[1]))
                    question, asker = a.recvfrom(9)
                    assert asker[0] == own
                    a.sendto(b"!", asker)
                    assert b.recvfrom(9)[1][:2] == (own, a.getsockname()[1])
                with socket.socket(family) as sock:
                    sock.settimeout(5)
                    assert sock.connect_ex((own, port)) == 111
        mine = greendpdk.counters()["net_ring0.tx_packets"] - sent
        greendpdk.stop()
        assert mine < 12, mine   # announcements and IPv6's questions, no bytes of these
    """)


def test_a_number_of_a_port_is_an_interface_of_multicast_options() -> None:
    run("""
        import greendpdk, struct
        from greendpdk import socket
        stack = greendpdk.start(vdev="net_ring0", address="198.18.9.2/24,fd09::2/64")
        number = socket.if_nametoindex("net_ring0")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            group = socket.inet_pton(socket.AF_INET6, "ff15::9")
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", number))
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group + struct.pack("@I", number))
        greendpdk.stop()
    """)
