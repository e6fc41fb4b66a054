"""The DHCP client's states in virtual time, against a server made by hand (RFC 2131 4.4, figure 5)."""
from __future__ import annotations

import errno
import struct
from typing import Any

import pytest
from dhcp_server import (
    ACK,
    CHECKED,
    DECLINE,
    DISCOVER,
    DNS,
    NAK,
    OFFER,
    OFFERED,
    RELEASE,
    REQUEST,
    ROUTER,
    SERVER,
    Client,
    claims,
    dotted,
    leads,
    probes,
    reply,
    usual,
)
from frames import (
    BROADCAST,
    FAR,
    MS,
    OTHER_MAC,
    OUR_MAC,
    PEER_MAC,
    SECOND,
    Host,
    Socket,
    arp,
    ether,
    four,
    mapped,
)

OTHER_SERVER = "10.0.0.3"


@pytest.fixture
def client(host: Host) -> Client:
    """Return a client whose DISCOVER is on the wire."""
    return Client(host)


def test_discover_goes_from_nobody_to_everybody_and_asks_for_what_is_used(host: Host) -> None:
    client = Client(host, b"app-7")
    message = client.one()
    assert (message.kind, message.src, message.dst, message.to_all) == (DISCOVER, "0.0.0.0", "255.255.255.255", True)
    assert (message.ciaddr, message.flags, message.secs) == ("0.0.0.0", 0x8000, 0)
    assert message.length >= 300  # RFC 1542 2.1
    assert message.options[61] == b"\x01" + OUR_MAC
    assert message.options[12] == b"app-7"
    assert message.options[57] == struct.pack("!H", 1500)
    asked = list(message.options[55])
    assert set(asked) == {1, 3, 6, 15, 26, 51, 58, 59, 121}
    assert asked.index(121) < asked.index(3)  # RFC 3442
    assert 50 not in message.options and 54 not in message.options
    assert client.state == "SELECTING"


def test_request_names_the_offer_and_its_server_to_everybody(client: Client) -> None:
    message = client.offer()
    assert (message.kind, message.src, message.dst, message.to_all) == (REQUEST, "0.0.0.0", "255.255.255.255", True)
    assert (message.options[50], message.options[54]) == (four(OFFERED), four(SERVER))
    assert (message.ciaddr, message.flags) == ("0.0.0.0", 0x8000)
    assert client.state == "REQUESTING"


def test_grant_is_in_force_when_nobody_answers_three_probes(client: Client) -> None:
    request = client.offer()
    client.host.inject(reply(request.xid, ACK, usual()))
    assert client.state == "CHECKING"
    client.host.advance(CHECKED - 50 * MS)
    assert client.sent() == [] and client.address() is None
    question = ether(arp(1, "0.0.0.0", OFFERED, OUR_MAC), 0x0806, BROADCAST, OUR_MAC)
    assert client.others == [question] * 3  # RFC 5227 2.1.1
    client.host.advance(50 * MS)
    assert client.sent() == []
    assert client.others == [ether(arp(1, OFFERED, OFFERED, OUR_MAC), 0x0806, BROADCAST, OUR_MAC)]  # the announcement
    assert (client.state, client.address()) == ("BOUND", f"{OFFERED}/24")
    assert leads(client.host, FAR) == leads(client.host, SERVER) == OFFERED
    client.host.advance(2 * SECOND)
    assert client.sent() == []
    assert client.others == [ether(arp(1, OFFERED, OFFERED, OUR_MAC), 0x0806, BROADCAST, OUR_MAC)]  # RFC 5227 2.3
    client.host.advance(1700 * SECOND)
    assert client.sent() == [] and client.others == []


def test_status_tells_the_lease(client: Client) -> None:
    options = [*usual(100), (6, four(DNS) + four("10.0.0.54")), (26, b"\x05\x78"), (15, b"corp.test")]
    before = client.status().changes
    client.bind(options)
    status = client.status()
    assert status.changes == before + 1
    assert [dotted(bytes(field)[12:16]) for field in (status.address, status.server, status.gateway)] == [
        OFFERED, SERVER, ROUTER]  # fmt: skip
    assert (status.prefix_length, status.mtu, status.dns_count, status.seconds_left) == (24, 1400, 2, 99)
    assert [dotted(bytes(status.dns)[at + 12 : at + 16]) for at in (0, 16)] == [DNS, "10.0.0.54"]
    assert b"".join(status.domain).rstrip(b"\0") == b"corp.test"
    assert (status.discovers, status.offers, status.naks, status.conflicts) == (1, 1, 0, 0)
    client.host.advance(10 * SECOND)
    assert client.status().seconds_left == 89


def test_discover_is_sent_again_after_4_8_16_32_64_and_64_seconds(client: Client) -> None:
    first, times, last = client.one(), [], client.host.now
    while len(times) < 7:
        client.host.advance(100 * MS)
        for message in client.sent():
            assert (message.kind, message.xid) == (DISCOVER, first.xid)
            times.append((client.host.now - last) / SECOND)
            assert abs(message.secs - sum(times)) <= 1
            last = client.host.now
    assert all(abs(got - wanted) <= 1.1 for got, wanted in zip(times, [4, 8, 16, 32, 64, 64, 64], strict=True)), times
    assert len({round(got - wanted, 1) for got, wanted in zip(times, [4, 8, 16, 32, 64, 64, 64], strict=True)}) > 1
    assert client.status().discovers == 8


def test_request_without_an_answer_is_sent_four_times_and_then_all_begins_anew(client: Client) -> None:
    first = client.offer()
    client.host.advance(32 * SECOND)
    assert [(message.kind, message.xid) for message in client.sent()] == [(REQUEST, first.xid)] * 3
    client.host.advance(36 * SECOND)
    anew = client.sent()[0]
    assert anew.kind == DISCOVER and anew.xid != first.xid


@pytest.mark.parametrize("heard", [claims, probes], ids=["in use", "about to be"])
def test_address_that_another_host_has_is_declined_and_all_begins_after_ten_seconds(client: Client, heard: Any) -> None:
    request = client.offer()
    client.host.inject(reply(request.xid, ACK, usual()))
    client.host.advance(300 * MS)
    client.sent()
    client.host.inject(heard(OFFERED))
    message = client.one()
    assert (message.kind, message.src, message.to_all) == (DECLINE, "0.0.0.0", True)
    assert (message.options[50], message.options[54]) == (four(OFFERED), four(SERVER))
    assert (message.ciaddr, message.flags) == ("0.0.0.0", 0)
    assert client.address() is None and client.status().conflicts == 1
    client.host.advance(9900 * MS)
    assert client.sent() == []
    client.host.advance(200 * MS)
    assert client.one().kind == DISCOVER


def test_arp_about_other_addresses_is_no_conflict(client: Client) -> None:
    request = client.offer()
    client.host.inject(reply(request.xid, ACK, usual()))
    client.host.inject(claims("10.0.0.8"), probes("10.0.0.8"), ether(arp(1, SERVER, OFFERED), 0x0806, BROADCAST))
    client.host.advance(CHECKED)
    assert client.state == "BOUND"


def test_release_tells_the_server_and_takes_the_address(client: Client) -> None:
    client.bind()
    client.host.learn(SERVER)
    stack, index = client.host.stack, client.host.index
    assert client.lib.gd_dhcp_stop(stack, index) == 0
    client.host.poll()
    message = client.one()
    assert (message.kind, message.src, message.dst) == (RELEASE, OFFERED, SERVER)
    assert (message.ciaddr, message.options[54]) == (OFFERED, four(SERVER))
    assert 50 not in message.options and 55 not in message.options
    assert (client.state, client.address()) == ("OFF", None)
    assert client.lib.gd_dhcp_stop(stack, index) == -errno.ENOENT
    client.host.advance(3600 * SECOND)
    assert client.sent() == []


def test_release_waits_for_the_servers_mac_if_need_be(client: Client) -> None:
    client.bind()
    assert client.lib.gd_dhcp_stop(client.host.stack, client.host.index) == 0
    client.host.poll()
    assert client.sent() == [] and len(client.others) == 1
    client.host.inject(ether(arp(2, SERVER, OFFERED, PEER_MAC, OUR_MAC), 0x0806))
    assert client.one().kind == RELEASE


def test_late_or_second_offer_is_dropped(client: Client) -> None:
    request = client.offer()
    client.host.inject(reply(request.xid, OFFER, usual(), "10.0.0.77"))
    assert client.sent() == []
    assert client.host.moved()["dhcp_drop_state"] == 1
    assert client.state == "REQUESTING"


def test_answers_that_are_not_ours_are_dropped_and_counted(client: Client) -> None:
    request = client.offer()
    host = client.host
    host.moved()
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"xid": b"\0\0\0\0"}, ACK, "dhcp_drop_not_ours"),
        ({"mac": OTHER_MAC}, ACK, "dhcp_drop_not_ours"),
        ({"options": usual(server=four(OTHER_SERVER))}, ACK, "dhcp_drop_server"),
        ({"options": usual(server=None)}, ACK, "dhcp_drop_server"),
        ({"options": [(54, four(OTHER_SERVER))]}, NAK, "dhcp_drop_server"),
        ({"sport": 6767}, ACK, "dhcp_drop_malformed"),
        ({"op": 1}, ACK, "dhcp_drop_malformed"),
        ({"cookie": b"bad!"}, ACK, "dhcp_drop_malformed"),
        ({}, REQUEST, "dhcp_drop_state"),
        ({}, 13, "dhcp_drop_state"),
        ({"options": usual(0)}, ACK, "dhcp_drop_unusable"),
        ({"options": usual(lease=None)}, ACK, "dhcp_drop_unusable"),
    ]
    for fields, kind, counter in cases:
        given = {"xid": request.xid, "options": usual()} | fields
        host.inject(reply(kind=kind, **given))
        assert host.dropped() == {counter: 1}, fields
        assert client.state == "REQUESTING" and client.sent() == []


def test_bound_client_takes_no_answer_that_it_did_not_ask_for(client: Client) -> None:
    request = client.bind()
    client.host.inject(reply(request.xid, ACK, usual(), "10.0.0.66"), reply(request.xid, NAK, [(54, four(SERVER))]))
    assert client.host.moved()["dhcp_drop_state"] == 2
    assert (client.state, client.address()) == ("BOUND", f"{OFFERED}/24")


def test_offer_that_cannot_be_used_leaves_the_client_looking(client: Client) -> None:
    discover = client.one()
    client.host.inject(reply(discover.xid, OFFER, usual(lease=None)))
    assert client.sent() == [] and client.state == "SELECTING"
    assert (client.status().offers, client.status().unusable) == (1, 1)
    client.host.inject(reply(discover.xid, OFFER, usual()))
    assert client.one().kind == REQUEST


def test_mtu_of_the_lease_is_what_connections_tell(client: Client) -> None:
    client.bind([*usual(), (26, b"\x05\x78")])
    client.host.learn(SERVER)
    sock = Socket(client.host, kind=1)
    assert sock.connect(SERVER, 80) == -errno.EINPROGRESS
    client.host.poll()
    assert client.host.ips()[0].payload[20:24] == b"\2\4" + struct.pack("!H", 1400 - 40)


def test_gateway_by_hand_goes_before_the_leases(client: Client) -> None:
    assert client.host.route("0.0.0.0", 0, "10.0.0.77") == 0
    client.bind()
    client.host.learn("10.0.0.77", OTHER_MAC)
    sock = Socket(client.host)
    assert sock.sendto(b"x", FAR, 9) == 1
    client.host.poll()
    assert client.host.take()[0][:6] == OTHER_MAC


def test_address_set_by_hand_outlives_a_lease_of_the_same(client: Client) -> None:
    assert client.lib.gd_stack_add_address(client.host.stack, client.host.index, mapped(OFFERED), 24) == 0
    client.bind()
    assert client.lib.gd_dhcp_stop(client.host.stack, client.host.index) == 0
    assert client.address() == f"{OFFERED}/24"


def test_port_68_is_a_sockets_where_no_client_runs(host: Host) -> None:
    sock = Socket(host)
    assert sock.bind("0.0.0.0", 68) == 0
    host.inject(reply(b"\1\2\3\4", ACK, usual()))
    assert len(sock.recvfrom()[0]) > 240  # type: ignore[index]
    assert "dhcp_in" not in host.counters()


def test_port_too_narrow_for_a_message_is_counted_and_tried_again(native: Any) -> None:
    narrow = Host(native, mtu=300)
    client = Client(narrow)
    assert client.sent() == [] and narrow.counters()["dhcp_drop_no_room"] == 1
    narrow.advance(6 * SECOND)
    assert narrow.counters()["dhcp_drop_no_room"] == 2
    narrow.close()


def test_start_and_stop_say_what_is_wrong(host: Host) -> None:
    client = Client(host)
    lib, stack, null = host.lib, host.stack, host.ffi.NULL
    assert lib.gd_dhcp_start(stack, host.index, null) == -errno.EALREADY
    assert lib.gd_dhcp_start(stack, 77, null) == -errno.ENODEV
    assert lib.gd_dhcp_start(stack, 1, null) == -errno.EOPNOTSUPP
    assert lib.gd_dhcp_stop(stack, 77) == lib.gd_dhcp_status(stack, 77, client.status()) == -errno.ENODEV
    client.bind()
    assert lib.gd_stack_detach(stack, host.index) == 0
    host.advance(3600 * SECOND)
