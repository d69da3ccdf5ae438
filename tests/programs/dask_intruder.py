# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Try to talk to a Dask cluster from another host, without a certificate of the cluster, and with one.

usage: python dask_intruder.py FOLDER RESULT PORTS   (PORTS: a JSON list of addresses and ports)

tests/programs/dask_client.py starts it on node3.
"""

import json
import socket
import ssl
import sys
from pathlib import Path

import distributed
from distributed.security import Security
from support.children import HANG


def files(folder):
    """Return the arguments of Security and of load_cert_chain() for the certificates in a folder."""
    ca, *pair = (str(Path(folder, name)) for name in ("ca.pem", "host.pem", "host.key"))
    return ca, pair


def context(pair):
    """Return a TLS context that accepts every server."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    if pair:
        found.load_cert_chain(*pair)
    return found


def answer(target, tls):
    """Connect; return whether the server has sent a message of Dask, and this message or the reason of the error."""
    try:
        with socket.create_connection(target, HANG) as plain:
            if not tls:
                plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                text = repr(plain.recv(100))
            else:
                with tls.wrap_socket(plain) as stream:
                    text = repr(stream.recv(100))  # nothing is sent: an error of sending could hide the server's reason
    except OSError as error:
        return False, getattr(error, "reason", None) or repr(error)
    return "compression" in text, text


def connects(address, security, timeout):
    """Whether a client of Dask can connect. It tries again until the timeout, also if the server refuses."""
    try:
        with distributed.Client(address, security=security, timeout=timeout, set_as_default=False):
            return True
    except OSError:
        return False


def main():
    folder, result, ports = sys.argv[1:]
    own, other = f"{folder}/disk/cluster", f"{folder}/disk/other"
    kinds = {
        "plain": None, "no certificate": context(None), "other authority": context(files(other)[1]),
        "own": context(files(own)[1]),
    }  # fmt: skip
    answers = {kind: [answer(tuple(port), tls) for port in json.loads(ports)] for kind, tls in kinds.items()}
    clients = {}
    (scheduler,) = {f"tls://{address}:{port}" for address, port in json.loads(ports) if port == 8786}
    for name, place, timeout in (("own", own, HANG), ("other authority", other, 2)):
        ca, (cert, key) = files(place)
        security = Security(require_encryption=True, tls_ca_file=ca, tls_client_cert=cert, tls_client_key=key)
        clients[name] = connects(scheduler, security, timeout)
    Path(result).write_text(json.dumps({"answers": answers, "clients": clients}))


if __name__ == "__main__":
    main()
