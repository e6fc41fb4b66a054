"""A lease's second life: renewed, refused, changed, ended (RFC 2131 4.4.5), against a server made by hand."""
from __future__ import annotations

import errno
import struct

import pytest
from dhcp_server import (
    ACK,
    CHECKED,
    DECLINE,
    DISCOVER,
    NAK,
    OFFERED,
    REQUEST,
    SERVER,
    Client,
    claims,
    dotted,
    leads,
    reply,
    usual,
)
from frames import BROADCAST, FAR, MS, OUR_MAC, SECOND, Host, arp, ether, four

OTHER_SERVER = "10.0.0.3"


@pytest.fixture
def client(host: Host) -> Client:
    """Return a client whose DISCOVER is on the wire."""
    return Client(host)


def test_renewal_at_t1_is_a_unicast_that_names_the_address_only_as_its_own(client: Client) -> None:
    client.bind([*usual(100), (58, struct.pack("!I", 3))])
    client.host.learn(SERVER)
    client.host.advance(2 * SECOND)
    assert client.sent() == []
    client.host.advance(1 * SECOND)
    message = client.one()
    assert (message.kind, message.src, message.dst, message.to_all) == (REQUEST, OFFERED, SERVER, False)
    assert (message.ciaddr, message.flags) == (OFFERED, 0)
    assert 50 not in message.options and 54 not in message.options
    assert client.state == "RENEWING"
    before = client.host.stack.generation
    client.renewed(message, [*usual(100), (58, struct.pack("!I", 3))])
    assert (client.state, client.address(), client.status().seconds_left) == ("BOUND", f"{OFFERED}/24", 99)
    assert client.host.stack.generation == before  # nothing is new: flows keep their routes
    client.host.advance(3 * SECOND)
    assert client.one().xid != message.xid


def test_renewal_is_asked_for_until_t2_and_then_of_every_server(client: Client) -> None:
    client.bind(usual(3600))
    client.host.learn(SERVER)
    client.host.advance(1800 * SECOND)
    begun = client.host.now
    assert client.one().dst == SERVER
    times = []
    while client.state == "RENEWING":
        client.host.advance(1 * SECOND)
        times += [((client.host.now - begun) / SECOND, message.dst) for message in client.sent()]
    assert [time for time, _ in times] == pytest.approx([675, 1012, 1181, 1265, 1325, 1350], abs=3)
    assert [to for _, to in times] == [SERVER] * 5 + ["255.255.255.255"]
    assert client.state == "REBINDING"
    client.host.advance(225 * SECOND)
    message = client.one()
    assert (message.kind, message.src, message.ciaddr, message.to_all) == (REQUEST, OFFERED, OFFERED, True)
    assert 50 not in message.options and 54 not in message.options
    client.renewed(message, usual(server=four(OTHER_SERVER)), src=OTHER_SERVER)
    assert (client.state, dotted(bytes(client.status().server)[12:])) == ("BOUND", OTHER_SERVER)


def test_lease_that_nobody_renews_ends_and_takes_its_address_along(client: Client) -> None:
    client.bind(usual(100))
    client.host.learn(SERVER)
    changes = client.status().changes
    client.host.advance(99 * SECOND)
    assert client.address() == f"{OFFERED}/24"
    client.sent()
    client.host.advance(1 * SECOND)
    message = client.one()
    assert (message.kind, message.src, message.ciaddr) == (DISCOVER, "0.0.0.0", "0.0.0.0")
    assert client.address() is None and client.host.stack.nroutes == 0
    assert client.status().changes == changes + 1
    assert leads(client.host, FAR) == -errno.ENETUNREACH


def test_lease_for_ever_is_never_renewed(client: Client) -> None:
    client.bind(usual(2**32 - 1))
    assert client.status().seconds_left == 2**32 - 1
    client.host.advance(10**9 * SECOND)
    assert client.sent() == [] and client.state == "BOUND"


def test_nak_of_a_request_begins_anew_and_more_slowly_each_time(client: Client) -> None:
    waits = []
    for _ in range(4):
        request = client.offer()
        client.host.inject(reply(request.xid, NAK, [(54, four(SERVER))], "0.0.0.0"))
        assert client.state == "INIT" and client.address() is None
        begun = client.host.now
        while client.state == "INIT":
            client.host.advance(100 * MS)
        waits.append((client.host.now - begun) / SECOND)
    assert waits == pytest.approx([1, 2, 4, 8], abs=0.11)
    assert client.status().naks == 4
    assert client.host.counters()["dhcp_naks"] == 4


def test_nak_of_a_renewal_takes_the_address_at_once_and_another_may_come(client: Client) -> None:
    client.bind(usual(100))
    client.host.learn(SERVER)
    client.host.advance(50 * SECOND)
    message = client.one()
    client.host.inject(reply(message.xid, NAK, [(54, four(SERVER))], "0.0.0.0"))
    assert client.address() is None
    client.host.advance(1010 * MS)
    client.bind(yiaddr="10.0.0.99")
    assert client.address() == "10.0.0.99/24"
    assert leads(client.host, FAR) == "10.0.0.99"


def test_renewal_may_change_address_and_router(client: Client) -> None:
    client.bind(usual(100))
    client.host.learn(SERVER)
    client.host.advance(50 * SECOND)
    message = client.one()
    granted = reply(message.xid, ACK, usual(router=four("10.0.0.253")), "10.0.0.10", dst=OFFERED, to=OUR_MAC)
    client.host.inject(granted)
    assert (client.state, client.address()) == ("CHECKING", f"{OFFERED}/24")
    client.sent()
    client.host.advance(CHECKED)
    assert client.sent() == []
    question = ether(arp(1, "0.0.0.0", "10.0.0.10", OUR_MAC), 0x0806, BROADCAST, OUR_MAC)
    assert [frame for frame in client.others if frame == question]  # RFC 2131 4.4.1, RFC 5227 2.1.1
    assert (client.state, client.address()) == ("BOUND", "10.0.0.10/24")
    assert dotted(bytes(client.status().gateway)[12:]) == "10.0.0.253"
    assert leads(client.host, FAR) == "10.0.0.10"


def test_renewal_with_an_address_that_another_host_has_ends_the_lease(client: Client) -> None:
    client.bind(usual(100))
    client.host.learn(SERVER)
    client.host.advance(50 * SECOND)
    message = client.one()
    client.host.inject(reply(message.xid, ACK, usual(), "10.0.0.10", dst=OFFERED, to=OUR_MAC))
    client.host.inject(claims("10.0.0.10"))
    message = client.one()
    assert (message.kind, message.src, message.options[50]) == (DECLINE, "0.0.0.0", four("10.0.0.10"))
    assert client.address() is None and client.status().conflicts == 1
    client.host.advance(10100 * MS)
    assert client.one().kind == DISCOVER


def test_nak_without_a_server_is_nobody_s_in_rebinding(client: Client) -> None:
    """RFC 2131 4.3.2, table 3: it MUST have the option."""
    client.bind(usual(100))
    client.host.advance(90 * SECOND)
    assert client.state == "REBINDING"
    xid = client.sent()[-1].xid
    client.host.moved()
    client.host.inject(reply(xid, NAK, [], "0.0.0.0"))
    assert client.host.dropped() == {"dhcp_drop_server": 1}
    assert (client.state, client.address()) == ("REBINDING", f"{OFFERED}/24")
