# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""docs/asgi.md: FastAPI and Starlette. What runs as root, the right way, and the example with sixteen users."""

import asyncio
import contextlib
import os
import re
import select
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.adapters import FastApi
from support.builds import ROOT, needs_package
from support.children import HANG, in_child
from support.servers import IDS, command, owner, serve_all_users, server, users_file, wait_until_clean
from support.syscalls import hanging

import replace

needs_package("fastapi", "uvicorn", "python-multipart")

from fastapi import BackgroundTasks, Depends, Request, UploadFile  # noqa: E402
from fastapi.responses import FileResponse, StreamingResponse  # noqa: E402
from fastapi.staticfiles import StaticFiles  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import ClientDisconnect  # noqa: E402
from starlette.routing import Route  # noqa: E402

PAGE = (ROOT / "docs" / "asgi.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


# ---- The example


def fastapi_command(world):
    return command("fastapi_server.py", {"8080": 0, "web-users.txt": users_file(world), "/srv/web": world})


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_fastapi_stops_cleanly(world, stop):
    with server(world, fastapi_command(world), stop) as (pid, _):
        assert wait_until_clean(pid) >= 0


def test_fastapi_serves_sixteen_users_at_once(world):
    with server(world, fastapi_command(world)) as (pid, address):
        serve_all_users(world, pid, FastApi(address))


@pytest.mark.parametrize("what", ["open", "read"])
def test_file_system_that_hangs_for_one_user_does_not_stop_others(world, what):
    with (
        server(world, fastapi_command(world)) as (_, address),
        contextlib.closing(FastApi(address)) as adapter,
        hanging(world / "alice" / "secret", what) as hung,
    ):
        clients = [adapter.begin("alice", b"alice/secret") for _ in range(40)]  # more than the server has workers
        assert select.select([hung], [], [], HANG)[0]
        assert adapter.read("bob", b"bob/secret") == b"secret of bob"
        for client in clients:
            client.close()
        for _ in range(3):  # the server notices that the clients have gone
            assert adapter.read("bob", b"bob/secret") == b"secret of bob"


# ---- The blocks of the page


async def find_client(request: Request):
    """Instead of an authentication, every client says who it is."""
    return replace.Identity(*IDS[request.headers["user"]])


def ask(app, path, user="alice", method="GET", body=b"", **headers):
    """Call an ASGI application as a server does; return the status and the body of the answer."""
    sent, head = [{"type": "http.request", "body": body}], {"user": user, **headers}

    async def receive():
        return sent.pop() if sent else await asyncio.Event().wait()

    answer = []

    async def send(message):
        answer.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in head.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    asyncio.run(app(scope, receive, send))
    return answer[0]["status"], b"".join(message.get("body", b"") for message in answer)


def page_app(world, *starts, secret="/etc/shadow", **names):
    """The application of the page's first block and of the blocks that contain these texts, and its namespace.

    The blocks serve the file `secret`.
    """
    imports = asyncio, os, BackgroundTasks, Depends, FileResponse, StaticFiles, StreamingResponse, UploadFile
    found = {thing.__name__: thing for thing in (*imports, find_client)} | names
    exec(BLOCKS[0].replace("/srv/files", str(world)), found)
    for start in starts:
        (block,) = (block for block in BLOCKS if start in block)
        exec(block.replace("/etc/shadow", str(secret)), found)
    return found["app"], found


def shadow():
    return Path("/etc/shadow").read_bytes()


def test_endpoint_with_run_as_serves_each_user(world):
    def body():
        app, names = page_app(world, "async def get(request):")
        starlette = Starlette(routes=[Route("/files/{name:path}", names["get"])])
        for one in (app, starlette):
            assert ask(one, "/files/alice/secret") == (200, b"secret of alice")
            assert ask(one, "/files/shared/notes", "bob") == (200, b"notes of the team")
        assert ask(app, "/files/alice/secret", "bob")[0] == 403
        with pytest.raises(PermissionError):
            ask(starlette, "/files/alice/secret", "bob")

    # The groups of find_client() are those of the name service in a real server.
    os.chown(world / "shared", *IDS["bob"])
    os.chown(world / "shared" / "notes", *IDS["alice"])
    (world / "shared" / "notes").chmod(0o644)
    (world / "shared").chmod(0o755)
    in_child(body)


def test_file_response_opens_the_file_as_root(world):
    def body():
        app, _ = page_app(world, "/wrong/file")
        assert ask(app, "/wrong/file") == (200, shadow())
        assert ask(app, "/right/file") == (403, b"")
        app, _ = page_app(world, "/wrong/file", secret=world / "alice" / "secret")
        assert ask(app, "/right/file") == (200, b"secret of alice")
        assert ask(app, "/right/file", "bob") == (403, b"")

    in_child(body)


def test_streaming_response_runs_its_generator_as_root(world):
    def body():
        app, _ = page_app(world, "/wrong/stream")
        assert ask(app, "/wrong/stream") == (200, shadow())
        with pytest.raises(ClientDisconnect) as caught:  # Starlette's exception for every OSError in send()
            ask(app, "/right/stream")
        assert isinstance(caught.value.__context__, PermissionError)
        assert ask(app, "/right/async") == (403, b"")
        app, _ = page_app(world, "/wrong/stream", secret=world / "alice" / "secret")
        for way in ("stream", "async"):
            assert ask(app, f"/right/{way}") == (200, b"secret of alice")

    in_child(body)


def test_background_tasks_run_as_root(world):
    def body():
        found = {}
        app, _ = page_app(world, "/wrong/later", note=lambda way: found.update({way: os.geteuid()}))
        for way in ("wrong", "right"):
            assert ask(app, f"/{way}/later", method="POST")[0] == 200
        assert found == {"wrong": 0, "right": IDS["alice"][0]}

    in_child(body)


def test_thread_of_another_executor_has_other_ids(world):
    def body():
        with replace.IdentityExecutor(2) as pool, ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as inside:
            threads.submit(int).result()
            app, names = page_app(world, "/wrong/executor", threads=threads, pool=pool)
            assert ask(app, "/wrong/executor") == (200, b"0")
            for path in ("/right/executor", "/right/loop"):
                for user in ("alice", "bob"):
                    assert ask(app, path, user) == (200, b"%d" % IDS[user][0])
            names["threads"] = inside  # its thread starts under alice's identity, and then works for bob
            for user in ("alice", "bob"):
                assert ask(app, "/wrong/executor", user) == (200, b"%d" % IDS["alice"][0])
            replace.protect_os()
            with ThreadPoolExecutor(1) as names["threads"], pytest.raises(replace.IdentityRefused, match="inherit"):
                ask(app, "/wrong/executor")

    in_child(body)


def test_dependency_cannot_hold_an_identity(world):
    def body():
        app, names = page_app(world, "/wrong/dependency")
        with pytest.raises(replace.IdentityRefused, match="a generator would hold the identity across yield"):
            ask(app, "/wrong/dependency")

        Client = names["Client"]

        async def as_client(client: Client):
            with replace.impersonate(client):
                yield

        app.get("/wrong/async", dependencies=[Depends(as_client)])(os.geteuid)
        with pytest.raises(replace.IdentityRefused, match="asyncio event loop is running in this thread; use `await"):
            ask(app, "/wrong/async")
        assert ask(app, "/right/dependency") == (200, b"%d" % IDS["alice"][0])
        replace.assert_clean()

    in_child(body)


def test_upload_belongs_to_root(world):
    def store(file, path):
        with open(path, "wb") as copy:
            shutil.copyfileobj(file, copy)

    def body():
        app, _ = page_app(world, "/wrong/upload", store=store, target=world / "alice")
        form = b'--x\r\nContent-Disposition: form-data; name="upload"; filename="f"\r\n\r\n%b\r\n--x--\r\n'
        data = os.urandom(2 << 20)  # more than the framework keeps in memory
        for way in ("wrong", "right"):
            content_type = "multipart/form-data; boundary=x"
            assert ask(app, f"/{way}/upload", "alice", "POST", form % data, content_type=content_type)[0] == 200
            assert (world / "alice" / way).read_bytes() == data
        assert (owner(world / "alice" / "wrong"), owner(world / "alice" / "right")) == ((0, 0), IDS["alice"])
        (world / "alice" / "right").unlink()
        content_type = "multipart/form-data; boundary=x"
        assert ask(app, "/right/upload", "bob", "POST", form % data, content_type=content_type)[0] == 403

    in_child(body)


def test_static_files_are_read_as_root(world):
    def body():
        app, _ = page_app(world, "StaticFiles(directory", target=world)
        assert ask(app, "/wrong/static/alice/secret", "bob") == (200, b"secret of alice")
        assert ask(app, "/files/alice/secret", "bob")[0] == 403

    in_child(body)
