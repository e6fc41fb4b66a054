"""A client with requests, whose retries bridge a partition."""
import threading

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def test_requests_goes_on_after_a_partition(dpdk_peer, network):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    url = dpdk_peer.serve_wsgi(app)
    network.partition()
    healing = threading.Timer(0.1, network.heal)
    healing.start()
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(connect=10, backoff_factor=0)))
        assert session.get(url, timeout=0.05).text == "hello"
    healing.join()
