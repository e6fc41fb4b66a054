"""Call an XML-RPC server."""
import json
import random
import sys
import xmlrpc.client

big = random.Random(1).randbytes(256_000)
with xmlrpc.client.ServerProxy(sys.argv[1], use_builtin_types=True) as server:
    calls = xmlrpc.client.MultiCall(server)
    for number in range(30):
        calls.pow(2, number)
    seen = {"pow": sum(calls()), "echo": server.echo(big) == big}
    try:
        server.nothing()
    except xmlrpc.client.Fault as fault:
        seen["fault"] = fault.faultCode
print(json.dumps(seen))
