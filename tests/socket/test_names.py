"""getaddrinfo and its like over the stack, against a name server of the test's own on the stack's loopback."""
from __future__ import annotations

import _socket
import socket as standard
from types import SimpleNamespace

import dns.message
import dns.rcode
import pytest
from name_server import STREAM, addresses, code

from greendpdk import dns as ours
from greendpdk import socket

# ---- what is asked, and what comes of it ----


def test_one_call_asks_for_both_families_once(names):
    assert set(addresses("name.test")) == {"fd00::9", "127.0.0.9"}
    assert sorted(names.server.asked) == ["name.test A", "name.test AAAA"]
    assert names.server.edns == [True, True]
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]
    assert len(names.server.asked) == 2  # from the cache


def test_a_name_has_every_type_and_protocol_that_the_c_library_gives(names):
    like = _socket.getaddrinfo("127.0.0.9", "http", standard.AF_INET)
    found = socket.getaddrinfo("name.test", "http", standard.AF_INET)
    assert [tuple(map(int, one[:3])) for one in found] == [one[:3] for one in like]
    assert {one[4] for one in found} == {("127.0.0.9", 80)}
    assert socket.getaddrinfo("six.test", 443, 0, STREAM)[0][4] == ("fd00::6", 443, 0, 0)


def test_a_chain_of_aliases_is_followed(names):
    assert sorted(addresses("alias.test")) == ["127.0.0.4", "127.0.0.5"]
    named = socket.getaddrinfo("alias.test", 1, 0, STREAM, 0, standard.AI_CANONNAME)
    assert [one[3] for one in named] == ["four.test", ""]
    canonical, aliases, found = socket.gethostbyname_ex("alias.test")
    assert (canonical, aliases) == ("four.test", ["alias.test", "middle.test"])
    assert sorted(found) == ["127.0.0.4", "127.0.0.5"]
    assert socket.gethostbyname("alias.test") in found
    assert code(addresses, "loop.test")[1] == standard.EAI_AGAIN
    names.server.zone |= {("odd.test", "CNAME"): ["x!y.test."], ("x!y.test", "CNAME"): ["four.test."]}
    assert socket.gethostbyname_ex("odd.test")[:2] == ("four.test", ["odd.test"])  # no host has such a name


@pytest.mark.parametrize("host, family, expected", [
    ("none.test", 0, (standard.EAI_NONAME, "Name or service not known")),
    ("six.test", standard.AF_INET, (standard.EAI_NODATA, "No address associated with hostname")),
    (b"a..b.test", 0, (standard.EAI_NONAME, "Name or service not known")),
    (b"a" * 64, 0, (standard.EAI_NONAME, "Name or service not known")),
])
def test_errors_are_glibc_s(names, host, family, expected):
    assert code(addresses, host, family) == ("gaierror", *expected)


@pytest.mark.parametrize("rcode, expected", [
    (dns.rcode.SERVFAIL, (standard.EAI_AGAIN, "Temporary failure in name resolution")),
    (dns.rcode.REFUSED, (standard.EAI_AGAIN, "Temporary failure in name resolution")),
    (dns.rcode.FORMERR, (standard.EAI_FAIL, "Non-recoverable failure in name resolution")),
])
def test_what_a_server_cannot_do_is_an_error_of_its_own(names, rcode, expected):
    def trouble(query, reply, tcp):
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        return [reply]

    names.server.trouble = trouble
    assert code(addresses, "name.test") == ("gaierror", *expected)
    names.server.trouble = None
    assert addresses("name.test", standard.AF_INET) == ["127.0.0.9"]  # no failure is remembered


NUMERIC = [
    ("127.0.0.1", 80, 0, 0, 0, 0), ("127.1", "http", 0, STREAM, 0, standard.AI_CANONNAME),
    ("::1", 80, standard.AF_INET, 0, 0, 0), (None, 80, 0, STREAM, 0, standard.AI_PASSIVE), (None, None, 0, 0, 0, 0),
    (None, 80, 0, STREAM, 0, standard.AI_CANONNAME),
    ("name.test", 80, 99, 0, 0, 0), ("name.test", 80, 0, 99, 0, 0), ("name.test", 80, 0, 0, 0, 1 << 16),
    ("name.test", 80, 0, 0, 0, standard.AI_NUMERICHOST), ("127.0.0.1", "no-service", 0, 0, 0, 0),
    ("name.test", "http", 0, 0, 0, standard.AI_NUMERICSERV), ("name.test", "no-service", 0, 0, 0, 0),
    ("127.0.0.1", 80, standard.AF_INET6, STREAM, 0, standard.AI_V4MAPPED), ("fe80::1%lo", 80, 0, STREAM, 0, 0),
    ("a..b", 80, 0, 0, 0, 0), (5, 80, 0, 0, 0, 0), ("name.test", 1.5, 0, 0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("arguments", NUMERIC, ids=str)
def test_what_needs_no_question_is_the_c_library_s_answer(names, arguments):
    def outcome(call):
        try:
            return [tuple(one) for one in call(*arguments)]
        except (OSError, TypeError, UnicodeError) as error:
            return type(error), error.args

    assert outcome(socket.getaddrinfo) == outcome(_socket.getaddrinfo)
    assert names.server.asked == []


def test_v4mapped_and_all(names):
    six, mapped, every = standard.AF_INET6, standard.AI_V4MAPPED, standard.AI_ALL
    assert sorted(addresses("four.test", six, mapped)) == ["::ffff:127.0.0.4", "::ffff:127.0.0.5"]
    assert addresses("name.test", six, mapped) == ["fd00::9"]
    assert set(addresses("name.test", six, mapped | every)) == {"fd00::9", "::ffff:127.0.0.9"}


def test_addrconfig_asks_for_no_family_that_this_host_lacks(names, monkeypatch):
    monkeypatch.setattr(ours, "_kernel_has", lambda family, literal: family == standard.AF_INET)
    assert addresses("name.test", flags=standard.AI_ADDRCONFIG) == ["127.0.0.9"]
    assert names.server.asked == ["name.test A"]
    assert code(addresses, "name.test", standard.AF_INET6, standard.AI_ADDRCONFIG)[1] == standard.EAI_NONAME


def test_an_international_name_is_asked_for_in_idna(names):
    assert addresses("bücher.test") == ["127.0.0.88"]


@pytest.mark.parametrize("name", ["name.onion", "ONION", "www.name.invalid."])
def test_names_that_servers_shall_not_hear_of_do_not_exist(names, name):
    assert code(addresses, name) == ("gaierror", standard.EAI_NONAME, "Name or service not known")
    assert code(socket.gethostbyname_ex, name)[1] == standard.EAI_NONAME
    assert names.server.asked == []
    names.hosts.write_text(f"127.0.0.30 {name.rstrip('.')}\n")
    assert addresses(name, standard.AF_INET) == ["127.0.0.30"]


def test_localhost_is_no_server_s_business(names):
    names.hosts.write_text("")
    assert addresses("localhost", standard.AF_INET) == ["127.0.0.1"]
    assert addresses("www.localhost", standard.AF_INET) == ["127.0.0.1"]
    assert set(addresses("www.localhost.")) == {"127.0.0.1", "::1"}
    assert names.server.asked == []


# ---- hosts and resolv.conf ----


def test_the_hosts_file_comes_first_and_its_changes_are_seen(names):
    lines = "127.0.0.30 name.test other # text", "127.0.0.31 NAME.test", "::5 name.test", "nonsense name.test"
    names.hosts.write_text("\n".join(lines))
    assert set(addresses("name.test")) == {"127.0.0.30", "127.0.0.31", "::5"}
    assert socket.gethostbyname_ex("other") == ("name.test", ["other"], ["127.0.0.30"])
    assert socket.gethostbyaddr("127.0.0.30") == ("name.test", ["other"], ["127.0.0.30"])
    assert names.server.asked == []
    names.hosts.write_text("fe80::1%lo name.test\n")  # the C library knows no scopes there
    assert "127.0.0.9" in addresses("name.test")
    names.hosts.write_text("")
    assert "127.0.0.9" in addresses("name.test")
    names.hosts.unlink()
    assert "127.0.0.9" in addresses("name.test")


def test_search_domains_by_ndots(names):
    assert addresses("short", standard.AF_INET) == ["127.0.0.77"]
    assert names.server.asked == ["short.corp.test A"]
    names.server.asked.clear()
    assert code(addresses, "no.body", standard.AF_INET)[1] == standard.EAI_NONAME
    assert names.server.asked == ["no.body A", "no.body.corp.test A"]
    names.server.asked.clear()
    assert code(addresses, "short.", standard.AF_INET)[1] == standard.EAI_NONAME
    assert names.server.asked == ["short A"]
    names.resolv_conf.write_text("search other.test corp.test\noptions ndots:2 timeout:1\n")
    names.server.asked.clear()
    names.resolver._client.cache.clear()
    assert code(addresses, "no.body", standard.AF_INET)[1] == standard.EAI_NONAME
    assert names.server.asked == ["no.body.other.test A", "no.body.corp.test A", "no.body A"]


def test_no_tld_query_asks_for_no_name_of_one_label(names):
    names.resolv_conf.write_text("search corp.test\noptions no-tld-query timeout:1\n")
    assert code(addresses, "nobody", standard.AF_INET)[1] == standard.EAI_NONAME
    assert names.server.asked == ["nobody.corp.test A"]
    names.server.asked.clear()
    names.resolv_conf.write_text("options no-tld-query timeout:1 ndots:2\nsearch .\n")
    assert code(addresses, "nobody", standard.AF_INET)[1] == standard.EAI_NONAME
    assert code(addresses, "no.body", standard.AF_INET)[1] == standard.EAI_NONAME
    assert names.server.asked == ["nobody A", "no.body A"]


def test_options_of_resolv_conf(monkeypatch):
    monkeypatch.setenv("RES_OPTIONS", "attempts:9 nonsense:x")
    monkeypatch.setenv("LOCALDOMAIN", "")
    text = """
        ; comment
        nameserver 192.0.2.1
        nameserver fe80::1%eth0
        nameserver nonsense
        nameserver 192.0.2.3
        nameserver 192.0.2.4
        domain first.test
        search a.test b.test.
        options ndots:20 timeout:0 rotate use-vc single-request no-aaaa edns0
    """
    from greendpdk._dns_files import Config, parse_resolv_conf

    assert parse_resolv_conf(text) == Config(
        ("192.0.2.1", "fe80::1%eth0", "192.0.2.3"), ("a.test", "b.test"), ndots=15, timeout=1, attempts=5, rotate=True,
        tcp=True, one_by_one=True, no_aaaa=True)
    assert parse_resolv_conf("options single-request-reopen no-tld-query") == Config(
        search=parse_resolv_conf("").search, attempts=5, one_by_one=True, no_tld_query=True)
    monkeypatch.setenv("LOCALDOMAIN", "c.test d.test")
    assert parse_resolv_conf("search a.test").search == ("c.test", "d.test")
    assert parse_resolv_conf(f"options ndots:{'9' * 5000} timeout:٣").ndots == 15  # no number is too long


# ---- the other way round ----


def test_addresses_have_names(names):
    assert socket.gethostbyaddr("127.0.0.9") == ("name.test", [], ["127.0.0.9"])
    name, others, found = socket.gethostbyaddr("192.0.2.7")
    assert {name, *others} == {"host.test", "other.test"} and found == ["192.0.2.7"]
    assert socket.gethostbyaddr("::ffff:192.0.2.7")[0] == name  # from the cache, in the same order
    assert socket.getfqdn("192.0.2.7") == name
    assert socket.gethostbyaddr("::1") == ("localhost", [], ["::1"])
    assert code(socket.gethostbyaddr, "192.0.2.9") == ("herror", 1, "Unknown host")
    assert code(socket.gethostbyaddr, "<broadcast>") == ("herror", 1, "Unknown host")
    assert code(socket.gethostbyaddr, "none.test")[:2] == ("gaierror", standard.EAI_NONAME)
    assert code(socket.gethostbyaddr, "192.0.2.8") == ("herror", 3, "Unknown server error")  # a name with a line break


def test_getnameinfo(names):
    names.server.zone["7.2.0.192.in-addr.arpa", "PTR"] = ["host.test."]
    assert socket.getnameinfo(("192.0.2.7", 80), 0) == ("host.test", "http")
    assert socket.getnameinfo(("192.0.2.7", 80), standard.NI_NUMERICHOST) == ("192.0.2.7", "http")
    assert socket.getnameinfo(("192.0.2.7", 80), standard.NI_NUMERICSERV) == ("host.test", "80")
    assert socket.getnameinfo(("192.0.2.9", 9), standard.NI_NUMERICSERV) == ("192.0.2.9", "9")
    assert socket.getnameinfo(("fd00::9", 9, 0, 0), standard.NI_NUMERICSERV) == ("fd00::9", "9")
    assert code(socket.getnameinfo, ("192.0.2.9", 9), standard.NI_NAMEREQD)[1] == standard.EAI_NONAME
    assert code(socket.getnameinfo, ("name.test", 9), 0)[1] == standard.EAI_NONAME


def test_gethostbyname_of_what_is_none(names):
    for name in ("127.1", "", "<broadcast>", "localhost"):
        assert socket.gethostbyname(name) == _socket.gethostbyname(name)
    assert code(socket.gethostbyname, "::1")[1] == standard.EAI_ADDRFAMILY
    assert code(socket.gethostbyname_ex, "::1")[1] == standard.EAI_ADDRFAMILY
    assert code(socket.gethostbyname_ex, "<broadcast>") == ("herror", 1, "Unknown host")
    assert socket.gethostbyname_ex("127.1") == ("127.1", [], ["127.0.0.1"])
    with pytest.raises(TypeError):
        socket.gethostbyname(5)


# ---- names in addresses ----


def test_connect_bind_and_sendto_take_names(names):
    names.server.zone["lo.test", "A"] = ["127.0.0.1"]
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("lo.test", 0))
        listener.listen()
        client.connect(("lo.test", listener.getsockname()[1]))
        assert client.getpeername() == listener.getsockname()
        listener.accept()[0].close()
    with socket.socket(type=standard.SOCK_DGRAM) as a, socket.socket(type=standard.SOCK_DGRAM) as b:
        a.bind(("lo.test", 0))
        b.sendto(b"x", ("lo.test", a.getsockname()[1]))
        assert a.recv(9) == b"x"
    with socket.socket() as client, pytest.raises(standard.gaierror):
        client.connect(("none.test", 9))


def test_without_a_server_of_ours_the_system_resolves(names):
    names.use()
    asked = []
    names.resolver.system = SimpleNamespace(
        getaddrinfo=lambda *args: asked.append(args) or [(2, 1, 6, "", ("127.0.0.3", 80))],
        gethostbyname_ex=lambda *args: asked.append(args), gethostbyaddr=lambda *args: asked.append(args),
        getnameinfo=lambda *args: asked.append(args) or ("", ""), close=lambda: None)  # fmt: skip
    assert addresses("name.test") == ["127.0.0.3"]
    socket.gethostbyname_ex("name.test")
    socket.gethostbyaddr("127.0.0.3")
    socket.getnameinfo(("127.0.0.3", 80), 0)
    assert len(asked) == 4 and names.server.asked == []


def test_the_order_of_what_is_all_the_kernel_s_stays_the_c_library_s(names, monkeypatch):
    names.use()
    found = [(2, 1, 6, "", (f"192.0.2.{at}", 80)) for at in (9, 1)] + [(10, 1, 6, "", ("2001:db8::1", 80, 0, 0))]
    names.resolver.system = SimpleNamespace(getaddrinfo=lambda *args: list(found))
    assert addresses("name.test") == ["192.0.2.9", "192.0.2.1", "2001:db8::1"]
    found.append((2, 1, 6, "", ("127.0.0.3", 80)))  # the stack's, which has a source for it
    assert addresses("name.test")[0] == "127.0.0.3"
