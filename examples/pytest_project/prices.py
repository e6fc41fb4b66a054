"""The application under test: asks a price by UDP and, as packets get lost, asks again."""
import socket


class NoAnswer(Exception):
    """Nobody has said a price, however often it was asked for."""


def ask_price(address, article, tries=6, wait=0.02):
    """Return the price; NoAnswer after so many questions, each of which waits so many seconds for its answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait)
        sock.connect(address)
        for _ in range(tries):
            sock.send(article.encode())
            try:
                return int(sock.recv(100))
            except TimeoutError:
                pass
    raise NoAnswer(f"{article}: {tries} questions, no answer")
