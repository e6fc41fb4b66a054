"""The application under test: reads numbered lines from a server, and loses none when the connection breaks."""
import socket
import time


def read_feed(address, count, patience=0.1):
    """Return `count` lines, from number 0 on.

    A connection that says nothing for `patience` seconds is given up for a new one, which goes on where that was.
    """
    lines = []
    while len(lines) < count:
        try:
            with socket.create_connection(address, timeout=patience) as sock, sock.makefile("r") as reader:
                sock.sendall(b"%d\n" % len(lines))
                for line in reader:
                    lines.append(line.rstrip())
                    if len(lines) == count:
                        break
        except OSError:  # time-outs are among them
            time.sleep(0.01)
    return lines
