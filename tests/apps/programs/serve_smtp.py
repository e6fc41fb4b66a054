"""Serve SMTP with STARTTLS by aiosmtpd; keep what is sent in a folder: HOST PORT FOLDER CERT KEY."""
import asyncio
import ssl
import sys
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

host, port, folder, cert, key = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 who?"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        Path(folder, "mail").write_bytes(envelope.content)
        return "250 kept"


async def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), hostname="test", tls_context=context, require_starttls=True), host, int(port))
    await server.serve_forever()


asyncio.run(main())
