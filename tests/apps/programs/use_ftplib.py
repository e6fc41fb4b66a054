"""Move files by FTP: passive and active, up and down, a listing, an abort."""
import ftplib
import io
import json
import sys

BIG = bytes(range(256)) * 8000
seen: dict[str, object] = {}
with ftplib.FTP(timeout=10) as client:
    client.connect(sys.argv[1], int(sys.argv[2]))
    client.login("user", "secret")
    for name, passive in (("passive", True), ("active", False)):
        client.set_pasv(passive)
        client.storbinary(f"STOR {name}", io.BytesIO(BIG))
        back = io.BytesIO()
        client.retrbinary(f"RETR {name}", back.write)
        seen[name] = back.getvalue() == BIG
    seen["listed"] = sorted(client.nlst())
    client.voidcmd("TYPE I")
    seen["size"] = client.size("active")
    try:
        client.retrbinary("RETR nothing", print)
    except ftplib.error_perm as error:
        seen["missing"] = str(error)[:3]
print(json.dumps(seen))
