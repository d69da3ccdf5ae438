# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Measure how long a switch takes while another thread waits in vfork().

usage: python vfork_stall.py [SECONDS]   (default 2; as root)

posix_spawn(3) of glibc uses vfork: the calling thread waits in the kernel, and ignores signals, until the child has
opened its files and executed its program. Here the child opens a FIFO, and a writer comes only after SECONDS. A slow
disk or network file system has the same effect. Each way runs in a separate process.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import replace

#: The writer to the FIFO. It is another process, because os.setresuid keeps the GIL: no thread here could write.
WRITER = 'read go; sleep "$1"; : > "$2"'


def spawn_reading(fifo):
    """Call posix_spawn("true") with the FIFO as standard input. (os.posix_spawn would keep the GIL while it waits.)"""
    libc = ctypes.CDLL(None)
    words, nothing = (ctypes.c_char_p * 2)(b"true", None), (ctypes.c_char_p * 1)(None)
    actions = ctypes.create_string_buffer(1024)  # posix_spawn_file_actions_t: 80 bytes in glibc
    assert libc.posix_spawn_file_actions_init(actions) == 0
    assert libc.posix_spawn_file_actions_addopen(actions, 0, os.fsencode(fifo), os.O_RDONLY, 0) == 0
    pid = ctypes.c_int()
    assert libc.posix_spawnp(ctypes.byref(pid), b"true", actions, None, words, nothing) == 0
    os.waitpid(pid.value, 0)


def state(thread):
    """The state of a thread, from the kernel: D means that signals cannot interrupt it."""
    with open(f"/proc/self/task/{thread.native_id}/status") as file:
        return next(line.split()[1] for line in file if line.startswith("State:"))


def switch(way, seconds):
    """The seconds that one switch takes while another thread waits in vfork for `seconds`."""
    setresuid = {"os.setresuid": os.setresuid, "replace.setresuid": replace.setresuid}[way]
    with tempfile.TemporaryDirectory() as folder:
        fifo = f"{folder}/fifo"
        os.mkfifo(fifo)
        # Start the writer before the thread calls posix_spawn(). During that call, glibc 2.41 and musl hold a lock of
        # abort(3). A child that Popen starts then waits for this lock when it resets its signal handlers.
        with subprocess.Popen(["sh", "-c", WRITER, "sh", str(seconds), fifo], stdin=subprocess.PIPE) as writer:
            stuck = threading.Thread(target=spawn_reading, args=(fifo,))
            stuck.start()
            while state(stuck) != "D":
                time.sleep(0.001)
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
            started = time.monotonic()
            setresuid(-1, 80001, -1)
            elapsed = time.monotonic() - started
            setresuid(-1, 0, -1)
        stuck.join()
    return elapsed


def measure(way, seconds):
    """Print the result of switch() in a new process. If this takes too long, end the process and its children."""
    words = [sys.executable, __file__, str(seconds), way]
    with subprocess.Popen(words, start_new_session=True) as process:  # a new session is a new process group, too
        try:
            status = process.wait(seconds + 60)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status != 0:
        raise SystemExit(f"{way}: failed")


def main():
    """Print one line for each way, and the conclusion."""
    if os.geteuid() != 0 or replace.SCOPE != "thread":
        raise SystemExit("this program needs root and a build whose calls change one thread; see `libreplace report`")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    if len(sys.argv) > 2:  # started by measure()
        print(f"{sys.argv[2]:20}{switch(sys.argv[2], seconds):10.6f} s")
        return
    print(f"one switch while another thread is in vfork for {seconds:g} s", flush=True)
    for way in ("os.setresuid", "replace.setresuid"):
        measure(way, seconds)
    print("libc's call waits until every thread has made the call, too. Ours involves no other thread.")


if __name__ == "__main__":
    main()
