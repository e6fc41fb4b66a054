"""Send mail: a large one after STARTTLS, and a recipient that is refused."""
import json
import smtplib
import ssl
import sys
from email.message import EmailMessage

host, port, cafile = sys.argv[1:]
message = EmailMessage()
message["From"], message["To"], message["Subject"] = "me@test", "you@test", "large"
message.set_content("hello")
message.add_attachment(bytes(range(256)) * 4000, maintype="application", subtype="octet-stream")
seen: dict[str, object] = {}
with smtplib.SMTP(host, int(port), timeout=10) as client:
    client.starttls(context=ssl.create_default_context(cafile=cafile))
    seen["tls"] = client.sock.version()
    seen["refused"] = client.send_message(message, to_addrs=["you@test", "nobody@test"])["nobody@test"][0]
    seen["noop"] = client.noop()[0]
print(json.dumps(seen))
