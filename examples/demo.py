"""Show that unmodified apps run over DPDK (`make demo`): Flask fetched from the kernel's side, then requests fetching
from the kernel's side; each with the port's counters and the kernel's own list of TCP sockets.
"""
import os
import subprocess
import sys

if "inside" not in sys.argv:  # a network namespace of our own: it ends with us, and the tap with it
    options = ["--net"] if os.geteuid() == 0 else ["--net", "--map-root-user"]
    sys.exit(subprocess.call(["unshare", *options, sys.executable, __file__, "inside"]))

os.environ["no_proxy"] = "*"

import greendpdk
from greendpdk import monkey

monkey.patch_all()

import requests  # noqa: E402 (after the patch)
from flask_app import app  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402
from urllib3.util import Retry  # noqa: E402

STACK, KERNEL, SIZE = "198.18.0.2", "198.18.0.1", 5_000_000
FETCH = "import sys, urllib.request as u; print(len(u.urlopen(sys.argv[1], timeout=20).read()), 'bytes fetched')"


def report(before: dict[str, int]) -> None:
    """Print what the port carried, and the kernel's TCP sockets; fail if the bytes went another way."""
    after = greendpdk.counters()
    print(f"  {'port counter':24}{'before':>12}{'after':>12}")
    for name in (f"net_tap0.{way}_{what}" for way in ("rx", "tx") for what in ("packets", "bytes")):
        print(f"  {name:24}{before[name]:>12,}{after[name]:>12,}")
    rows = subprocess.run(["ss", "-tanH"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = [row for row in rows if row.split()[3].startswith(f"{STACK}:")]
    print("  the kernel's TCP sockets (its own end of the connection):", *(rows or ["none"]), sep="\n    ")
    print(f"  of these at the stack's address {STACK}: {len(ours) or 'none'}\n")
    if ours or max(after[f"net_tap0.{way}_bytes"] - before[f"net_tap0.{way}_bytes"] for way in ("rx", "tx")) < SIZE:
        sys.exit("this did not go over DPDK")


print(f"DPDK's net_tap0: the stack is {STACK}, the kernel {KERNEL}\n\nFlask over DPDK, fetched by the kernel's side")
counters = greendpdk.counters()
WSGIServer((STACK, 8080), app, log=None).start()
subprocess.run([sys.executable, "-c", FETCH, f"http://{STACK}:8080/bytes/{SIZE}"], check=True)
report(counters)

print("requests over DPDK, fetching from Flask on the kernel's side")
counters = greendpdk.counters()
command = [sys.executable, os.path.join(os.path.dirname(__file__), "flask_app.py"), KERNEL, "8000"]
kernel_side = subprocess.Popen(command, stderr=subprocess.DEVNULL)
try:
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=Retry(connect=8, backoff_factor=0.1)))
    answer = session.get(f"http://{KERNEL}:8000/bytes/{SIZE}", timeout=10)
    print(len(answer.content), "bytes fetched")
    report(counters)  # the session has kept its connection: the kernel's end of it is in the list
finally:
    kernel_side.kill()
