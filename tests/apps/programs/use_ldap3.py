"""Use an LDAP server: bind, add, search by pages, modify, delete, a wrong password."""
import json
import sys

from ldap3 import MODIFY_REPLACE, Connection, Server

server = Server(sys.argv[1], int(sys.argv[2]), connect_timeout=10, get_info="NO_INFO")
seen: dict[str, object] = {"stranger": Connection(server, "cn=admin,dc=test", "wrong").bind()}
with Connection(server, "cn=admin,dc=test", "secret", auto_bind=True, receive_timeout=10) as client:
    client.add("dc=test", ["dcObject", "organization"], {"o": "test"})
    for number in range(300):
        client.add(f"cn=p{number},dc=test", "person", {"sn": f"name {number}"})
    pages = client.extend.standard.paged_search("dc=test", "(objectClass=person)", attributes=["sn"], paged_size=50,
                                                generator=True)
    seen["found"] = len(list(pages))
    client.modify("cn=p7,dc=test", {"sn": [(MODIFY_REPLACE, ["changed"])]})
    client.search("dc=test", "(cn=p7)", attributes=["sn"])
    seen["sn"] = str(client.entries[0].sn)
    seen["deleted"] = client.delete("cn=p7,dc=test")
print(json.dumps(seen))
