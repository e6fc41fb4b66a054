"""A TLS server of plain sockets: tells a client what was agreed on, then echoes as many bytes as it asks for."""
import json
import socket
import ssl
import sys
import threading

host, port, cert, key = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
names: dict[ssl.SSLSocket, str | None] = {}
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
context.load_cert_chain(cert, key)
context.verify_mode = ssl.CERT_OPTIONAL
context.options |= ssl.OP_NO_RENEGOTIATION
context.set_alpn_protocols(["h2", "echo"])
context.sni_callback = lambda sock, name, _: names.__setitem__(sock, name)


def talk(sock: ssl.SSLSocket) -> None:
    facts = {"version": sock.version(), "reused": sock.session_reused, "client": bool(sock.getpeercert()),
             "alpn": sock.selected_alpn_protocol(), "name": names.pop(sock, None)}
    sock.sendall(json.dumps(facts).encode() + b"\n")
    with sock.makefile("rb") as reader:
        left = int(reader.readline())
        while left:
            data = reader.read1(min(left, 100_000))
            sock.sendall(data)
            left -= len(data)


def serve(plain: socket.socket) -> None:
    try:
        with context.wrap_socket(plain, server_side=True) as sock:
            talk(sock)
            sock.unwrap()
    except OSError as error:
        print(getattr(error, "reason", None) or repr(error), flush=True)


with socket.create_server((host, port)) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],)).start()
