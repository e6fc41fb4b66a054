"""Look at what went through the port: counters before and after a request.

    python examples/counters.py http://198.18.0.1:8000/
"""
import sys
from urllib.request import urlopen

import greendpdk
from greendpdk import monkey

monkey.patch_all()

before = greendpdk.counters()
with urlopen(sys.argv[1], timeout=10) as answer:
    print(answer.status, len(answer.read()), "bytes")
for name, value in greendpdk.counters().items():
    if value != before.get(name, 0):
        print(f"{name:30} {value - before.get(name, 0):+}")
