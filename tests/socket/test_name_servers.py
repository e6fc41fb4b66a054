"""Name servers that are dead, old, short of room or false; and for how long their answers are kept."""
from __future__ import annotations

import socket as standard
import time
from types import SimpleNamespace

import dns.message
import dns.rcode
import dns.rrset
import gevent
import pytest
from name_server import ZONE, A, NameServer, addresses, code

from greendpdk import socket

# ---- servers ----


def test_a_dead_server_costs_only_who_asks(names):
    names.use("127.0.0.54", "127.0.0.53")
    with socket.socket(type=standard.SOCK_DGRAM) as deaf:  # hears, and says nothing
        deaf.bind(("127.0.0.54", 53))
        ticks = []

        def tick():
            while True:
                ticks.append(time.monotonic())
                gevent.sleep(0.01)

        ticking = gevent.spawn(tick)
        begin = time.monotonic()
        assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
        assert time.monotonic() - begin > 0.9  # the timeout of the first server
        ticking.kill()
    assert len(ticks) > 30


def test_a_server_that_refuses_by_icmp_costs_no_time(names):
    names.use("127.0.0.55", "127.0.0.53")
    begin = time.monotonic()
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
    assert time.monotonic() - begin < 0.9


def test_no_server_answers(names):
    names.use("127.0.0.55")
    assert code(addresses, "name.test") == ("gaierror", standard.EAI_AGAIN, "Temporary failure in name resolution")
    assert code(socket.gethostbyaddr, "192.0.2.7") == ("herror", 2, "Host name lookup failure")
    assert code(socket.getnameinfo, ("192.0.2.7", 80), 0)[:2] == ("gaierror", standard.EAI_AGAIN)


def test_rotate_begins_with_another_server_each_time(names):
    names.resolv_conf.write_text("options rotate timeout:1\n")
    names.use("127.0.0.53", "127.0.0.54")
    with NameServer(socket, "127.0.0.54", dict(ZONE)) as second:
        for name in ("name.test", "four.test", "alias.test", "short.corp.test"):
            addresses(name, standard.AF_INET)
        assert len(names.server.asked) == len(second.asked) == 2


def test_a_truncated_answer_is_asked_for_over_tcp(names):
    assert len(addresses("big.test")) == 300
    assert names.server.asked == ["big.test AAAA", "big.test A", "big.test A tcp"]


def test_tcp_after_a_truncated_answer_has_a_time_of_its_own(names, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("greendpdk._dns_query.time", SimpleNamespace(monotonic=lambda: now[0]))

    def trouble(query, reply, tcp):
        now[0] += 0.9  # of the second that a try has
        return [reply]

    names.server.trouble = trouble
    assert len(addresses("big.test", standard.AF_INET)) == 300
    assert names.server.asked == ["big.test A", "big.test A tcp"]


def test_use_vc_asks_over_tcp_at_once(names):
    names.resolv_conf.write_text("options use-vc timeout:1\n")
    assert sorted(addresses("four.test", standard.AF_INET)) == ["127.0.0.4", "127.0.0.5"]
    assert names.server.asked == ["four.test A tcp"]


@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
def test_a_server_without_edns_is_asked_without(names, rcode):
    def trouble(query, reply, tcp):
        if query.edns >= 0:
            reply = dns.message.make_response(dns.message.make_query(query.question[0].name, "A", id=query.id))
            reply.set_rcode(rcode)
        return [reply]

    names.server.trouble = trouble
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
    assert names.server.edns == [True, False]


def test_what_is_not_the_answer_is_ignored(names):
    def trouble(query, reply, tcp):
        def forged(**change):
            name = change.get("name", query.question[0].name)
            other = dns.message.make_query(name, "A", id=change.get("id", query.id))
            false = dns.message.make_response(other)
            false.answer.append(dns.rrset.from_text(other.question[0].name, 60, "IN", "A", "6.6.6.6"))
            return false

        question = dns.message.make_query(query.question[0].name, "A", id=query.id)
        return [forged(id=query.id ^ 1), forged(name="other.test."), question, b"", b"\0" * 5, b"\xff" * 600, reply]

    names.server.trouble = trouble
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]


def test_who_guesses_ids_is_asked_no_longer_by_udp(names):
    def trouble(query, reply, tcp):
        if tcp:
            return [reply]
        forged = dns.message.make_response(query)
        forged.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "6.6.6.6"))
        wire = forged.to_wire()
        return [(query.id + guess + 1 & 0xFFFF).to_bytes(2, "big") + wire[2:] for guess in range(100)] + [forged]

    names.server.trouble = trouble
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
    assert names.server.asked == ["name.test A", "name.test A tcp"]


def test_an_answer_from_elsewhere_is_not_heard(names):
    def trouble(query, reply, tcp):
        false = dns.message.make_response(query)
        false.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "6.6.6.6"))
        with socket.socket(type=standard.SOCK_DGRAM) as other:
            other.bind(("127.0.0.66", 53))
            other.sendto(false.to_wire(), ("127.0.0.1", names.server.ports[-1]))
        gevent.sleep(0.01)
        return [reply]

    names.server.trouble = trouble
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]


def test_ports_and_ids_are_random(names):
    for at in range(20):
        code(addresses, f"n{at}.test", standard.AF_INET)
    assert len(set(names.server.ports)) > 15 and len(set(names.server.ids)) > 15
    steps = {b - a for a, b in zip(names.server.ports, names.server.ports[1:], strict=False)}
    assert len(steps) > 15


# ---- several who ask ----


def test_greenlets_that_ask_for_the_same_at_once_ask_once(names):
    asking = [gevent.spawn(addresses, name) for name in ("name.test", "NAME.test") * 50]
    gevent.joinall(asking, raise_error=True)
    assert {tuple(one.value) for one in asking} == {tuple(asking[0].value)}
    assert sorted(names.server.asked) == ["name.test A", "name.test AAAA"]


def test_who_waits_for_another_s_answer_asks_if_that_one_goes_away(names):
    names.server.trouble = lambda query, reply, tcp: []
    first = gevent.spawn(addresses, "name.test", standard.AF_INET)
    gevent.sleep(0.01)
    second = gevent.spawn(addresses, "name.test", standard.AF_INET)
    gevent.sleep(0.01)
    assert len(names.server.asked) == 1
    names.server.trouble = None
    first.kill()
    assert second.get() == ["127.0.0.9"]
    assert len(names.server.asked) == 2


# ---- the cache ----


def test_several_addresses_take_turns(names):
    found = [tuple(addresses("four.test", standard.AF_INET)) for _ in range(4)]
    assert found[0] == found[2] == found[1][::-1] == found[3][::-1]
    assert len(names.server.asked) == 1


@pytest.mark.parametrize("options", ["", " single-request"])
def test_a_type_that_nobody_answers_costs_its_wait_once(names, monkeypatch, options):
    names.resolv_conf.write_text(f"options timeout:1 attempts:1{options}\n")
    names.server.trouble = lambda query, reply, tcp: [reply] if query.question[0].rdtype == 1 else []
    begin = time.monotonic()
    for _ in range(3):
        assert addresses("name.test") == ["127.0.0.9"]
    assert time.monotonic() - begin < 1.9
    assert sorted(names.server.asked) == ["name.test A", "name.test AAAA"]
    now = [time.monotonic() + 31]
    monkeypatch.setattr("greendpdk._dns_query.time", SimpleNamespace(monotonic=lambda: now[0]))
    names.server.trouble = None
    assert set(addresses("name.test")) == {"127.0.0.9", "fd00::9"}


def test_answers_are_kept_for_their_ttl(names, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("greendpdk._dns_query.time", SimpleNamespace(monotonic=lambda: now[0]))
    addresses("four.test", standard.AF_INET)
    now[0] += 59
    addresses("FOUR.test", standard.AF_INET)
    assert len(names.server.asked) == 1
    now[0] += 2
    addresses("four.test", standard.AF_INET)
    assert len(names.server.asked) == 2


def test_that_there_is_none_is_kept_as_the_soa_says(names, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("greendpdk._dns_query.time", SimpleNamespace(monotonic=lambda: now[0]))
    names.server.ttl = 7
    for _ in range(2):
        code(addresses, "none.test.", standard.AF_INET)
        code(addresses, "six.test.", standard.AF_INET)
    assert len(names.server.asked) == 2
    now[0] += 8
    code(addresses, "none.test.", standard.AF_INET)
    assert len(names.server.asked) == 3
    names.server.soa = False  # RFC 2308 5
    for _ in range(2):
        code(addresses, "other.test.", standard.AF_INET)
    assert len(names.server.asked) == 5


def test_the_cache_has_a_bound():
    from greendpdk._dns_query import Answer, Cache

    cache = Cache(3)
    for at in range(5):
        cache.put(f"n{at}", 1, Answer(0, "", (), (str(at),)), 60)
        cache.get("n0", 1)
    assert len(cache) == 3 and cache.get("n0", 1) is not None and cache.get("n1", 1) is None
    cache.put("long", 1, Answer(0, "", (), ("192.0.2.1",) * 4000), 60)
    assert cache.get("long", 1) is None
    cache.put("n9", 1, Answer(), 0)
    assert cache.get("n9", 1) is None


def test_other_servers_begin_with_an_empty_cache(names):
    addresses("four.test", standard.AF_INET)
    with NameServer(socket, "127.0.0.54", {("four.test", A): ["127.0.0.44"]}):
        names.use("127.0.0.54")
        assert addresses("four.test", standard.AF_INET) == ["127.0.0.44"]


# ---- interrupts ----


def test_a_timeout_or_a_kill_in_the_middle_leaves_it_usable(names):
    names.server.trouble = lambda query, reply, tcp: []
    before = set(names.stack.sockets)
    with gevent.Timeout(0.05, False):
        addresses("name.test")
        raise AssertionError("answered")
    gevent.sleep(0)
    asking = gevent.spawn(addresses, "name.test")
    gevent.sleep(0.02)
    asking.kill()
    names.server.trouble = None
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
    assert set(names.stack.sockets) == before
