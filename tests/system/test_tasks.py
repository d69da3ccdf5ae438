# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Run the programs of docs/tasks.md with the real engines: Twisted's SSH server, workers of Celery, a node of Ray.

Each engine starts once. Several users use it at the same time; each test checks one part of what has happened.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from support.builds import ROOT, needs_package, run
from support.children import ALICE, BOB, HANG, as_root, needs_root
from support.servers import IDS, NAMES, TEAM, nss_wrapper, open_files, owner, server, wait_until_clean, world

import replace

PAGE = (ROOT / "docs" / "tasks.md").read_text()
TWISTED, CELERY, RAY = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
USERS = NAMES[:8]


@pytest.fixture(autouse=True, scope="module")
def needs_thread_credentials():
    needs_root()
    if replace.SCOPE != "thread":
        pytest.skip("needs a build whose calls change one thread")


def users_of(folder):
    """Return the environment of a process that sees the users of the folder."""
    database = {"NSS_WRAPPER_PASSWD": f"{folder}/passwd", "NSS_WRAPPER_GROUP": f"{folder}/group"}
    return {"LD_PRELOAD": nss_wrapper(), **database}


# ---- Twisted

#: What a program needs beside the code of the page: passwords, a key, a realm and a port.
SSH_SERVER = """
import sys
from twisted.conch.ssh import factory, keys
from twisted.cred import checkers, portal
from twisted.internet import reactor
from cryptography.hazmat.primitives.asymmetric import ed25519
from zope.interface import implementer

@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, username, mind, *interfaces):
        user = User(username.decode())
        return interfaces[0], user, user.logout

class Server(factory.SSHFactory):
    def __init__(self):
        key = keys.Key(ed25519.Ed25519PrivateKey.generate())
        self.privateKeys, self.publicKeys = {b"ssh-ed25519": key}, {b"ssh-ed25519": key.public()}
        passwords = checkers.InMemoryUsernamePasswordDatabaseDontUse(**{name: b"word" for name in sys.argv[1:]})
        self.portal = portal.Portal(Realm(), [passwords])

port = reactor.listenTCP(0, Server(), interface="127.0.0.1")
print("listening on", port.getHost().port, flush=True)
reactor.run()
"""

#: The effective uids of this thread and of another one, while an avatar runs a function on this thread.
OTHER_THREAD = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    pool.submit(int).result()
    seen = lambda: (os.geteuid(), pool.submit(os.geteuid).result())
    print(unix.UnixConchUser("alice")._runAsUser(seen), User("alice")._runAsUser(seen))
"""


@pytest.fixture(scope="module")
def ssh():
    """Start the program of the page; yield the folder of the users' files, the process and the port."""
    needs_package("twisted", "cryptography", "bcrypt", "asyncssh")
    with world() as folder:
        (folder / "program.py").write_text(TWISTED + SSH_SERVER)
        with server(folder, [sys.executable, f"{folder}/program.py", *USERS]) as (pid, port):
            yield folder, pid, int(port)


def with_ssh(port, names, session):
    """Call session(name, connection) for each user at once; every one is logged in before the first call."""
    import asyncssh

    async def one(name, all_here):
        options = {"username": name, "password": "word", "known_hosts": None, "config": None, "client_keys": None}
        connected = asyncssh.connect("127.0.0.1", port, agent_path=None, **options)
        async with connected as connection:
            all_here.append(name)
            while len(all_here) < len(names):
                await asyncio.sleep(0.01)
            # If an exception left the block, asyncssh would abort the connection, and wait forever for its end.
            return (await asyncio.gather(session(name, connection), return_exceptions=True))[0]

    async def main():
        all_here = []
        return await asyncio.wait_for(asyncio.gather(*(one(name, all_here) for name in names)), HANG)

    results = asyncio.run(main())
    for error in results:
        if isinstance(error, BaseException):
            raise error
    return results


def with_sftp(port, names, session):
    """Call session(name, client) for each user at once."""

    async def one(name, connection):
        async with connection.start_sftp_client() as client:
            return (await asyncio.gather(session(name, client), return_exceptions=True))[0]

    return with_ssh(port, names, one)


async def fails(awaitable):
    """Return the name of the SFTP error of a request, or None."""
    import asyncssh

    try:
        await awaitable
    except asyncssh.SFTPError as error:
        return type(error).__name__
    return None


async def contents(client, path):
    async with client.open(str(path), "rb") as file:
        return await file.read(1000)


async def store(client, path, data):
    async with client.open(str(path), "wb") as file:
        await file.write(data)


def test_twisted_serves_eight_users_at_once(ssh):
    folder, pid, port = ssh

    async def session(name, client):
        other = folder / USERS[USERS.index(name) - 1]
        for number in range(4):
            await store(client, folder / name / f"file{number}", b"data")
            assert owner(folder / name / f"file{number}") == IDS[name]
            assert await contents(client, folder / name / f"file{number}") == b"data"
            assert await contents(client, "secret") == f"secret of {name}".encode()  # relative to the home
            assert await contents(client, folder / "shared" / "notes") == b"notes of the team"
            assert await fails(contents(client, other / "secret")) == "SFTPPermissionDenied"
            assert await fails(store(client, other / "planted", b"")) == "SFTPPermissionDenied"
            assert await fails(client.listdir(str(other / "private"))) == "SFTPPermissionDenied"
            assert "hidden" in await client.listdir(str(folder / name / "private"))

    with_sftp(port, USERS, session)
    assert not list(folder.glob("*/planted"))
    assert wait_until_clean(pid) > 0, "the threads of deferToThread()"


@pytest.mark.parametrize("terminal", [None, "xterm"], ids=["pipes", "terminal"])
def test_twisted_runs_commands_as_their_users(ssh, terminal):
    folder, _, port = ssh

    async def session(name, connection):
        command = "id -u; id -G; pwd; grep -c '^Cap[IPEA].*0000000000000000' /proc/self/status"
        return (await connection.run(command, term_type=terminal)).stdout.split("\n")[:4]

    for name in ("alice", "bob"):
        (uid, gid), home = IDS[name], str(folder / name)
        found = with_ssh(port, [name], session)
        assert [[line.strip() for line in lines] for lines in found] == [[str(uid), f"{gid} {TEAM}", home, "4"]]


def test_twisted_refuses_names_that_would_stop_it_or_show_closed_folders(ssh):
    folder, pid, port = ssh
    os.mkfifo(folder / "alice" / "fifo", 0o666)
    closed = folder / "bob" / "private"
    (closed / "open").write_text("only the folder is closed")
    (closed / "link").symlink_to("/target")
    step = {"opened": False, "tried": False}

    async def wait_for(name):
        while not step[name]:
            await asyncio.sleep(0.01)

    async def session(name, client):
        if name == "bob":
            async with client.open(str(closed / "open"), "rb"):
                step["opened"] = True
                await wait_for("tried")
            return None
        await wait_for("opened")
        try:
            numbers = open_files(pid)
            assert await fails(contents(client, f"/proc/self/fd/{numbers[str(closed / 'open')]}")) is not None
            assert await fails(contents(client, "/dev/zero")) is not None
            shown = await client.realpath(str(closed / "link"))  # root would follow the link
            assert await fails(contents(client, folder / "alice" / "fifo")) is not None  # and the server goes on
            return shown
        finally:
            step["tried"] = True

    assert with_sftp(port, ["alice", "bob"], session) == [str(closed / "link"), None]


def test_run_as_user_of_twisted_changes_other_threads():
    needs_package("twisted", "cryptography", "bcrypt")
    with world() as folder:
        program = TWISTED.replace("replace.protect_os()\n", "") + OTHER_THREAD
        out = run(sys.executable, "-c", program, env=users_of(folder), cwd="/")
    alice = IDS["alice"][0]
    assert out.stdout.strip() == f"({alice}, {alice}) ({alice}, 0)", out.stderr


# ---- Celery

POOLS = ["threads", "prefork", "solo"]
CELERY_CONFIG = """
broker_url = "filesystem://"
broker_transport_options = {{
    "data_folder_in": "{0}/queue", "data_folder_out": "{0}/queue", "control_folder": "{0}/control",
    "polling_interval": 0.05
}}
result_backend = "file://{0}/results"
worker_enable_remote_control = False
"""

CELERY_CLIENT = """
import json, pathlib, sys, time, uuid
import kombu.transport.filesystem, kombu.utils.json, tasks
pools, folder, users = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]

# The transport makes a file and then writes the message, so a worker might read an empty one.
def put(channel, queue, message, **options):
    name = f"{time.monotonic_ns()}_{uuid.uuid4()}.{queue}.msg"
    written = pathlib.Path(folder, "private", name)
    written.write_text(kombu.utils.json.dumps(message))
    written.rename(written.parent / "queue" / name)

kombu.transport.filesystem.Channel._put = put

def wait(result):
    try: return result.get(timeout=240, interval=0.02)
    except Exception as error: return type(error).__name__

def send(task, pool, *arguments): return task.apply_async(arguments, queue=pool)

made = [send(tasks.create, pool, user, f"{folder}/shared/{pool}-{user}-{number}", "text")
    for number in range(4) for user in users for pool in pools]
answers = {"create": [wait(result) for result in made]}
for pool in [*pools, "gevent"]:
    read = [send(tasks.get, pool, "alice", f"{folder}/{name}/secret") for name in ("alice", "bob")]
    answers[pool] = [wait(result) for result in read + [send(tasks.get, pool, "root", "/etc/shadow")]]
    answers[pool + " clean"] = wait(send(tasks.check, pool))
print(json.dumps(answers))
"""


@contextlib.contextmanager
def process(words, log, env):
    """Start a process in a group of its own; kill the whole group after the block."""
    with open(log, "w") as file:
        started = subprocess.Popen(
            words, cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@pytest.fixture(scope="module")
def celery():
    """Start a worker for each pool, send tasks of several users, and return the answers and the owners of the files."""
    needs_package("celery", "gevent")
    with world() as folder, contextlib.ExitStack() as stack:
        (folder / "shared").chmod(0o777)
        private = folder / "private"
        for path in (private, private / "queue", private / "results"):
            path.mkdir()
        private.chmod(0o700)
        (private / "tasks.py").write_text(CELERY)
        (private / "pickles.py").write_text("from tasks import app\napp.conf.accept_content = ['pickle']\n")
        (private / "celeryconfig.py").write_text(CELERY_CONFIG.format(private))
        env = {**os.environ, **users_of(folder), "PYTHONPATH": str(private), "PYTHONWARNINGS": "ignore"}
        worker = [sys.executable, "-m", "celery", "-A"]
        for pool in [*POOLS, "gevent"]:
            words = [*worker, "tasks", "worker", "-P", pool, "-Q", pool, "-c", "4"]
            words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
            stack.enter_context(process(words, folder / f"{pool}.log", env))
        words, log = [*worker, "pickles", "worker", "-P", "solo"], folder / "pickles.log"
        pickles = stack.enter_context(process(words, log, env))
        client = [sys.executable, "-c", CELERY_CLIENT, ",".join(POOLS), folder, *USERS]
        try:
            out = run(*client, env=env, cwd="/", timeout=HANG)
        except subprocess.TimeoutExpired as error:
            raise AssertionError("".join(path.read_text() for path in folder.glob("*.log"))) from error
        assert out.returncode == 0, out.stderr
        yield {
            **json.loads(out.stdout),
            "owners": {path.name: owner(path)[0] for path in (folder / "shared").glob("*-*")},
            "results": {path.stat().st_mode & 0o777 for path in (private / "results").iterdir()},
            "pickle": (pickles.wait(HANG), log.read_text()),
        }


def test_celery_tasks_create_files_of_their_users(celery):
    assert celery["create"] == [None] * (3 * 8 * 4)
    assert len(celery["owners"]) == 3 * 8 * 4
    assert all(uid == IDS[name.split("-")[1]][0] for name, uid in celery["owners"].items())


@pytest.mark.parametrize("pool", POOLS)
def test_celery_forbidden_read_raises_at_the_caller(celery, pool):
    assert celery[pool] == ["secret of alice", "PermissionError", "IdentityRefused"]


@pytest.mark.parametrize("pool", [*POOLS, "gevent"])
def test_celery_workers_are_clean_afterwards(celery, pool):
    assert celery[f"{pool} clean"] is None


def test_celery_pool_of_greenlets_is_refused(celery):
    assert celery["gevent"] == ["IdentityRefused"] * 3


def test_celery_results_are_readable_unless_their_folder_is_closed(celery):
    assert celery["results"] == {0o644}


def test_celery_worker_of_root_refuses_pickle(celery):
    status, text = celery["pickle"]
    assert status != 0
    assert "superuser privileges" in text


# ---- Ray

RAY_CLIENT = """
import json, os, stat, sys
folder, users = sys.argv[1], [replace.Identity(*map(int, word.split(":"))) for word in sys.argv[2:]]
ray.init(num_cpus=2, object_store_memory=100 << 20, include_dashboard=False, log_to_driver=False,
    _temp_dir=f"{folder}/closed/ray")
found = {}

def outcome(reference):
    try: return ray.get(reference)
    except Exception as error: return [base.__name__ for base in type(error).__mro__]

try: ray.remote(replace.acting_as(users[0], write))
except TypeError as error: found["decorated"] = str(error)

def clean(*actor): replace.assert_clean()

@ray.remote
class Wrong:
    async def enter(self, identity):
        with replace.impersonate(identity): pass

threads, loop = Threads.remote(), Loop.remote()
made = [way.remote(user, f"{folder}/open/{name}-{user.uid}-{number}") for number in range(4) for user in users
    for name, way in (("task", create), ("threads", threads.create), ("loop", loop.create))]
found["made"] = [outcome(one) for one in made]
found["forbidden"] = [outcome(way.remote(users[0], f"{folder}/closed/file"))
    for way in (create, threads.create, loop.create)]
found["enter"] = outcome(Wrong.remote().enter.remote(users[0]))
found["clean"] = [outcome(one) for one in (
    ray.remote(clean).remote(), threads.__ray_call__.remote(clean), loop.__ray_call__.remote(clean))]

def mode(path): return stat.S_IMODE(os.stat(path).st_mode)

session = os.path.realpath(f"{folder}/closed/ray/session_latest")
found["modes"] = [mode(path) for path in (
    f"{folder}/closed/ray", session, session + "/sockets", session + "/runtime_resources/working_dir_files")]
found["token"] = mode(f"{folder}/closed/.ray/auth_token")
port = int(ray.get_runtime_context().gcs_address.rpartition(":")[2])
found["listening"] = [line.split()[1] for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")
    if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")]
print(json.dumps(found))
ray.shutdown()
"""


@pytest.fixture(scope="module")
def ray():
    """Start Ray, run tasks of four users, and return what happened. Ray itself needs five seconds or more."""
    if sys.version_info >= (3, 14):
        pytest.skip("needs ray (no version for this Python)")
    needs_package("ray")
    with world() as folder:
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        (folder / "closed").mkdir(0o700)
        (folder / "closed" / "ray").mkdir(0o700)
        env = {**os.environ, "HOME": f"{folder}/closed", "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        (folder / "program.py").write_text(RAY + RAY_CLIENT)
        users = ["{}:{}".format(*IDS[name]) for name in USERS[:4]]
        with process([sys.executable, folder / "program.py", folder, *users], folder / "log", env) as started:
            assert started.wait(HANG) == 0, (folder / "log").read_text()
        (line,) = re.findall(r"^\{.*\}$", (folder / "log").read_text(), re.M)
        yield {**json.loads(line), "owners": {path.name: owner(path) for path in (folder / "open").iterdir()}}


def test_ray_remote_refuses_an_acting_as_object(ray):
    assert "must be applied to either a function or a class" in ray["decorated"]


def test_ray_tasks_and_actors_create_files_of_their_users(ray):
    assert ray["made"] == [None] * (4 * 4 * 3)
    assert len(ray["owners"]) == 4 * 4 * 3
    assert all(str(ids[0]) == name.split("-")[1] for name, ids in ray["owners"].items())


def test_ray_raises_permission_error_at_the_caller(ray):
    assert all("PermissionError" in bases for bases in ray["forbidden"])


def test_ray_workers_are_clean_afterwards(ray):
    assert ray["clean"] == [None] * 3
    assert "IdentityRefused" in ray["enter"]


def test_ray_opens_its_session_folder_to_all_users(ray):
    assert ray["modes"] == [0o777] * 4


def test_ray_token_is_readable_unless_the_home_is_closed(ray):
    assert ray["token"] == 0o644


def test_ray_listens_on_all_addresses(ray):
    assert [address.split(":")[0].strip("0") for address in ray["listening"]] == [""]


# ---- Other engines


def create(path):
    with open(path, "x") as file:
        file.write("a user's\n")
    time.sleep(0.01)
    return os.getpid()


def test_process_pool_runs_tasks_of_several_users():
    def body():
        with world() as folder, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            (folder / "shared").chmod(0o777)
            jobs = [(user, folder / "shared" / f"{user.uid}{number}") for number in range(8) for user in (ALICE, BOB)]
            tasks = [pool.submit(replace.acting_as(user, create), path) for user, path in jobs]
            assert {task.result(HANG) for task in tasks}.isdisjoint({os.getpid()})
            assert [owner(path) for _, path in jobs] == [(user.uid, user.gid) for user, _ in jobs]
            return [pool.submit(replace.assert_clean).result(HANG) for _ in range(4)]

    assert as_root(body) == [None] * 4
