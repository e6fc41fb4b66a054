"""Invariant: whatever servers and hosts say, and when: no address without a lease, and a client that goes on."""
from __future__ import annotations

from typing import Any

from dhcp_server import ACK, NAK, OFFER, OFFERED, SERVER, Client, claims, reply, usual
from frames import MS, NEVER, SECOND, Host, four
from hypothesis import given, settings
from hypothesis import strategies as st

OTHER_SERVER = "10.0.0.3"
words = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([10 * MS, 250 * MS, SECOND, 5 * SECOND, 70 * SECOND, 4000 * SECOND])),
    st.tuples(st.just("say"), st.sampled_from([OFFER, ACK, NAK]), st.sampled_from([OFFERED, "10.0.0.77", "0.0.0.0"]),
              st.sampled_from([SERVER, OTHER_SERVER]), st.sampled_from([0, 1, 2, 100, 2**32 - 1])),
    st.tuples(st.just("claim"), st.sampled_from([OFFERED, "10.0.0.77"])),
)  # fmt: skip


@settings(max_examples=150)
@given(script=st.lists(words, max_size=25))
def test_address_is_in_force_just_while_the_state_says_so(native: Any, script: list[Any]) -> None:
    host = Host(native)
    client = Client(host)
    xid = client.one().xid
    for word, *rest in script:
        if word == "wait":
            host.advance(rest[0])
        elif word == "claim":
            host.inject(claims(rest[0]))
        else:
            kind, address, server, seconds = rest
            host.inject(reply(xid, kind, usual(seconds, server=four(server)), address, src=server))
        xid = next((message.xid for message in reversed(client.sent())), xid)
        bound = client.address() is not None
        assert bound == (client.state in ("BOUND", "RENEWING", "REBINDING")) or (bound and client.state == "CHECKING")
        assert (host.stack.nroutes > 0) == bound
        forever = bound and client.status().seconds_left == 2**32 - 1
        assert forever or host.poll() < NEVER
    assert host.lib.gd_dhcp_stop(host.stack, host.index) == 0
    assert client.address() is None and host.stack.nroutes == 0
    host.close()
