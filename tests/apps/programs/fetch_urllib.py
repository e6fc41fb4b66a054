"""Fetch with urllib; print the digest."""
import hashlib
import json
import sys
from urllib.request import urlopen

with urlopen(f"{sys.argv[1]}/big", timeout=10) as answer:
    print(json.dumps([answer.status, hashlib.sha256(answer.read()).hexdigest()]))
