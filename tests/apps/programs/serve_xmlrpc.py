"""Serve XML-RPC, on the sockets of whoever runs it."""
import sys
from xmlrpc.server import SimpleXMLRPCServer

with SimpleXMLRPCServer((sys.argv[1], int(sys.argv[2])), logRequests=False, use_builtin_types=True) as server:
    server.register_multicall_functions()
    server.register_function(pow)
    server.register_function(lambda data: data, "echo")
    server.serve_forever()
