"""Clients of databases, caches, queues and directories over net_tap; the servers are the real ones, on the kernel.

Uses App and daemon of running.py and the programs beside it. Servers that refuse to run as root run as nobody, each in
a folder of its own, on ports of the test's namespace.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from netns import Namespace
from running import KERNEL, PROGRAMS, App, check_in, daemon

pytestmark = [pytest.mark.needs("tap"), pytest.mark.slow]
REDIS = ["redis-server", "--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""]


@pytest.mark.app("PyMySQL", "mariadbd", "rows, a rollback, a 2 MB value, an error, 4 threads")
def test_pymysql(net: Namespace, tmp_path: Path, mariadb: int) -> None:
    seen, counters = App(net, tmp_path, "use_pymysql.py", KERNEL, str(mariadb)).join()
    assert seen == {"rows": [500, sum(range(500))], "big": True, "error": 1146, "threads": list(range(8))}
    check_in(counters, 2_000_000)


@pytest.mark.app("pg8000", "postgres", "rows, COPY, a rollback, a 2 MB value, an error, LISTEN and NOTIFY")
def test_pg8000(net: Namespace, tmp_path: Path, postgresql: int) -> None:
    seen, counters = App(net, tmp_path, "use_pg8000.py", KERNEL, str(postgresql)).join()
    assert seen == {"rows": [5001, sum(range(10, 5010)) + 1], "big": True, "error": "42P01", "notified": ["extra"]}
    check_in(counters, 2_000_000)


@pytest.mark.app("asyncpg", "postgres", "a pool in asyncio: 12 queries at once, COPY, a rollback, a 2 MB value, LISTEN")
def test_asyncpg(net: Namespace, tmp_path: Path, postgresql: int) -> None:
    seen, counters = App(net, tmp_path, "use_asyncpg.py", KERNEL, str(postgresql)).join()
    assert seen == {"rows": 5001, "big": True, "sum": sum(range(12)), "notified": "extra"}
    check_in(counters, 2_000_000)


@pytest.mark.app("redis", "redis-server", "get, set, pipelines, BLPOP, pub/sub, 1 MiB values")
def test_redis(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, [*REDIS, "--dir", str(tmp_path)], 6379):
        seen, counters = App(net, tmp_path, "use_redis.py", KERNEL, "6379").join()
    assert seen == {"ping": True, "get": "value", "big": True, "pipeline": 499500, "blpop": "job",
                    "pubsub": "extra"}
    check_in(counters, 1 << 20)


@pytest.mark.app("celery", "redis-server", "a worker (`-P solo`), 50 tasks and their results through Redis")
def test_celery_worker(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, [*REDIS, "--dir", str(tmp_path)], 6379):
        there = f"redis://{KERNEL}:6379/0"
        app = App(net, tmp_path, "-m", "celery", "-A", "tasks", "-b", there, "--result-backend", there, "worker",
                  "-P", "solo", "--without-mingle", "--without-gossip")
        done = net.run([sys.executable, str(PROGRAMS / "tasks.py"), there.replace(KERNEL, "127.0.0.1")])
        assert json.loads(done.stdout) == sum(range(1, 51))
        counters = app.finish()
    check_in(counters, 5000)


@pytest.mark.app("pymemcache", "memcached", "get, set, 200 keys at once, compare and swap, a pool in 4 threads")
def test_pymemcache(net: Namespace, tmp_path: Path) -> None:
    with daemon(net, ["memcached", "-u", "nobody", "-p", "11211", "-l", "0.0.0.0", "-I", "2m"], 11211):
        seen, counters = App(net, tmp_path, "use_pymemcache.py", KERNEL, "11211").join()
    assert seen == {"get": "value", "many": sum(range(200)), "big": True, "cas": [True, False], "count": 102}
    check_in(counters, 1_000_000)


@pytest.mark.app("paho-mqtt", "mosquitto", "qualities 0 to 2, 512 kB messages, a retained one, a last will")
def test_paho_mqtt(net: Namespace, tmp_path: Path, folder: Path) -> None:
    (folder / "conf").write_text("listener 1883 0.0.0.0\nallow_anonymous true\nuser nobody\n")
    with daemon(net, ["mosquitto", "-c", str(folder / "conf")], 1883):
        seen, counters = App(net, tmp_path, "use_mqtt.py", KERNEL, "1883").join()
    assert seen == {"kept": "retained", "news": ["news/0", "news/1", "news/2"], "will": "gone"}
    check_in(counters, 1_500_000)


@pytest.mark.app("ldap3", "slapd", "binds, 300 entries, a paged search, a change")
def test_ldap3(net: Namespace, tmp_path: Path, folder: Path) -> None:
    (folder / "db").mkdir()
    (folder / "conf").write_text(
        "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f"pidfile {folder}/pid\ndatabase mdb\nsuffix dc=test\nrootdn cn=admin,dc=test\nrootpw secret\n"
        f"directory {folder}/db\ndbnosync\n")
    argv = ["slapd", "-f", str(folder / "conf"), "-h", "ldap://0.0.0.0:389", "-d", "0"]
    with daemon(net, argv, 389):
        seen, counters = App(net, tmp_path, "use_ldap3.py", KERNEL, "389").join()
    assert seen == {"stranger": False, "found": 300, "sn": "changed", "deleted": True}
    check_in(counters, 20_000)


@pytest.mark.app("dnspython", "dnsmasq", "questions by UDP and by TCP")
def test_dnspython(net: Namespace, tmp_path: Path) -> None:
    argv = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=5353", "--no-resolv", "--no-hosts",
            "--pid-file=", "--user=nobody", "--local=/test/", "--address=/www.test/192.0.2.7",
            "--txt-record=note.test,hello"]
    with daemon(net, argv, 5353):
        seen, counters = App(net, tmp_path, "use_dnspython.py", KERNEL, "5353").join()
    assert seen == {"udp": ["192.0.2.7"], "tcp": ["192.0.2.7"], "text": '"hello"', "none": "NXDOMAIN"}
    check_in(counters, 300)
