# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Process 1 of a host that tests/support/hosts.py makes: it starts commands in the host, as an SSH server would.

usage: python host.py NAME SOCKET

Each connection to the Unix socket has one request, a line of JSON: a command, a signal for a process of this host, or
"cut", which is a loss of power. When process 1 ends, the kernel ends all others. It ends when standard input ends.
"""

import contextlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading


class Request(socketserver.StreamRequestHandler):
    """Answer with the number of the process, and then with its status."""

    def handle(self):
        request = json.loads(self.rfile.readline())
        if "cut" in request:  # without network, so that no other host sees the sockets close
            subprocess.run(["ip", "link", "set", request["cut"], "down"], check=True)
            os._exit(0)
        if "signal" in request:
            os.kill(request["pid"], request["signal"])
            return
        with open(request["log"], "ab") as log:
            process = subprocess.Popen(
                request["words"], env=request["env"], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.answer(process.pid)
        self.answer(process.wait())

    def answer(self, number):
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it
            self.wfile.write(b"%d\n" % number)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main():
    socket.sethostname(sys.argv[1])
    with Server(sys.argv[2], Request) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        os._exit(0)


if __name__ == "__main__":
    main()
