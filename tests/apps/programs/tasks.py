"""Celery's app with one task; run as a program it calls the task and prints what comes back: URL."""
import json
import sys

import celery

app = celery.Celery("tasks")


@app.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


if __name__ == "__main__":
    app.conf.update(broker_url=sys.argv[1], result_backend=sys.argv[1])
    results = [add.delay(number, 1) for number in range(50)]
    print(json.dumps(sum(result.get(timeout=20) for result in results)))
