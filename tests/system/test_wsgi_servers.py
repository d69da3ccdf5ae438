# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Flask and Django under real WSGI servers, by the commands of docs/wsgi.md. Sixteen users use each at once."""

import base64
import contextlib
import gc
import logging
import os
import re
import socket
import traceback
from pathlib import Path

import pytest
from support.adapters import Web, receive_all
from support.builds import ROOT, needs_package
from support.children import ALICE, HANG, as_root, wait_until
from support.servers import (
    IDS,
    command,
    open_files,
    owner,
    serve_all_users,
    server,
    users_file,
    wait_until_clean,
    wait_until_open,
)

import replace
import replace.wsgi

LISTENS = r"Listening at: http://127\.0\.0\.1:(\d+) "
DJANGO = ROOT / "tests" / "projects" / "django_files"
PAGE = (ROOT / "docs" / "wsgi.md").read_text()


@contextlib.contextmanager
def flask_under_cheroot(world, users=None):
    needs_package("flask", "cheroot")
    users = users or users_file(world)
    words = command("flask_server.py", {"8080": 0, "flask-users.txt": users, "/srv/flask": world})
    with server(world, words) as started:
        yield started


@contextlib.contextmanager
def under_gunicorn(world, call, **changed):
    """Start gunicorn by the page's command for Flask, with another application. Yield the worker's pid and the port."""
    needs_package("flask", "gunicorn")
    page = "flask_server:create_app('flask-users.txt', '/srv/flask')"
    call = f"{call}({str(users_file(world))!r}, {str(world)!r})"
    words = command("gunicorn", {page: call, "127.0.0.1:8080": "127.0.0.1:0", **changed}, "")
    env = {"HOME": str(world), "PYTHONPATH": str(DJANGO)}
    with server(world, words, env=env, ready=LISTENS) as (master, port):
        children = Path(f"/proc/{master}/task/{master}/children")
        wait_until(children.read_text, "gunicorn to start its worker")
        yield int(children.read_text()), port


def flask_under_gunicorn(world):
    return under_gunicorn(world, "flask_server:create_app")


def django_under_gunicorn(world, call="django_files:create_app", **changed):
    needs_package("django")
    return under_gunicorn(world, call, **changed)


def test_parts_of_programs_on_the_page_are_in_the_programs():
    def lines(text):
        return "\n".join(map(str.strip, text.splitlines()))

    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    flask, django = ROOT / "docs" / "examples" / "flask_server.py", DJANGO / "django_files.py"
    programs = lines(flask.read_text()) + lines(django.read_text())
    others = [block.splitlines()[0] for block in blocks if lines(block) not in programs]
    assert others == ["import os", "class Flask(flask.Flask):"]  # test_snippets.py says which tests run them


@pytest.mark.parametrize("start", [flask_under_cheroot, flask_under_gunicorn, django_under_gunicorn])
def test_sixteen_users_at_once(world, start):
    with start(world) as (pid, port), contextlib.closing(Web(port)) as adapter:
        serve_all_users(world, pid, adapter)
        assert wait_until_clean(pid) >= 10
        assert adapter._ask("alice", "GET", "/alice/secret") == (200, b"secret of alice")
        logins = (base64.b64encode(login).decode() for login in (b"alice:wrong", b"alice", b"root:", b"\xff"))
        for header in ("", "Basic", "Basic !", "Bearer x", *(f"Basic {login}" for login in logins)):
            assert adapter._ask("alice", "GET", "/alice/secret", Authorization=header) == (401, b""), header

        # A proxy may send the requests of several users on one connection. A body that nobody reads is no request.
        def request(user, body=b"", last=b""):
            login = b"Authorization: " + adapter._head(user)["Authorization"].encode() if user else b"X: x"
            head = b"GET /alice/secret HTTP/1.1\r\nHost: x\r\n%b\r\nContent-Length: %d%b\r\n\r\n"
            return head % (login, len(body), last) + body

        requests = [request(user, request("alice")) for user in ("alice", "bob", None, "alice", "heidi", None)]
        with socket.create_connection(("127.0.0.1", int(port)), HANG) as connection:
            connection.sendall(b"".join(requests) + request("alice", last=b"\r\nConnection: close"))
            answers = receive_all(connection)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
        assert statuses == b"200 403 401 200 403 401 200".split(), answers
        assert answers.count(b"secret of alice") == 3

        # While a server waits for a client, the thread has no identity. If the client hangs up, the file is closed.
        large = world / "alice" / "large"
        large.write_bytes(bytes(8 << 20))
        with adapter.begin("alice", b"alice/large") as connection:
            wait_until_open(pid, str(large))
            wait_until_clean(pid)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(lambda: str(large) not in open_files(pid), "the server to close the file")


WRONG_USERS = {
    "alice:\n": "a line of .*users is not name:password",
    "alice:word\n\n": "a line of .*users is not name:password",
    "unknown:word\n": "error: .*no user has the name 'unknown'",
}


@pytest.mark.parametrize("text", WRONG_USERS)
def test_wrong_file_of_users_is_refused(world, text):
    users = users_file(world)
    users.write_text(text)
    with pytest.raises(AssertionError, match=WRONG_USERS[text]):
        flask_under_cheroot(world, users).__enter__()


def test_cheroot_takes_the_rest_of_a_chunked_body_for_a_request(world):
    """A warning of the page. gunicorn does not do it. The first line of the body is the size of a chunk, too."""
    lines = ["PUT /x HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "", "A;X /x HTTP/1.1", "Connection: close"]
    for start, statuses in ((flask_under_cheroot, [b"401", b"401"]), (flask_under_gunicorn, [b"401", b"400"])):
        with start(world) as (_, port), socket.create_connection(("127.0.0.1", int(port)), HANG) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            assert re.findall(rb"HTTP/1.1 (\d+)", receive_all(connection)) == statuses


def ask(world, start, *requests):
    """Start a server, and send requests of alice to it."""
    with start(world) as (pid, port), contextlib.closing(Web(port)) as adapter:
        answers = [adapter._ask("alice", "GET", path) for path in requests]
        wait_until_clean(pid)
    return answers


# ---- gunicorn

LAZY = """
import replace, replace.wsgi

class LazyFile:
    left = 1
    def read(self, size):
        self.left -= 1
        return b"" if self.left < 0 else str(replace.getfsuid()).encode()

class Chunks:
    def __init__(self, file):
        self.file = file
    def __iter__(self):
        return iter(lambda: self.file.read(1), b"")

def lazy(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ.get("wsgi.file_wrapper", Chunks)(LazyFile())

def create_app(users, folder):
    alice = replace.Identity(80001, 80011)
    wrapped = replace.wsgi.AsClient(lazy, lambda environ: alice)
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/wrapped":
            return wrapped(environ, start_response)
        with replace.impersonate(alice):
            return lazy(environ, start_response)
    return app
"""


@pytest.mark.parametrize("kind", [{"gthread": "gthread"}, {"gthread": "sync", "16": "1"}], ids=["gthread", "sync"])
def test_file_wrapper_of_gunicorn_reads_as_the_user(world, kind):
    """gunicorn itself reads a file that an application has wrapped. The second answer is the control."""

    def start(world):
        (world / "lazy.py").write_text(LAZY)
        return under_gunicorn(world, "lazy:create_app", **{"docs/examples": str(world)}, **kind)

    assert ask(world, start, "/wrapped", "/by_hand") == [(200, b"80001"), (200, b"0")]


def test_worker_of_gevent_answers_500(world):
    def start(world):
        needs_package("gevent")
        return under_gunicorn(world, "flask_server:create_app", gthread="gevent")

    ((status, answer),) = ask(world, start, "/alice/secret")
    assert (status, b"secret of" in answer) == (500, False)
    assert "greenlets switch in this thread" in (world / "log").read_text()


# ---- Flask: what runs as the user


def flask_app(seen):
    """Return an application that notes who runs each of its parts."""
    import flask

    def note(what):
        seen.append((what, replace.getfsuid()))

    app = flask.Flask(__name__)
    app.before_request(lambda: note("before_request"))
    app.after_request(lambda response: note("after_request") or response)
    app.teardown_request(lambda error: note("teardown_request"))

    @app.get("/stream")
    def stream():
        @flask.stream_with_context
        def chunks():
            note(f"chunk of {flask.request.path}")
            yield b"x"

        response = flask.Response(chunks())
        response.call_on_close(lambda: note("call_on_close"))
        return response

    @app.get("/file")
    def file():
        return flask.send_file(flask.request.args["name"])

    @app.get("/template")
    def template():
        return flask.render_template("page.html")

    return app


def flask_client(app):
    app.wsgi_app = replace.wsgi.AsClient(app.wsgi_app, lambda environ: ALICE)
    return app.test_client()


def test_every_part_of_a_flask_request_runs_as_the_user():
    needs_package("flask")

    def body():
        seen = []
        with flask_client(flask_app(seen)).get("/stream") as response:
            assert response.data == b"x"
        parts = ["before_request", "after_request", "chunk of /stream", "teardown_request", "call_on_close"]
        assert dict(seen) == dict.fromkeys(parts, ALICE.uid)

    as_root(body)


def test_flask_opens_files_and_templates_as_the_user(world):
    needs_package("flask")

    def body():
        (world / "page.html").write_text("text")
        (world / "page.html").chmod(0o600)
        app = flask_app([])
        app.testing, app.template_folder = True, world
        plain = app.test_client()  # control: without AsClient, both are readable
        assert [plain.get(f"/file?name={world}/page.html").data, plain.get("/template").data] == [b"text"] * 2
        app.jinja_env.cache.clear()
        client = flask_client(app)
        with pytest.raises(PermissionError):
            client.get(f"/file?name={world}/page.html")
        with pytest.raises(PermissionError):
            client.get("/template")

    as_root(body)


@pytest.mark.parametrize("path", ["/fails", "/abort", "/handled"])
def test_local_variables_of_a_failed_flask_view(path):
    """Flask keeps them in a reference cycle. The class of the page does not."""
    needs_package("flask")
    import flask

    class Ends:
        def __del__(self):
            seen.append(replace.getfsuid())

    def look_up(local):
        raise LookupError

    def views(app):
        @app.get(path)
        def view():
            local = Ends()
            try:
                look_up(Ends())
            except LookupError:
                if path == "/handled":
                    raise
                if path == "/abort":
                    flask.abort(404)
                raise ZeroDivisionError(repr(local)) from None

        @app.errorhandler(LookupError)
        def refuse(error):
            return flask.abort(404)

        app.logger.disabled = True
        return flask_client(app)

    seen = []
    (block,) = re.findall(r"^```python\n(class Flask.*?)^```$", PAGE, re.M | re.S)

    def body():
        gc.disable()
        found = {"flask": flask, "traceback": traceback}
        exec(block, found)
        for kind, users in ((flask.Flask, [0, 0]), (found["Flask"], [ALICE.uid] * 2)):
            client = views(kind(__name__))
            del seen[:]
            assert client.get(path).status_code >= 400
            gc.collect()
            assert seen == users

    as_root(body)


def test_log_handler_of_a_flask_view_opens_its_file_as_the_user(world):
    needs_package("flask")

    def body():
        app = flask_app([])
        app.logger.addHandler(logging.FileHandler(world / "log", delay=True))
        app.get("/log")(lambda: app.logger.warning("words") or "")
        world.chmod(0o777)
        flask_client(app).get("/log")
        assert os.stat(world / "log").st_uid == ALICE.uid

    as_root(body)


# ---- Django


def test_django_opens_temporary_files_of_uploads_as_the_user(world):
    data = b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\ndata\r\n--x--\r\n"
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    with django_under_gunicorn(world) as (_, port), contextlib.closing(Web(port)) as adapter:
        answer = adapter._ask("alice", "POST", "/_upload", data, **form)
    assert answer == (200, f"{IDS['alice'][0]} True".encode()), (world / "log").read_text()


@pytest.mark.parametrize("kept", [False, True], ids=["closed", "kept"])
def test_django_opens_the_database_as_the_user_unless_a_thread_keeps_it(world, kept):
    """CONN_MAX_AGE keeps it: then heidi, who has no rights for the folder, uses what alice has opened."""
    call = "django_files:create_app" + "_that_keeps_connections" * kept
    with django_under_gunicorn(world, call, **{"16": "1"}) as (_, port), contextlib.closing(Web(port)) as adapter:
        assert adapter._ask("alice", "GET", "/_database") == (200, b"1"), (world / "log").read_text()
        assert owner(world / "shared" / "db")[0] == IDS["alice"][0]
        status, answer = adapter._ask("heidi", "GET", "/_database")
    assert (status, answer == b"1") == ((200, True) if kept else (500, False))


def test_asynchronous_view_of_django_is_refused(world):
    """asgiref runs it in a new thread, which would inherit the identity."""
    ((status, _),) = ask(world, django_under_gunicorn, "/_async")
    assert status == 500
    assert "thread is refused in a thread that holds an identity" in (world / "log").read_text()
