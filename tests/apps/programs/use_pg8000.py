"""Use a PostgreSQL server: rows in and out, a transaction taken back, COPY, a notification, an error."""
import io
import json
import sys

import pg8000.dbapi
import pg8000.native

words = {"host": sys.argv[1], "port": int(sys.argv[2]), "user": "app", "password": "secret", "database": "postgres"}
seen: dict[str, object] = {}
BIG = bytes(range(256)) * 8000

connection = pg8000.dbapi.connect(timeout=20, **words)
cursor = connection.cursor()
cursor.execute("CREATE TABLE t (id int primary key, v bytea)")
cursor.execute("INSERT INTO t VALUES (1, %s)", (BIG,))
cursor.execute("COPY t (id) FROM STDIN", stream=io.StringIO("".join(f"{number}\n" for number in range(10, 5010))))
connection.commit()
cursor.execute("DELETE FROM t")
connection.rollback()
cursor.execute("SELECT count(*), sum(id) FROM t")
seen["rows"] = [int(value) for value in cursor.fetchone()]
cursor.execute("SELECT v FROM t WHERE id = 1")
seen["big"] = cursor.fetchone()[0] == BIG
try:
    cursor.execute("SELECT * FROM nothing")
except pg8000.dbapi.DatabaseError as error:
    seen["error"] = error.args[0]["C"]
connection.close()

with pg8000.native.Connection(**words) as listener, pg8000.native.Connection(**words) as speaker:
    listener.run("LISTEN news")
    speaker.run("NOTIFY news, 'extra'")
    listener.run("SELECT 1")
    seen["notified"] = [payload for _, _, payload in listener.notifications]
print(json.dumps(seen))
