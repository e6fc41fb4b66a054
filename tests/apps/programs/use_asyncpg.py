"""Use a PostgreSQL server in asyncio: a pool, a transaction taken back, COPY, a notification, a large value."""
import asyncio
import json
import sys

import asyncpg

BIG = bytes(range(256)) * 8000


async def main() -> dict[str, object]:
    seen: dict[str, object] = {}
    words = {"host": sys.argv[1], "port": int(sys.argv[2]), "user": "app", "password": "secret",
             "database": "postgres", "timeout": 10}
    async with asyncpg.create_pool(min_size=2, max_size=4, **words) as pool:
        await pool.execute("CREATE TABLE t (id int primary key, v bytea)")
        await pool.copy_records_to_table("t", records=[(number, None) for number in range(10, 5010)])
        await pool.execute("INSERT INTO t VALUES (1, $1)", BIG)
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("DELETE FROM t")
                raise LookupError
        except LookupError:
            seen["rows"] = await pool.fetchval("SELECT count(*) FROM t")
        seen["big"] = await pool.fetchval("SELECT v FROM t WHERE id = 1") == BIG
        answers = await asyncio.gather(*[pool.fetchval("SELECT $1::int FROM pg_sleep(0.02)", n) for n in range(12)])
        seen["sum"] = sum(answers)
        async with pool.acquire() as listener:
            told: asyncio.Queue[str] = asyncio.Queue()
            await listener.add_listener("news", lambda _, __, ___, payload: told.put_nowait(payload))
            await pool.execute("NOTIFY news, 'extra'")
            seen["notified"] = await asyncio.wait_for(told.get(), 10)
            await listener.reset()
    return seen


print(json.dumps(asyncio.run(main())))
