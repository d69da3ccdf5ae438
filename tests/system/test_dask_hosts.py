# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Dask on three hosts, as docs/dask.md says: TLS, users whose ids differ, hosts and workers that die.

The hosts are namespaces of this machine (support/hosts.py). The client tests/programs/dask_client.py runs all tasks.
Each test checks one part of what it has seen.
"""

import json
import os
import pickle
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from support.builds import ROOT, needs_package, run
from support.children import HANG, as_root
from support.hosts import connected
from support.servers import command

import replace

#: The fixture starts more than twenty processes that import Dask. That takes long on a machine with other work.
pytestmark = pytest.mark.timeout(1200)

PAGE = (ROOT / "docs" / "dask.md").read_text()
PATHS = ["docs/examples", "tests", "tests/programs"]

#: node2 does not know bob. On node3, carol has another uid, and her number belongs to mallory; dave lacks a group.
USERS = {"alice": 84001, "bob": 84002, "carol": 84003, "dave": 84004, "erin": 84005}
OTHER = 84103
DIFFERENT = {
    ("bob", "node2"): "no user has the name 'bob'",
    ("carol", "node3"): f"Identity\\(uid={OTHER}, .*\\)",
    ("dave", "node3"): f"Identity\\(uid={USERS['dave']}, .*, groups=\\({USERS['dave']},\\)\\)",
}
THREADS = 2  # of a worker


def databases():
    """Return the lines of passwd and group of each host."""
    found = {}
    for node in ("node1", "node2", "node3"):
        users = dict(USERS)
        if node == "node2":
            del users["bob"]
        if node == "node3":
            users = {**users, "carol": OTHER, "mallory": USERS["carol"]}
        members = [name for name in users if (node, name) != ("node3", "dave")]
        passwd = [f"{name}:x:{uid}:{uid}::/:/bin/sh" for name, uid in users.items()]
        group = [f"{name}:x:{uid}:" for name, uid in users.items()] + [f"team:x:84900:{','.join(members)}"]
        found[node] = (passwd, group)
    return found


def prepare(folder, hosts):
    """Make certificates, the configuration and the folders of the users."""
    for name in ("certificates", "other"):
        words = command("dask_certificates.py", {"certificates": folder / "hosts" / name}, "python docs/examples/")
        out = run(*words)
        assert out.returncode == 0, out.stderr
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    disk = folder / "disk"
    (folder / "config.yaml").write_text(
        text.replace("/etc/cluster", f"{disk}/cluster").replace("/var/lib/cluster", f"{disk}/spill")
    )
    for host in hosts:
        place = host.folder / "disk"
        shutil.copytree(folder / "hosts" / "certificates" / host.name, place / "cluster")
        shutil.copytree(folder / "hosts" / "other" / host.name, place / "other")
        (place / "spill").mkdir(0o700)
        (place / "open").mkdir()
        (place / "open").chmod(0o777)
        (place / "mallory").write_text("mallory's")
        (place / "mallory").chmod(0o600)
        os.chown(place / "mallory", USERS["carol"], USERS["carol"])
    for name in ("shared", "killed", "off"):
        for user, uid in USERS.items():
            (folder / name / user).mkdir(0o700, parents=True)
            os.chown(folder / name / user, uid, uid)


def run_cluster():
    """Start the scheduler and the client on node1; return what the client has seen."""
    with tempfile.TemporaryDirectory(prefix="libreplace-hosts-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with connected(folder, databases()) as hosts:
            prepare(folder, hosts)
            # The variables of this child are those of all processes of the hosts.
            os.environ.update(
                DASK_CONFIG=str(folder / "config.yaml"),
                DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT=f"{HANG}s",
                DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP="12s",  # how soon a host without power is missed; 11 is the least
                PYTHONPATH=os.pathsep.join(str(ROOT / path) for path in PATHS),
            )
            node1, scheduler = hosts[0], f"tls://{hosts[0].address}:8786"
            of_scheduler = {"tls://node1:8786": scheduler}
            plan = {
                "hosts": [host.name for host in hosts],
                "scheduler": scheduler,
                "threads": THREADS,
                "worker": command("worker", {**of_scheduler, "4": THREADS}, "dask "),
                "compare": command("dask_hosts.py", of_scheduler, "python docs/examples/")[:-2],  # without users
            }
            (folder / "hosts" / "plan").write_text(json.dumps(plan))
            node1.start(*command("scheduler", {"node1": node1.address}, "dask "))
            log = folder / "hosts" / "client.log"
            status = node1.start(sys.executable, ROOT / "tests" / "programs" / "dask_client.py", folder, log=log).wait()
            logs = [log, *(folder / "hosts").glob("*/log"), *(folder / "hosts").glob("*-worker-*.log")]
            assert status == 0, "\n".join(f"{log.name}: {log.read_text()[-5000:]}" for log in logs)
            return pickle.loads((folder / "hosts" / "found").read_bytes())


@pytest.fixture(scope="module")
def found():
    needs_package("distributed", "cryptography")
    answer = as_root(run_cluster)
    if answer is None:
        pytest.skip("needs a build whose calls change one thread")
    return answer


def test_functions_of_the_page_are_in_the_example():
    (functions,) = re.findall(r"^```python\n(def difference.*?)^```$", PAGE, re.M | re.S)
    assert functions in (ROOT / "docs" / "examples" / "dask_hosts.py").read_text()


def all_right(after):
    """Whether the files of alice and erin, and no others, were created by them on each of these hosts."""
    owners, hosts = after
    return owners == {name: {(USERS[name], USERS[name])} for name in ("alice", "erin")} and hosts


def test_tasks_on_each_host_create_files_owned_by_their_user(found):
    tasks = found["users"]["tasks"]
    assert len(tasks) == 15
    for (name, host), result in tasks.items():
        if (name, host) not in DIFFERENT:
            assert result == (host, (USERS[name], USERS[name]))


def test_user_who_differs_on_a_host_is_an_error_of_that_task(found):
    """The user is missing, has another uid or other groups. The message says where, and what differs."""
    users = found["users"]
    for (name, host), words in DIFFERENT.items():
        error = users["tasks"][name, host]
        assert type(error) is PermissionError
        assert re.fullmatch(f"{name} on {host}: {words}; expected: Identity\\(uid={USERS[name]}, .*", str(error))
    assert users["same processes"], "no worker ended"
    assert all_right(users["after"]) == {"node1", "node2", "node3"}
    assert users["clean"] == [None] * 3


def test_comparison_of_all_workers_names_each_user_who_differs(found):
    different = found["users"]["differences"]
    assert {(text.split()[0], host) for host, texts in different.items() for text in texts} == set(DIFFERENT)
    assert set(map(str, (found["users"]["tasks"][case] for case in DIFFERENT))) == set(sum(different.values(), []))


def test_program_of_the_page_reports_users_who_differ(found):
    """An administrator runs it before the server starts."""
    status, text = found["program"]["alice"]
    assert (status, text.count("the same users")) == (0, 3)
    status, text = found["program"]["alice bob"]
    assert (status, text.count("the same users")) == (1, 2)
    assert "bob on node2: no user has the name 'bob'" in text
    assert text.endswith("the users are not the same on all workers\n")


def test_number_alone_can_be_another_user_on_another_host(found):
    """Without the comparison, carol's task reads the file of mallory, who has carol's number there."""
    assert found["numbers"]["number"] == "mallory's"
    assert type(found["numbers"]["compared"]) is PermissionError


def test_name_looked_up_on_the_worker_has_the_ids_of_that_machine(found):
    assert found["numbers"]["local owners"] == {"node1": USERS["carol"], "node2": USERS["carol"], "node3": OTHER}
    assert repr(found["numbers"]["missing"]) == repr(KeyError("no user has the name 'bob'"))


def test_secede_as_the_server_leaves_no_thread_switched(found):
    seceding = found["seceding"]
    assert seceding["as the server"] == {(USERS["alice"], USERS["alice"])}
    assert all_right(seceding["after"]) == {"node1", "node2", "node3"}
    assert seceding["clean"] == [None] * 3


def test_refused_secede_costs_the_worker_a_thread_until_it_restarts(found):
    """Dask counts the thread that was not allowed to start."""
    seceding = found["seceding"]
    assert type(seceding["refused"]) is replace.IdentityRefused
    before, after, new = seceding["living threads"]
    assert before == (THREADS, THREADS)
    assert after == (THREADS - 1, THREADS)
    assert all(living == counted for living, counted in new.values())


@pytest.mark.parametrize("step", ["seceding", "killed", "adaptive"])
def test_new_workers_call_protect_os_before_they_run_tasks(found, step):
    assert found[step]["protected"]
    assert {type(error) for error in found[step]["protected"]} == {replace.IdentityRefused}


def test_killed_worker_is_replaced_and_its_tasks_run_again(found):
    killed = found["killed"]
    assert killed["first"] == ("node2", True)
    assert sorted(killed["same processes"]) == [False, True, True]
    assert killed["runs"] == (2, 4)
    assert killed["owners"] == {name: {(USERS[name], USERS[name])} for name in ("alice", "erin")}
    assert all_right(killed["after"])
    assert all_right(killed["again"]) == {"node1", "node2", "node3"}
    assert killed["clean"] == [None] * 3


def test_host_without_power_is_replaced_and_its_tasks_run_again(found):
    """The cluster is adaptive: Dask had ended all workers, and started new ones for these tasks."""
    adaptive = found["adaptive"]
    assert adaptive["last"] == {"node1": 2, "node2": 0, "node3": 1}
    assert adaptive["on node2"]
    assert adaptive["runs"] == (3 * THREADS, 10 + adaptive["on node2"])
    assert adaptive["owners"] == {name: {(USERS[name], USERS[name])} for name in ("alice", "erin")}
    assert all_right(adaptive["again"])
    assert set(adaptive["clean"]) == {None}


def test_no_task_has_run_as_another_user(found):
    assert found["everything"] == {name: {(uid, uid)} for name, uid in USERS.items()}


def test_ports_that_other_hosts_can_reach_accept_only_certificates_of_the_cluster(found):
    """The scheduler, the workers and the nannies. Each certificate of the cluster is enough for a client."""
    seen = found["intruders"]
    reachable = {
        address: [port for own, port in ports if not own.startswith("127.")] for address, ports in seen["ports"].items()
    }
    assert 8786 in reachable["192.0.2.1"]
    assert [len(ports) for ports in reachable.values()] == [3, 2, 2]
    answers = seen["answers"]
    assert all(len(of_kind) == 7 for of_kind in answers.values())
    accepted = {kind: {is_accepted for is_accepted, _ in of_kind} for kind, of_kind in answers.items()}
    assert accepted == {"plain": {False}, "no certificate": {False}, "other authority": {False}, "own": {True}}
    assert "TLSV13_ALERT_CERTIFICATE_REQUIRED" in [text for _, text in answers["no certificate"]]
    assert "TLSV1_ALERT_UNKNOWN_CA" in [text for _, text in answers["other authority"]]
    assert not any("HTTP" in text for _, text in answers["plain"])
    assert seen["clients"] == {"own": True, "other authority": False}


def test_worker_whose_preload_module_fails_does_not_start(found):
    assert found["unprotected"] != 0
