"""sendfile: os.sendfile by fd as asyncio calls it, socket.sendfile by object; on the kernel's sockets and ours.

Calls greendpdk.monkey._os for os.sendfile, as after the patch.
"""
from __future__ import annotations

import errno
import io
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from greendpdk.monkey._os import sendfile

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def file() -> Iterator[Any]:
    with tempfile.TemporaryFile() as made:
        made.write(CONTENT)
        made.flush()
        made.seek(100)
        yield made


def test_os_sendfile_sends_from_an_offset_and_leaves_the_position(pair, file):
    client, server = pair
    assert sendfile(client.fileno(), file.fileno(), 3, 500) == 500
    assert server.recv(1000) == CONTENT[3:503]
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 100


def test_os_sendfile_without_an_offset_moves_the_position(pair, file):
    client, server = pair
    assert sendfile(client.fileno(), file.fileno(), None, 500) == 500
    assert server.recv(1000) == CONTENT[100:600]
    assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 600


def test_os_sendfile_says_zero_at_the_end(pair, file):
    client, server = pair
    assert sendfile(client.fileno(), file.fileno(), len(CONTENT) - 10, 500) == 10
    assert sendfile(client.fileno(), file.fileno(), len(CONTENT), 500) == 0


def test_os_sendfile_of_a_negative_count_is_invalid(pair, file):
    with pytest.raises(OSError) as caught:
        sendfile(pair[0].fileno(), file.fileno(), 0, -1)
    assert caught.value.errno == errno.EINVAL


def test_os_sendfile_into_a_full_buffer_would_block(pair):
    client, server = pair
    with tempfile.TemporaryFile() as big:
        big.truncate(1 << 28)
        with pytest.raises(BlockingIOError):
            while True:
                assert sendfile(client.fileno(), big.fileno(), 0, 1 << 28) > 0


def test_os_sendfile_from_a_pipe_is_not_possible(pair):
    client, server = pair
    out, into = os.pipe()
    try:
        os.write(into, b"abc")
        for offset, number in ((0, errno.ESPIPE), (None, errno.EINVAL)):
            with pytest.raises(OSError) as caught:
                sendfile(client.fileno(), out, offset, 3)
            assert caught.value.errno == number
    finally:
        os.close(out)
        os.close(into)


def test_sendfile_waits_for_room(pair):
    client, server = pair
    with tempfile.TemporaryFile() as big:
        big.write(b"x" * (1 << 24))
        sender = gevent.spawn(client.sendfile, big, 5)
        left = (1 << 24) - 5
        while left:
            left -= len(server.recv(1 << 20))
        assert sender.get() == (1 << 24) - 5
        assert big.tell() == 1 << 24


def test_sendfile_reads_what_is_no_file(pair):
    client, server = pair
    assert client.sendfile(io.BytesIO(b"0123456789"), 2, 5) == 5
    assert server.recv(100) == b"23456"
