# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""The command line of flask_server.py and webdav_server.py, and a server with 50 threads that runs until a signal."""

import argparse
import signal
import threading

from cheroot.wsgi import Server


def main(create_app):
    """Serve create_app(FILE_OF_USERS, FOLDER), with both names and the port from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("users")
    parser.add_argument("folder")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--timeout", type=float, default=10, help="seconds without progress until a connection ends")
    options = parser.parse_args()
    try:
        app = create_app(options.users, options.folder)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    # An interrupt in cheroot's queue can lose a wake-up of a thread, and stop() then waits forever. So use sigwait().
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # If more clients than request_queue_size connect at once, the kernel may reset some of the connections.
    server = Server(("127.0.0.1", options.port), app, numthreads=50, request_queue_size=128, timeout=options.timeout)
    server.max_request_header_size = 1 << 16  # limits the memory for a line that never ends
    server.prepare()
    loop = threading.Thread(target=server.serve)
    loop.start()
    print("listening on port", server.bind_addr[1], flush=True)
    signal.sigwait(signals)
    server.stop()
    loop.join()
