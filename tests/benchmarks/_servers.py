# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The servers that frameworks.py measures.  Each answers GET /N with the file of user N.

usage: python tests/benchmarks/_servers.py FRAMEWORK WAY FOLDER USERS

WAY is bare (the framework alone: root reads the file), or a way to read it as the user.  The server prints its port.
"""

import asyncio
import functools
import os
import socket
import sys
from contextlib import nullcontext
from pathlib import Path

import replace

FRAMEWORK, WAY, FOLDER, USERS = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
THREADS = 16
IDLE = 600  # seconds: while one server is measured, the connections to the other one are idle
IDENTITIES = [replace.Identity(90001 + number, 90101 + number) for number in range(USERS)]


def read(number):
    return (FOLDER / str(number) / "file").read_bytes()


def as_client(app):
    """Add the middleware of this package to a WSGI application, unless the framework is measured alone."""
    if WAY == "bare":
        return app
    import replace.wsgi

    return replace.wsgi.AsClient(app, lambda environ: IDENTITIES[int(environ["PATH_INFO"][1:])])


def flask_app():
    import flask

    app = flask.Flask("files")

    @app.get("/<int:number>")
    def get(number):
        return read(number)

    return as_client(app)


def django_app():
    import django.conf
    import django.core.handlers.wsgi
    import django.http
    import django.urls

    middleware = ["django.middleware.common.CommonMiddleware"]  # adds Content-Length
    django.conf.settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", MIDDLEWARE=middleware)
    views = [django.urls.path("<int:number>", lambda request, number: django.http.HttpResponse(read(number)))]
    sys.modules["urls"] = type(sys)("urls")
    sys.modules["urls"].urlpatterns = views
    django.setup()
    return as_client(django.core.handlers.wsgi.WSGIHandler())


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
    pool = replace.IdentityExecutor(THREADS) if WAY == "run_as in a pool" else None
    if WAY == "bare":

        async def read_file(number):
            return await asyncio.to_thread(read, number)
    else:
        run_as = functools.partial(replace.run_as, executor=pool) if pool else replace.run_as

        async def read_file(number):
            return await run_as(IDENTITIES[number], read, number)

    @app.get("/{number}")
    async def get(number: int):
        return fastapi.Response(await read_file(number))

    # asyncio sets TCP_NODELAY only if the socket has this protocol number.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening, pool or nullcontext():
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
