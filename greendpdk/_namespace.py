"""A network namespace of this process's own: it ends with the process, and there is nothing to remove.

Called by pytest_plugin.py and cli/run.py, before anything is patched; calls the kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from errno import ENOSPC

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # <sched.h>
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1  # <linux/sockios.h>, <net/if.h>


def enter_namespace() -> list[str]:
    """Move this process to a new network namespace with lo up; without root, by way of a user namespace.

    Return nsenter(1)'s words for the way in from outside.
    """
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET if uid == 0 else CLONE_NEWNET | CLONE_NEWUSER):
        errno = ctypes.get_errno()
        why = "the limit user.max_user_namespaces is reached" if errno == ENOSPC else os.strerror(errno)
        raise OSError(errno, f"no network namespace to be had ({why}): run as root, or allow unprivileged user "
                             "namespaces")
    if uid:
        # root inside, as `ip` and DPDK ask for; the kernel wants setgroups denied first (user_namespaces(7))
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{file}", "w") as writer:
                writer.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack_from("16sH", request)[1]
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))
    way = ["nsenter", "--target", str(os.getpid())]
    return [*way, *(("--user", "--preserve-credentials") if uid else ()), "--net"]
