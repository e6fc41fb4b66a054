"""An aiohttp app with wsgi.py's paths, and an echo over WebSocket."""
import hashlib

from aiohttp import web

BIG = hashlib.shake_256(b"big").digest(3_000_000)


async def index(request: web.Request) -> web.Response:
    return web.Response(text=f"hello {request.remote}")


async def big(request: web.Request) -> web.Response:
    return web.Response(body=BIG)


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(BIG), 50_000):
        await response.write(BIG[start:start + 50_000])
    return response


async def echo(request: web.Request) -> web.Response:
    return web.Response(body=await request.read())


async def websocket(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(message.data.upper())
    return answer


def make(argv: list[str]) -> web.Application:
    app = web.Application(client_max_size=10_000_000)
    app.add_routes([web.get("/", index), web.get("/big", big), web.get("/stream", stream), web.post("/echo", echo),
                    web.get("/ws", websocket)])
    return app
