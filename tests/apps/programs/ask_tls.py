"""Ask `openssl s_server -www` twice, the second time with the first one's session; print what it says of each."""
import json
import re
import socket
import ssl
import sys

host, port, cafile, version, *own = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
if own:
    context.load_cert_chain(*own)
session = None
seen = []
for _ in range(2):
    with socket.create_connection((host, int(port)), 10) as plain, \
            context.wrap_socket(plain, server_hostname=host, session=session) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        page = b""
        while part := sock.recv(4096):
            page += part
        session = sock.session
        text = page.decode()
        seen.append({"version": sock.version(), "reused": sock.session_reused,
                     "server": re.findall(r"^(New|Reused), ", text, re.MULTILINE),
                     "client": "no client certificate available" not in text})
print(json.dumps(seen))
