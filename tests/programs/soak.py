# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Switches many threads between many users for a long time, and checks every result.

usage: python tests/programs/soak.py [--switches N] [--threads 64] [--users 64] [--json]   (as root)

Each thread acts as a random user at a random level and does random work: it creates files, opens files of all users,
raises, enters a second user, or uses an IdentityExecutor, acting_as or an iterator.  After each switch back, the
program reads the thread's ids.  Errors are: a file with the wrong owner or group, a forbidden open that succeeds, a
permitted open that fails, ids that differ from those before, and memory that grows.  Prints the figures.  Exit status 1
if there was an error.  The default of 2 000 000 switches takes 3 minutes; test_soak.py runs a short form.
"""

import argparse
import json
import os
import random
import stat
import sys
import tempfile
import threading
import time

import replace

LEVELS = ("effective", "shielded", "real", "filesystem")
PUBLIC = 70000  # a supplementary group of every second user
LOOKS = 50  # how often each thread reads the memory


class Expected(Exception):
    """The exception that the work raises on purpose."""


def identity(number):
    return replace.Identity(80000 + number, 81000 + number, [82000 + number, *([PUBLIC] if number % 2 else [])])


def ids():
    return (replace.getresuid(), replace.getresgid(), replace.getgroups(), replace.getfsuid(), replace.getfsgid())


def resident():
    """The resident memory of this process in kB (proc_pid_status(5))."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def lay_out(folder, people):
    """Make a home for each user, with a file for the user alone, and one for the group PUBLIC."""
    for number, one in enumerate(people):
        home = f"{folder}/{number}"
        os.mkdir(home, 0o711)
        for name, mode, group in (("secret", 0o600, one.gid), ("shared", 0o640, PUBLIC)):
            with open(f"{home}/{name}", "w") as file:
                file.write(str(number))
            os.chown(f"{home}/{name}", one.uid, group)
            os.chmod(f"{home}/{name}", mode)
        os.chown(home, one.uid, one.gid)


class Soak:
    def __init__(self, folder, switches, threads, users, control=None):
        """control: a wrong impersonate that a test tries.  The other ways to switch are then not used."""
        self.folder, self.switches, self.threads = folder, switches, threads
        self.people = [identity(number) for number in range(users)]
        self.base = ids()
        self.control, self.impersonate = control, control or replace.impersonate
        self.lock = threading.Lock()
        self.total = dict.fromkeys(("switches", "files", "opens", "refusals", "exceptions", "nested", "elsewhere"), 0)
        self.wrong: dict[str, int] = {}
        self.memory: list[int] = []  # in kB, read by the workers: how often does not depend on their speed
        lay_out(folder, self.people)

    def note(self, error, right):
        """Count the error, unless it is right."""
        if not right:
            with self.lock:
                self.wrong[error] = self.wrong.get(error, 0) + 1

    def look(self, number, count):
        """As user number: open a random user's file, and check that the kernel permits or refuses it."""
        other = random.randrange(len(self.people))
        name = random.choice(("secret", "shared"))
        may = other == number or (name == "shared" and number % 2 == 1)
        try:
            with open(f"{self.folder}/{other}/{name}") as file:
                self.note("another user's content", file.read() == str(other))
            count["opens"] += 1
            self.note("a forbidden open succeeded", may)
        except PermissionError:
            count["refusals"] += 1
            self.note("a permitted open was refused", not may)

    def create(self, number, count):
        path = f"{self.folder}/{number}/{threading.get_native_id()}-{random.randrange(8)}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            found = os.fstat(descriptor)
            one = self.people[number]
            self.note("wrong owner", (found.st_uid, found.st_gid) == (one.uid, one.gid))
            self.note("wrong mode", stat.S_IMODE(found.st_mode) == 0o600)
            count["files"] += 1
        finally:
            os.close(descriptor)
            os.unlink(path)

    def work(self, number, count):
        kind = random.random()
        if kind < 0.4:
            self.create(number, count)
        elif kind < 0.9:
            self.look(number, count)
        elif kind < 0.95:
            self.note("wrong fs uid", replace.getfsuid() == self.people[number].uid)
        else:
            count["exceptions"] += 1
            raise Expected

    def items(self, number, count):
        for _ in range(2):
            self.create(number, count)
            yield number

    def once(self, count):
        """One piece of work as a random user.  Returns the number of switches there and back."""
        number, level = random.randrange(len(self.people)), random.choice(LEVELS)
        one = self.people[number]
        kind = random.random() * (0.85 if self.control else 1)
        if kind < 0.75:
            with self.impersonate(one, level=level):
                self.work(number, count)
            return 1
        if kind < 0.85:
            other = random.randrange(len(self.people))
            count["nested"] += 1
            with self.impersonate(one, level=level):
                before = ids()
                with self.impersonate(self.people[other], level=level):
                    self.create(other, count)
                self.note("the outer identity changed", ids() == before)
                self.create(number, count)
            return 2
        if kind < 0.95:
            replace.acting_as(one, self.work, level=level)(number, count)
            return 1
        for _ in replace.impersonated(one, self.items(number, count), level=level):
            self.note("switched between two items", ids() == self.base)
        return 4

    def thread(self, share, pool):
        count, done, reported, looked = dict.fromkeys(self.total, 0), 0, 0, 0
        while done < share:
            try:
                done += self.once(count)
            except Expected:
                done += 1
            except Exception as problem:
                done += 1
                self.note(f"unexpected {type(problem).__name__}", False)
            self.note("base ids drifted", ids() == self.base)
            if random.random() < 0.02 and not self.control:
                number = random.randrange(len(self.people))
                count["elsewhere"] += 1
                outcome = pool.submit(self.people[number], self.work, number, count).exception(60)
                self.note("the executor's task failed", outcome is None or isinstance(outcome, Expected))
            if done - looked >= share / LOOKS:
                self.memory.append(resident())
                looked = done
            if done - reported >= 1000:
                with self.lock:
                    self.total["switches"] += done - reported
                reported = done
        with self.lock:
            for name in count:
                self.total[name] += count[name]
            self.total["switches"] += done - reported

    def run(self, progress=False):
        began, memory = time.monotonic(), self.memory
        with replace.IdentityExecutor(8) as pool:
            share = -(-self.switches // self.threads)
            workers = [threading.Thread(target=self.thread, args=(share, pool)) for _ in range(self.threads)]
            for worker in workers:
                worker.start()
            while any(worker.is_alive() for worker in workers):
                time.sleep(min(1.0, self.switches / 200_000))
                if progress:
                    done, size = self.total["switches"], resident()
                    print(
                        f"\r{done:>10} of {self.switches} switches, {size} kB, wrong: {sum(self.wrong.values())}",
                        end="",
                        file=sys.stderr,
                        flush=True,
                    )
            for worker in workers:
                worker.join()
        if progress:
            print(file=sys.stderr)
        self.note("threads differ", len({thread.ids for thread in replace.thread_credentials()}) == 1)
        self.note("base ids drifted", ids() == self.base)
        third = max(1, len(memory) // 3)
        early, late = max(memory[: 2 * third]), max(memory[-third:])  # the last third against the first two
        self.note(f"memory grew from {early} to {late} kB", late <= early + max(2048, early // 20))
        return {
            "threads": self.threads,
            "users": len(self.people),
            **self.total,
            "seconds": round(time.monotonic() - began, 1),
            "resident_kB": {"first two thirds": early, "last third": late},
            "wrong": self.wrong,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--switches", type=int, default=2_000_000)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    arguments = parser.parse_args()
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        parser.error("run this program as root, with a build whose calls change one thread (-Dcredentials=syscall)")
    replace.setgroups([])
    sys.setswitchinterval(0.0005)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o711)
        soak = Soak(folder, arguments.switches, arguments.threads, arguments.users)
        figures = soak.run(progress=sys.stderr.isatty())
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:>12}: {value}")
    return 1 if figures["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
