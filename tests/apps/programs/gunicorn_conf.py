"""gunicorn's configuration for the tests: each worker writes the counters of its stack down when it ends."""
import json
import os
from pathlib import Path
from typing import Any


def worker_exit(server: Any, worker: Any) -> None:
    import greendpdk

    if greendpdk.running() is not None:
        Path(os.environ["COUNTERS"]).write_text(json.dumps(greendpdk.counters()))
