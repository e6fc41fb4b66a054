"""A threading socketserver that answers each line with its upper case."""
import socketserver
import sys


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 32


with Server((sys.argv[1], int(sys.argv[2])), Handler) as server:
    server.serve_forever()
