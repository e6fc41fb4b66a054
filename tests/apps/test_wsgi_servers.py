"""WSGI servers, unmodified, over net_tap: wsgi.py's app in each; the clients are Linux's curl, ab and wrk.

Uses App of running.py and the programs beside it.
"""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from netns import Namespace
from running import STACK, App, check_out, fetch_everything

pytestmark = [pytest.mark.needs("tap", "curl"), pytest.mark.slow]
PORT = "8080"
URL = f"http://{STACK}:{PORT}"


def check_server(net: Namespace, folder: Path, *words: str) -> None:
    app = App(net, folder, *words)
    app.wait_for(int(PORT))
    fetch_everything(app, folder)
    check_out(app.finish(), 3_000_000)


@pytest.mark.app("bottle", "curl", "small and large answers, streams, posts, keep-alive")
def test_bottle(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "serve_wsgi.py", "bottle", STACK, PORT)


@pytest.mark.app("cheroot", "curl", "small and large answers, streams, posts, keep-alive")
def test_cheroot(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "serve_wsgi.py", "cheroot", STACK, PORT)


@pytest.mark.app("waitress", "curl", "small and large answers, streams, posts, keep-alive")
def test_waitress(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "-m", "waitress", f"--listen={STACK}:{PORT}", "wsgi:app")


@pytest.mark.app("werkzeug", "curl", "small and large answers, streams, posts, keep-alive")
def test_werkzeug(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "serve_wsgi.py", "werkzeug", STACK, PORT)


@pytest.mark.app("wsgiref", "curl", "small and large answers, streams, posts, keep-alive")
def test_wsgiref(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "serve_wsgi.py", "wsgiref", STACK, PORT)


@pytest.mark.app("tornado", "curl", "its WSGI container: the same")
def test_tornado(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "serve_wsgi.py", "tornado", STACK, PORT)


@pytest.mark.app("django", "curl", "runserver --noreload: the same")
def test_django_runserver(net: Namespace, tmp_path: Path) -> None:
    check_server(net, tmp_path, "djangosite.py", "runserver", "--noreload", f"{STACK}:{PORT}")


@pytest.mark.app("gevent.pywsgi", "ab", "2,000 requests by 20 keep-alive connections, 500 by new ones")
def test_pywsgi_under_ab(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_wsgi.py", "pywsgi", STACK, PORT)
    app.wait_for(int(PORT))
    for words in (["-k", "-n", "2000"], ["-n", "500"]):
        report = app.net.run(["ab", "-q", "-c", "20", *words, f"{URL}/"]).stdout
        assert re.search(rf"Complete requests: +{words[-1]}\n", report), report
        assert re.search(r"Failed requests: +0\n", report), report
    check_out(app.finish(), 100_000)


@pytest.mark.app("gevent.pywsgi", "wrk", "large answers to 50 connections for a second")
def test_pywsgi_under_wrk(net: Namespace, tmp_path: Path) -> None:
    app = App(net, tmp_path, "serve_wsgi.py", "pywsgi", STACK, PORT)
    app.wait_for(int(PORT))
    report = app.net.run(["wrk", "-c", "50", "-t", "1", "-d", "1", "--timeout", "20", f"{URL}/big"]).stdout
    assert "Socket errors" not in report and "Non-2xx" not in report, report
    assert int(re.search(r"(\d+) requests in", report)[1]) > 0
    check_out(app.finish(), 3_000_000)
