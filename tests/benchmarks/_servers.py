# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The servers that frameworks.py measures.  Each answers GET /WAY/N with the file of user N.

usage: python tests/benchmarks/_servers.py FRAMEWORK FOLDER USERS

WAY is bare (the framework alone: root reads the file), or a way to read it as the user.  One process serves all
ways, so the scheduler treats them alike.  The server prints its port.
"""

import asyncio
import os
import socket
import sys
from pathlib import Path

import replace
import replace.wsgi

FRAMEWORK, FOLDER, USERS = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
THREADS = 16
IDLE = 600  # seconds: while one way is measured, the connections for the others are idle
IDENTITIES = [replace.Identity(90001 + number, 90101 + number) for number in range(USERS)]


def read(number):
    return (FOLDER / str(number) / "file").read_bytes()


def two_ways(app):
    """Return the WSGI application that calls `app` alone, or with the middleware of this package."""

    def identify(environ):
        return IDENTITIES[int(environ["PATH_INFO"].rpartition("/")[2])]

    ways = {"bare": app, "AsClient": replace.wsgi.AsClient(app, identify)}
    return lambda environ, start_response: ways[environ["PATH_INFO"].split("/")[1]](environ, start_response)


def flask_app():
    import flask

    app = flask.Flask("files")

    @app.get("/<way>/<int:number>")
    def get(way, number):
        return read(number)

    return two_ways(app)


def django_app():
    import django.conf
    import django.core.handlers.wsgi
    import django.http
    import django.urls

    middleware = ["django.middleware.common.CommonMiddleware"]  # adds Content-Length
    django.conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", MIDDLEWARE=middleware)

    def get(request, way, number):
        return django.http.HttpResponse(read(number))

    sys.modules["urls"] = type(sys)("urls")
    sys.modules["urls"].urlpatterns = [django.urls.path("<way>/<int:number>", get)]
    django.setup()
    return two_ways(django.core.handlers.wsgi.WSGIHandler())


def serve_with_cheroot(app):
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", 0), app, numthreads=THREADS, timeout=IDLE)
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()


def serve_with_gunicorn(app):
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"127.0.0.1:{port}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", THREADS)
            self.cfg.set("keepalive", IDLE)
            self.cfg.set("loglevel", "error")
            self.cfg.set("when_ready", lambda server: print(port, flush=True))

        def load(self):
            return app

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sys.argv[1:] = []
    Application().run()


def serve_fastapi():
    import fastapi
    import uvicorn

    app = fastapi.FastAPI()

    @app.get("/bare/{number}")
    async def bare(number: int):
        return fastapi.Response(await asyncio.to_thread(read, number))

    @app.get("/run_as/{number}")
    async def run_as(number: int):
        return fastapi.Response(await replace.run_as(IDENTITIES[number], read, number))

    @app.get("/run_as-in-a-pool/{number}")
    async def in_pool(number: int):
        return fastapi.Response(await replace.run_as(IDENTITIES[number], read, number, executor=pool))

    # asyncio sets TCP_NODELAY only if the socket has this protocol number.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with listening, replace.IdentityExecutor(THREADS) as pool:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        print(listening.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_keep_alive=IDLE)).run([listening])


if __name__ == "__main__":
    os.umask(0o022)
    if FRAMEWORK == "FastAPI, uvicorn":
        serve_fastapi()
    else:
        make, serve = FRAMEWORK.split(", ")
        app = {"Flask": flask_app, "Django": django_app}[make]()
        {"cheroot": serve_with_cheroot, "gunicorn": serve_with_gunicorn}[serve](app)
