"""Invariant: silence answers a question only if there was one: an address is ours only after it was really asked for,
however long the port has no frame to ask by.
"""
from __future__ import annotations

from dhcp_server import ACK, CHECKED, OFFERED, Client, reply, usual
from frames import MS, SECOND, Host, mapped, no_frames
from frames6 import OUR_LINK, US6
from test_dad import MADE, TENTATIVE, by_target, questions, states


def test_ipv6_address_is_tentative_until_it_was_asked_for(host: Host) -> None:
    """RFC 4862 5.4"""
    with no_frames(host):
        assert host.lib.gd_stack_add_address(host.stack, host.index, mapped(US6), 64) == 0
        host.advance(3 * SECOND)
        assert states(host)[1:] == [TENTATIVE, TENTATIVE | MADE]
    host.advance(100 * MS)
    assert set(by_target(questions(host))) == {mapped(US6).hex(), mapped(OUR_LINK).hex()}
    assert states(host)[1:] == [TENTATIVE, TENTATIVE | MADE]
    host.advance(SECOND)
    assert states(host)[1:] == [0, MADE]


def test_lease_is_in_force_only_after_probes_that_were_sent(host: Host) -> None:
    """RFC 5227 2.1.1"""
    client = Client(host)
    request = client.offer()
    host.inject(reply(request.xid, ACK, usual()))
    with no_frames(host):
        host.advance(5 * SECOND)
        assert client.state == "CHECKING"
    host.advance(CHECKED)
    assert (client.state, client.address()) == ("BOUND", f"{OFFERED}/24")
