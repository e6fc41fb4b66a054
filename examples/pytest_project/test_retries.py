"""A retry policy, proven against a network that loses a fifth of all packets.

    pytest --dpdk=memory examples/pytest_project    (or --dpdk)

The peer is a second stack; the network between the two is the test's to spoil. Each run loses the same packets.
"""
import socket

import pytest
from prices import NoAnswer, ask_price

ARTICLES = [f"article {number}" for number in range(50)]


@pytest.fixture
def shop(dpdk_peer):
    """A server of prices at the other side."""
    def serve(make_socket):
        with make_socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((dpdk_peer.address, 0))
            address.append(sock.getsockname())
            while True:
                question, asker = sock.recvfrom(100)
                sock.sendto(b"%d" % len(question), asker)

    address = []
    task = dpdk_peer.run(serve)
    while not address:
        task.greenlet.join(0.001)
    yield address[0]
    task.greenlet.kill()


@pytest.mark.network(loss="20%", seed=7)
def test_six_questions_are_enough_for_a_fifth_of_loss(shop, network):
    assert [ask_price(shop, article) for article in ARTICLES] == [len(article) for article in ARTICLES]
    assert network.counts().lost > 10  # it was not luck


@pytest.mark.network(loss="20%", seed=7)
def test_one_question_is_not(shop):
    with pytest.raises(NoAnswer):
        for article in ARTICLES:
            ask_price(shop, article, tries=1)


@pytest.mark.network(delay="15ms", jitter="4ms")
def test_an_answer_that_is_late_is_waited_for(shop):
    assert ask_price(shop, "milk", tries=1, wait=0.5) == 4


@pytest.mark.network(duplicate=1.0)
def test_an_answer_that_comes_twice_harms_nobody(shop):
    assert ask_price(shop, "milk") == 4 and ask_price(shop, "bread") == 5
