"""Serve the Flask app with gevent's server; with two more words, over TLS."""
import sys

from gevent.pywsgi import WSGIServer
from web import app

host, port, *files = sys.argv[1:]
tls = dict(zip(("certfile", "keyfile"), files, strict=False))
WSGIServer((host, int(port)), app, **tls).serve_forever()
