"""Serve wsgi.py's app by the server that is named, at the address that is given."""
import sys
from collections.abc import Callable

from wsgi import app

server, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])


def bottle() -> None:
    from bottle import Bottle, request, response

    made = Bottle()

    @made.route("/<path:re:.*>", method=["GET", "POST"])
    def any_path(path: str) -> object:
        return app(request.environ, lambda status, headers: setattr(response, "status", status))

    made.run(host=host, port=port, quiet=True)


def cheroot() -> None:
    from cheroot.wsgi import Server

    made = Server((host, port), app, numthreads=4)
    try:
        made.start()
    except KeyboardInterrupt:
        made.stop()


def pywsgi() -> None:
    from gevent.pywsgi import WSGIServer

    WSGIServer((host, port), app, log=None).serve_forever()


def tornado() -> None:
    from tornado.httpserver import HTTPServer
    from tornado.ioloop import IOLoop
    from tornado.wsgi import WSGIContainer

    HTTPServer(WSGIContainer(app)).listen(port, host)
    IOLoop.current().start()


def werkzeug() -> None:
    from werkzeug.serving import run_simple

    run_simple(host, port, app, threaded=True)


def wsgiref() -> None:
    from wsgiref.simple_server import make_server

    make_server(host, port, app).serve_forever()


SERVERS: list[Callable[[], None]] = [bottle, cheroot, pywsgi, tornado, werkzeug, wsgiref]
next(each for each in SERVERS if each.__name__ == server)()
