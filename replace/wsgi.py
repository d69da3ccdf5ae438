# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""WSGI (PEP 3333): a middleware that runs each request of an application as the user who sent it.

``import replace`` does not load this module. Write ``import replace.wsgi``.
"""

from __future__ import annotations

import sys

from ._acting_as import refuse_lazy_function
from ._errors import IdentityRefused
from ._identity import Identity
from ._impersonate import DEFAULT_LEVEL, changed_options, check_options, impersonate
from ._impersonated import impersonated
from ._native import depth, run, tainted
from ._tracebacks import clear_locals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ._options import Level, OnFailure

__all__ = ["AsClient"]


class AsClient:
    """Run a WSGI application as its clients: ``app = replace.wsgi.AsClient(app, identify)``.

    For each request, ``identify`` says who the client is. The application then runs as this user, and so do ``next()``
    and ``close()`` of the response body (see :func:`replace.impersonated`). Between two items of the body, while the
    server waits for the client, the thread has the server's ids. If the application or the body raises an exception,
    the local variables in its traceback are cleared.

    The application gets a copy of ``environ``, without ``wsgi.file_wrapper``. So the server does not keep what the
    application stores in it, and reads no file by itself. The application calls ``start_response``, and the
    ``write()`` that it returns, as the user.

    Args:
        app: The application.
        identify: A function that gets ``environ`` and returns the client's :class:`replace.Identity`, or None if the
            client is not known. It runs with the server's ids. If it raises an exception, the server gets it.
        anonymous_as_server: If ``identify`` returns None, run the request with the server's ids. By default, AsClient
            answers with status 401. If the thread holds an identity, such a request is refused.
        challenge: The header ``WWW-Authenticate`` of that answer.
        level: As for :func:`replace.impersonate`.
        allow_root: As for :func:`replace.impersonate`.
        allow_process: As for :func:`replace.impersonate`.
        on_restore_failure: As for :func:`replace.impersonate`.

    Raises:
        IdentityRefused: As for :func:`replace.impersonate`, at once or for a request. The application was not called.
            Also if the thread is tainted. ``next()`` and ``close()`` of the body can be refused, too.
        IdentityError: A step of a request failed. ``state`` says what the thread is now.
        TypeError: An argument is wrong. For a request: ``identify`` returned something else, or the application
            returned nothing to iterate over, for example a coroutine.
        ValueError: An option is wrong.

    Source: PEP 3333; RFC 9110, 11.6.1 and 15.5.2.
    """

    def __init__(
        self,
        app: WSGIApplication,
        identify: Callable[[WSGIEnvironment], Identity | None],
        *,
        anonymous_as_server: bool = False,
        challenge: str = 'Basic realm="restricted", charset="UTF-8"',
        level: Level = DEFAULT_LEVEL,
        allow_root: bool = False,
        allow_process: bool = False,
        on_restore_failure: OnFailure = "taint",
    ) -> None:
        for name, function in (("app", app), ("identify", identify)):
            if not callable(function):
                raise TypeError(f"{name} should be callable, not {type(function).__name__}")
        refuse_lazy_function(identify)
        if not isinstance(challenge, str):
            raise TypeError(f"challenge should be str, not {type(challenge).__name__}")
        if not (challenge.strip() and challenge.isascii() and challenge.isprintable()):
            raise ValueError(f"challenge should be the value of a header, not {challenge!r}")
        check_options(level, allow_root, allow_process, on_restore_failure)
        self._options = changed_options(level, allow_root, allow_process, on_restore_failure)
        self._app, self._identify = app, identify
        self._anonymous_as_server, self._challenge = anonymous_as_server, challenge

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse, /) -> Iterable[bytes]:
        if tainted():
            raise IdentityRefused("this thread is tainted, so its ids may be wrong; end it and start a new one")
        client = self._identify(environ)
        if isinstance(client, Identity):
            guard = impersonate(client, **self._options)
            return run(guard, self._run, (client, environ, start_response), None)
        if client is not None:
            raise TypeError(f"identify should return an Identity or None, not {type(client).__name__}")
        if self._anonymous_as_server:
            if depth():
                raise IdentityRefused(
                    "the client is not known, and this thread does not have the server's ids: it still holds an "
                    "identity that other code entered; find that code, and use a with block in it"
                )
            return self._app(environ, start_response)
        headers = [("WWW-Authenticate", self._challenge), ("Content-Type", "text/plain"), ("Content-Length", "0")]
        start_response("401 Unauthorized", headers)
        return []

    # The next two methods run as the user.

    def _run(self, client: Identity, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        outer = sys.exc_info()[1]
        try:
            return self._start(client, environ, start_response)
        except BaseException as error:
            clear_locals(error, outer)
            raise

    def _start(self, client: Identity, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application. Nothing but the returned object may refer to the body."""
        environ = dict(environ)
        environ.pop("wsgi.file_wrapper", None)  # the server may keep and read the file that the application wraps
        body = self._app(environ, start_response)
        if type(body) in (list, tuple) and all(type(chunk) is bytes for chunk in body):
            return body  # no code can run in it, and the server may use its length
        try:
            return impersonated(client, body, **self._options)
        except TypeError:
            if hasattr(body, "close"):
                body.close()  # a coroutine that is neither awaited nor closed causes a warning
            kind = type(body).__name__
        raise TypeError(f"the WSGI application {self._app!r} should return an iterable of bytes, not {kind}")
