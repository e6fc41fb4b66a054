"""Show that unmodified apps run over DPDK (`make demo`): the same as the command `greendpdk demo`.

Flask over DPDK is fetched from the kernel's side, then requests fetches from the kernel's side; each with the port's
counters and the kernel's own list of TCP sockets.
"""
from greendpdk.cli.demo import main

if __name__ == "__main__":
    raise SystemExit(main([]))
