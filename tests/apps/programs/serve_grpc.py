"""A gRPC server with one method, without generated code: HOST PORT."""
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

handlers = {"Upper": grpc.unary_unary_rpc_method_handler(lambda request, context: request.upper())}
server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", handlers),))
server.add_insecure_port(f"{sys.argv[1]}:{sys.argv[2]}")
server.start()
server.wait_for_termination()
