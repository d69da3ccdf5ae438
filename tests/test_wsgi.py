# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""replace.wsgi.AsClient: the call of the application, and next() and close() of its body, run as the client.

Each case of CASES is an application that AsClient serves correctly, and a middleware written by hand does not.
"""

import asyncio
import functools
import inspect
import io
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from wsgiref.handlers import SimpleHandler
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
from support.builds import imported
from support.children import ALICE, BOB, ROOT_IDS, InChild, as_root, counts_references, ids

import replace
from replace import impersonate
from replace.wsgi import AsClient

HEADERS = [("Content-Type", "text/plain")]
USERS = {"alice": ALICE, "bob": BOB}


def identify(environ):
    assert replace.getfsuid() == 0
    return USERS.get(environ.get("HTTP_USER"))


class ByHand:
    """The control: the middleware that one writes first."""

    def __init__(self, app, identify):
        self.app, self.identify = app, identify

    def __call__(self, environ, start_response):
        with impersonate(self.identify(environ)):
            return self.app(environ, start_response)


class Server(SimpleHandler):
    """wsgiref's server for one request. It notes the ids with which it sends, and with which it logs an error."""

    def __init__(self, user):
        environ = {"QUERY_STRING": "", **({"HTTP_USER": user} if user else {})}
        setup_testing_defaults(environ)
        super().__init__(io.BytesIO(b"input"), io.BytesIO(), io.StringIO(), environ)
        self.sent, self.error, self.seen, self.answer = [], None, set(), ()

    def close(self):
        self.answer = self.status, dict(self.headers or {})
        super().close()

    def _write(self, data):
        self.seen.add(replace.getfsuid())
        self.sent.append(bytes(data))

    def log_exception(self, exc_info):
        self.error, self.seen = exc_info[1], {*self.seen, replace.getfsuid()}


def serve(app, user="alice"):
    """Serve one request. Return the answer's body, and the server."""
    server = Server(user)
    server.run(app)
    assert ids() == ROOT_IDS
    return b"".join(server.sent).partition(b"\r\n\r\n")[2], server


def begin(app, user="alice"):
    """Call the application as a server does; return the body."""
    environ = {"HTTP_USER": user}
    setup_testing_defaults(environ)
    return app(environ, lambda status, headers, exc_info=None: [].append)


class Body:
    """A lazy body. It notes who runs its methods."""

    def __init__(self, fails=False):
        self.seen, self.left, self.fails = [], 3, fails

    def __iter__(self):
        self.note("iter")
        return self

    def __next__(self):
        self.note("next")
        self.left -= 1
        if self.left == 0 and self.fails:
            raise ZeroDivisionError
        if self.left == 0:
            raise StopIteration
        return b"x"

    def close(self):
        self.note("close")

    def note(self, what):
        self.seen.append((what, replace.getfsuid()))


class Ends:
    """An object that notes who destroys it."""

    def __init__(self, seen):
        self.seen = seen

    def __del__(self):
        self.seen.append(replace.getfsuid())


CASES = []


def case(function, marks=()):
    CASES.append(pytest.param(function, id=function.__name__, marks=marks))
    return function


case_of_destructors = functools.partial(case, marks=counts_references)


@case
def generator(wrap):
    def app(environ, start_response):
        seen.append(replace.getfsuid())
        start_response("200 OK", HEADERS)
        yield str(replace.getfsuid()).encode()
        seen.append(replace.getfsuid())
        yield environ["wsgi.input"].read(5)

    seen = []
    assert serve(wrap(app, identify))[0] == b"80001input"
    assert seen == [80001, 80001]


@case
def next_and_close(wrap):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return body

    body = Body()
    assert serve(wrap(app, identify))[0] == b"xx"
    assert body.seen == [("iter", 80001), *[("next", 80001)] * 3, ("close", 80001)]


@case
def next_that_fails(wrap):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return body

    body = Body(fails=True)
    _, server = serve(wrap(app, identify))
    assert type(server.error) is ZeroDivisionError
    assert body.seen == [("iter", 80001), *[("next", 80001)] * 3, ("close", 80001)]


@case_of_destructors
def body_that_nobody_closes(wrap):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        yield b"x"
        try:
            yield b"x"
        finally:
            seen.append(replace.getfsuid())

    seen = []
    body = begin(wrap(app, identify))
    items = iter(body)
    assert [next(items), next(items)] == [b"x", b"x"]
    del items, body
    assert seen == [80001]


@case
def close_in_another_thread(wrap):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return made

    made = Body()
    body = begin(wrap(app, identify))
    assert next(iter(body)) == b"x"
    thread = threading.Thread(target=body.close)
    thread.start()
    thread.join()
    assert made.seen == [("iter", 80001), ("next", 80001), ("close", 80001)]


class LazyFile:
    """A file that is opened when it is read first, for example by a library for archives."""

    def __init__(self, seen):
        self.seen, self.left = seen, [b"data"]

    def read(self, size=-1):
        self.seen.append(replace.getfsuid())
        return self.left.pop() if self.left else b""

    def close(self):
        self.seen.append(replace.getfsuid())


@case
def file_wrapper(wrap):
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return environ.get("wsgi.file_wrapper", FileWrapper)(LazyFile(seen))

    seen = []
    assert serve(wrap(app, identify))[0] == b"data"
    assert seen == [80001] * 3


@case
def file_that_the_server_sends(wrap):
    """A server that knows its own wrapper reads the file without next(), as gunicorn does with sendfile(2)."""

    class Sending(Server):
        def sendfile(self):
            while chunk := self.result.filelike.read(self.result.blksize):
                self.write(chunk)
            return True

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return environ.get("wsgi.file_wrapper", FileWrapper)(LazyFile(seen))

    seen = []
    server = Sending("alice")
    server.run(wrap(app, identify))
    assert b"".join(server.sent).endswith(b"\r\n\r\ndata")
    assert seen == [80001] * 3


@case_of_destructors
def local_variables_of_a_call_that_fails(wrap):
    def app(environ, start_response):
        ends = Ends(seen)
        return [ends, 1 // 0]

    seen = []
    _, server = serve(wrap(app, identify))
    assert type(server.error) is ZeroDivisionError
    assert seen == [80001]


@case_of_destructors
def objects_in_environ(wrap):
    def app(environ, start_response):
        environ["app.upload"] = Ends(seen)
        start_response("200 OK", HEADERS)
        return [b"x"]

    seen = []
    assert serve(wrap(app, identify))[0] == b"x"
    assert seen == [80001]


@case
def application_that_returns_a_coroutine(wrap):
    async def later():
        return [b"x"]

    def app(environ, start_response):
        made.append(later())
        return made[0]

    made = []
    with pytest.raises(TypeError, match=r"application .*app.* should return an iterable of bytes, not coroutine"):
        begin(wrap(app, identify))
    assert inspect.getcoroutinestate(made[0]) == inspect.CORO_CLOSED


@case
def application_that_returns_an_asynchronous_generator(wrap):
    async def app(environ, start_response):
        yield b"x"

    with pytest.raises(TypeError, match="should return an iterable of bytes, not async_generator"):
        begin(wrap(app, identify))


@case
def application_that_returns_none(wrap):
    with pytest.raises(TypeError, match="should return an iterable of bytes, not NoneType"):
        begin(wrap(lambda environ, start_response: None, identify))


@case
def unknown_client(wrap):
    body, server = serve(wrap(lambda environ, start_response: 1 // 0, identify), user=None)
    status, headers = server.answer
    assert (body, server.error, status) == (b"", None, "401 Unauthorized")
    assert headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("check", CASES)
def test_client_runs(check):
    as_root(check, AsClient)


@pytest.mark.parametrize("check", CASES)
def test_middleware_written_by_hand_fails(check):
    """Control."""

    def body():
        sys.unraisablehook = lambda problem: None  # a coroutine that nobody awaits
        with pytest.raises((AssertionError, pytest.fail.Exception, TypeError)):
            check(ByHand)

    as_root(body)


def test_server_sends_with_its_own_ids_between_two_chunks():
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        yield from [b"x"] * 4

    def body():
        _, server = serve(AsClient(app, identify))
        assert server.sent.count(b"x") == 4
        assert server.seen == {0}

    as_root(body)


def test_requests_of_two_clients_can_interleave_in_a_thread():
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        for _ in range(3):
            yield str(replace.getfsuid()).encode()

    def body():
        wrapped = AsClient(app, identify)
        bodies = [iter(begin(wrapped, user)) for user in USERS]
        for _ in range(3):
            assert [next(body) for body in bodies] == [b"80001", b"80002"]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda user: b"".join(begin(wrapped, user)), ["alice", "bob"] * 20))
        assert answers == [b"80001" * 3, b"80002" * 3] * 20

    as_root(body)


KINDS = {
    "list": lambda: [b"x", b"y"],
    "generator": lambda: (chunk for chunk in [b"x", b"y"]),
    "file": lambda: FileWrapper(io.BytesIO(b"xy")),
    "empty": list,
}


@pytest.mark.parametrize("kind", KINDS)
def test_validator_accepts_both_sides(kind):
    """wsgiref.validate checks what the server gets from AsClient, and what the application gets from it."""

    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        return KINDS[kind]()

    def body():
        out, server = serve(validator(AsClient(validator(app), identify)))
        assert (out, server.error) == (b"xy" if kind != "empty" else b"", None)
        for user in (None, "unknown"):
            _, server = serve(validator(AsClient(validator(app), identify)), user)
            assert (server.answer[0], server.error) == ("401 Unauthorized", None)

    as_root(body)


class Chunks(list):
    """A list whose iteration is code."""

    def __iter__(self):
        return iter([str(replace.getfsuid()).encode()])


def test_plain_list_or_tuple_of_bytes_keeps_its_length():
    """Servers send Content-Length for one chunk. Every other kind of body is iterated as the user."""

    def returning(chunks):
        def app(environ, start_response):
            start_response("200 OK", HEADERS)
            return chunks

        return AsClient(app, identify)

    def body():
        for chunks in ([b"x"], (b"x", b"y"), []):
            assert begin(returning(chunks)) is chunks
        assert serve(returning([b"x"]))[1].answer[1]["Content-Length"] == "1"
        for chunks in (Chunks([b"x"]), [bytearray(b"x")], [b"x", object()]):
            assert type(begin(returning(chunks))).__name__ == "Impersonated"
        assert list(begin(returning(Chunks()))) == [b"80001"]

    as_root(body)


def test_start_response_and_write_run_inside_the_identity():
    def app(environ, start_response):
        write = start_response("200 OK", HEADERS)
        write(str(replace.getfsuid()).encode())
        return [b"end"]

    def body():
        out, server = serve(AsClient(app, identify))
        assert out == b"80001end"
        assert server.seen == {0, 80001}  # write() sends at once, and the list is sent after the call

    as_root(body)


def test_error_of_start_response_reaches_the_application_and_then_the_server():
    """After the headers are sent, start_response() raises the error that it gets."""

    def late(environ, start_response):
        start_response("200 OK", HEADERS)
        yield b"x"
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            try:
                start_response("500 Error", HEADERS, sys.exc_info())
            finally:
                seen.append(replace.getfsuid())
        yield b"not sent"

    def twice(environ, start_response):
        start_response("200 OK", HEADERS)
        start_response("200 OK", HEADERS)
        return [b"not sent"]

    seen = []

    def body():
        out, server = serve(AsClient(late, identify))
        assert (out, type(server.error), seen) == (b"x", ZeroDivisionError, [80001])
        _, server = serve(AsClient(twice, identify))
        assert type(server.error) is AssertionError
        assert server.seen == {0}

    as_root(body)


@counts_references
def test_error_that_the_server_handles_keeps_its_local_variables():
    """Such an error is the context of an error of the application."""

    def server(seen):
        ends = Ends(seen)
        return [ends, 1 // 0]

    def app(environ, start_response):
        raise LookupError

    def body():
        seen = []
        try:
            server(seen)
        except ZeroDivisionError:
            with pytest.raises(LookupError):
                begin(AsClient(app, identify))
            assert seen == []
        assert seen == [0]

    as_root(body)


@counts_references
@pytest.mark.parametrize("lazy", [False, True], ids=["call", "body"])
def test_error_of_the_server_that_the_application_raises_again_keeps_no_local_variables(lazy):
    """start_response() does it, if the application passes sys.exc_info() after the headers were sent."""

    def fail(local):
        raise sys.exc_info()[1]

    def app(environ, start_response):
        return (fail(Ends(seen)) for _ in "x") if lazy else fail(Ends(seen))

    seen = []

    def body():
        try:
            1 // 0  # noqa: B018
        except ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                list(begin(AsClient(app, identify)))
        assert seen == [80001]

    as_root(body)


def test_application_changes_a_copy_of_environ():
    """The server's own dictionary stays as it is. gunicorn, for example, reads it after the call."""

    def app(environ, start_response):
        assert environ["outer"] == "from a middleware in front"
        assert "wsgi.file_wrapper" not in environ
        environ.clear()
        return [b"x"]

    def body():
        environ = {"HTTP_USER": "alice", "outer": "from a middleware in front", "wsgi.file_wrapper": FileWrapper}
        before = dict(environ)
        assert AsClient(app, identify)(environ, None) == [b"x"]
        assert environ == before

    as_root(body)


def test_anonymous_request_runs_as_the_server_only_if_allowed():
    def app(environ, start_response):
        start_response("200 OK", HEADERS)
        yield str(replace.getfsuid()).encode()

    def body():
        allowed = AsClient(app, identify, anonymous_as_server=True)
        assert serve(allowed, user=None)[0] == b"0"
        assert serve(allowed, user="bob")[0] == b"80002"
        _, server = serve(AsClient(app, identify, challenge='Bearer realm="x"'), user=None)
        assert server.answer[0] == "401 Unauthorized"
        assert server.answer[1]["WWW-Authenticate"] == 'Bearer realm="x"'

    as_root(body)


def enter_and_keep(kept):
    kept.append(impersonate(BOB))
    kept[-1].__enter__()


@pytest.mark.parametrize("guilty", ["application", "identify"])
def test_anonymous_request_does_not_run_as_a_user_whom_the_thread_never_left(guilty):
    def app(environ, start_response):
        seen.append(replace.getfsuid())
        if guilty == "application":
            enter_and_keep(kept)
        return [b"x"]

    def identify(environ):
        if guilty == "identify":
            enter_and_keep(kept)

    seen, kept = [], []

    def body():
        wrapped = AsClient(app, identify, anonymous_as_server=True)
        if guilty == "application":
            begin(wrapped)
        with pytest.raises(replace.IdentityRefused, match="does not have the server's ids: it still holds"):
            begin(wrapped)
        assert seen == [0] * (guilty == "application")

    as_root(body)


@pytest.mark.parametrize("anonymous_as_server", [False, True])
def test_tainted_thread_answers_no_request(anonymous_as_server):
    """The first request leaves its thread tainted: it enters an identity and keeps it."""

    def app(environ, start_response):
        called.append(environ["HTTP_USER"])
        enter_and_keep(kept)
        return [b"x"]

    def noting(environ):
        asked.append(environ["HTTP_USER"])
        return USERS.get(environ["HTTP_USER"])

    asked, called, kept = [], [], []

    def body():
        wrapped = AsClient(app, noting, anonymous_as_server=anonymous_as_server)
        with pytest.raises(replace.ThreadTainted):
            begin(wrapped, "alice")
        for user in ("alice", "bob", "unknown"):
            with pytest.raises(replace.IdentityRefused, match="thread is tainted"):
                begin(wrapped, user)
        assert asked == called == ["alice"]

    as_root(body)


def test_on_restore_failure_abort_ends_the_process_of_the_request():
    def app(environ, start_response):
        replace.setresuid(80001, 80001, 80001)  # no privileged id remains
        return [b"x"]

    if replace.SCOPE == "thread":
        with pytest.raises(InChild, match=str(-signal.SIGABRT)):
            as_root(begin, AsClient(app, identify, on_restore_failure="abort"))


def test_error_of_identify_propagates_and_nothing_is_entered():
    def app(environ, start_response):
        raise AssertionError("must not be called")

    def body():
        with pytest.raises(ZeroDivisionError):
            begin(AsClient(app, lambda environ: 1 // 0))
        for wrong in ("alice", 80001, False, ALICE.groups, object):
            with pytest.raises(TypeError, match=f"identify should .*, not {type(wrong).__name__}"):
                begin(AsClient(app, lambda environ, wrong=wrong: wrong, anonymous_as_server=True))
        with pytest.raises(replace.IdentityRefused, match="allow_root"):
            begin(AsClient(app, lambda environ: replace.Identity(0, 0)))
        assert ids() == ROOT_IDS

    as_root(body)


def test_options_are_those_of_impersonate():
    def app(environ, start_response):
        seen.append(replace.getresuid())
        return iter([str(replace.getresuid()).encode()])

    seen = []

    def body():
        root = replace.Identity(0, 0)
        assert list(begin(AsClient(app, identify, level="real"))) == [b"(80001, 80001, 0)"]
        assert list(begin(AsClient(app, lambda environ: root, level="effective", allow_root=True))) == [b"(0, 0, 0)"]
        assert seen == [(80001, 80001, 0), (0, 0, 0)]

    as_root(body)


def test_request_in_a_greenlet_is_refused_and_the_application_is_not_called():
    """As under gunicorn's worker gevent."""
    greenlet = imported("greenlet")

    def app(environ, start_response):
        raise AssertionError("must not be called")

    def body():
        def request():
            with pytest.raises(replace.IdentityRefused, match="thread without greenlets"):
                begin(AsClient(app, identify))

        greenlet.greenlet(request).switch()
        assert ids() == ROOT_IDS

    as_root(body)


def test_application_on_the_thread_of_an_event_loop_cannot_start_a_thread():
    """Tornado's WSGIContainer calls the application there. A plain call contains no await."""

    def app(environ, start_response):
        with pytest.raises(replace.IdentityRefused, match="thread is refused in a thread that holds an identity"):
            threading.Thread(target=print).start()
        yield str(replace.getfsuid()).encode()

    def body():
        async def main():
            return b"".join(begin(AsClient(app, identify)))

        assert asyncio.run(main()) == b"80001"
        assert ids() == ROOT_IDS

    as_root(body)


def plain(environ, start_response):
    return []


async def asynchronous(environ):
    return ALICE


def generating(environ):
    yield ALICE


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((None, identify), {}, TypeError, "app should be callable, not NoneType"),
        ((plain, "alice"), {}, TypeError, "identify should be callable, not str"),
        ((plain, asynchronous), {}, TypeError, "coroutine function"),
        ((plain, generating), {}, TypeError, "coroutine function"),
        ((plain, identify), {"challenge": None}, TypeError, "challenge should be str"),
        ((plain, identify), {"challenge": ""}, ValueError, "challenge should be the value of a header"),
        ((plain, identify), {"challenge": "Basic\r\nSet-Cookie: x"}, ValueError, "challenge should be the value"),
        ((plain, identify), {"challenge": 'Basic realm="ä"'}, ValueError, "challenge should be the value of a header"),
        ((plain, identify), {"level": "saved"}, ValueError, "level should be one of"),
        ((plain, identify), {"on_restore_failure": "ignore"}, ValueError, "on_restore_failure should be"),
        ((plain, identify), {"across_yield": True}, TypeError, "across_yield"),
    ],
)
def test_wrong_argument_is_refused_at_once(arguments, options, error, words):
    with pytest.raises(error, match=words):
        AsClient(*arguments, allow_process=True, **options)


def test_process_wide_build_is_refused_unless_allowed():
    if replace.SCOPE == "thread":
        AsClient(plain, identify)
        return
    with pytest.raises(replace.IdentityRefused, match="-Dcredentials=syscall"):
        AsClient(plain, identify)
    AsClient(plain, identify, allow_process=True)
