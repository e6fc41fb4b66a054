"""Use a MySQL server: rows in and out, a transaction taken back, a large value, an error, several connections."""
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pymysql

BIG = bytes(range(256)) * 8000


def connect() -> Any:
    return pymysql.connect(host=sys.argv[1], port=int(sys.argv[2]), user="app", password="secret",
                           database="test", connect_timeout=10, read_timeout=20)


def slow(number: int) -> int:
    with connect() as each, each.cursor() as row:
        row.execute("SELECT SLEEP(0.1), %s", (number,))
        return row.fetchone()[1]


seen: dict[str, object] = {}
with connect() as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)")
    cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(number, b"x" * number) for number in range(500)])
    cursor.execute("INSERT INTO t VALUES (1000, %s)", (BIG,))
    connection.commit()
    cursor.execute("DELETE FROM t")
    connection.rollback()
    cursor.execute("SELECT COUNT(*), SUM(LENGTH(v)) FROM t WHERE id < 1000")
    seen["rows"] = [int(value) for value in cursor.fetchone()]
    cursor.execute("SELECT v FROM t WHERE id = 1000")
    seen["big"] = cursor.fetchone()[0] == BIG
    try:
        cursor.execute("SELECT * FROM nothing")
    except pymysql.err.ProgrammingError as error:
        seen["error"] = error.args[0]
with ThreadPoolExecutor(4) as threads:
    seen["threads"] = list(threads.map(slow, range(8)))
print(json.dumps(seen))
