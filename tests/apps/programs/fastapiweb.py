"""A FastAPI app with a path, a query, a body and a dependency that runs in a thread."""
import hashlib
from typing import Annotated

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    number: int
    name: str


def where() -> str:
    return "in a thread"


@app.get("/items/{number}")
async def item(number: int, name: str) -> Item:
    return Item(number=number, name=name)


@app.post("/items")
def add(item: Item, place: Annotated[str, Depends(where)]) -> str:
    return f"{item.name} {place}"


@app.get("/big")
async def big() -> Response:
    return Response(hashlib.shake_256(b"big").digest(3_000_000))
