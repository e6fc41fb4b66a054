"""A socketserver that answers each line, or each datagram, with its upper case: KIND HOST PORT."""
import socketserver
import sys


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class Datagrams(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
Server = getattr(socketserver, kind)
Server.allow_reuse_address = Server.daemon_threads = True
Server.request_queue_size = 32
with Server((host, port), Datagrams if "UDP" in kind else Lines) as server:
    server.serve_forever()
