"""An ASGI app that knows nothing of greendpdk, nor of any framework; it echoes over WebSocket too."""
import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

BIG = hashlib.shake_256(b"big").digest(3_000_000)


async def app(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    await {"http": http, "websocket": websocket, "lifespan": lifespan}[scope["type"]](scope, receive, send)


async def http(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/octet-stream")]})
    if scope["path"] == "/":
        await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": f"hello {scope['client'][0]}".encode()})
    elif scope["path"] == "/echo":
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})
    else:
        step = len(BIG) if scope["path"] == "/big" else 50_000
        for start in range(0, len(BIG), step):
            await send({"type": "http.response.body", "body": BIG[start:start + step], "more_body": True})
        await send({"type": "http.response.body"})


async def websocket(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})


async def lifespan(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})
