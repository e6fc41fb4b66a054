"""Ask a name server by UDP and by TCP."""
import json
import sys

import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port, resolver.lifetime = [sys.argv[1]], int(sys.argv[2]), 10
seen: dict[str, object] = {}
for way in ("udp", "tcp"):
    answer = resolver.resolve("www.test", "A", tcp=way == "tcp")
    seen[way] = [entry.to_text() for entry in answer]
seen["text"] = resolver.resolve("note.test", "TXT")[0].to_text()
try:
    resolver.resolve("none.test", "A")
except dns.resolver.NXDOMAIN:
    seen["none"] = "NXDOMAIN"
print(json.dumps(seen))
