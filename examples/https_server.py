"""Serve the current folder over HTTPS with the standard library. Run it over DPDK with

    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=demo -addext subjectAltName=IP:198.18.0.2 \\
        -out cert.pem -keyout key.pem
    python -m greendpdk examples/https_server.py 198.18.0.2 8443 cert.pem key.pem
"""
import ssl
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

host, port, certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
with ThreadingHTTPServer((host, int(port)), SimpleHTTPRequestHandler) as server:
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
