"""Fetch URLs with requests. It knows nothing of greendpdk; run it over DPDK with

    python -m greendpdk examples/fetch.py http://198.18.0.1:8000/
"""
import sys

import requests

with requests.Session() as session:
    for url in sys.argv[1:]:
        answer = session.get(url, timeout=10)
        print(url, answer.status_code, len(answer.content), "bytes")
