# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Make the certificates of a Dask cluster: a new certificate authority, and one certificate for each machine.

usage: python dask_certificates.py FOLDER MACHINE...   (`pip install cryptography`)

Each machine gets its folder FOLDER/MACHINE, with ca.pem, host.pem and host.key. The authority's own key is not stored,
so nobody can add a certificate later. For another machine, make new certificates for all.

docs/dask.md explains who may have the keys.
"""

import datetime
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE = datetime.timedelta(days=365)


def certificate(name, key, issuer, issuer_key, is_authority):
    """Return a certificate of the key, signed by the issuer."""
    now = datetime.datetime.now(datetime.timezone.utc)
    identifier = x509.SubjectKeyIdentifier.from_public_key
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only"), False,
    )  # fmt: skip
    signs = {"digital_signature": not is_authority, "key_cert_sign": is_authority, "crl_sign": is_authority}
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **signs), critical=True)
        .add_extension(identifier(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def named(name):
    """Return the distinguished name with this common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def write(path, data):
    """Create a file that only this user can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def main():
    """Make a folder for each machine."""
    if len(sys.argv) < 3:
        raise SystemExit("usage: python dask_certificates.py FOLDER MACHINE...")
    folder, *machines = sys.argv[1:]
    os.mkdir(folder, 0o700)
    authority, authority_key = named("a Dask cluster"), ec.generate_private_key(ec.SECP256R1())
    ca = certificate(authority, authority_key, authority, authority_key, True)
    for machine in machines:
        key = ec.generate_private_key(ec.SECP256R1())
        made = certificate(named(machine), key, authority, authority_key, False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        place = Path(folder, machine)
        place.mkdir(0o700)
        write(place / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
        write(place / "host.pem", made.public_bytes(serialization.Encoding.PEM))
        write(place / "host.key", private)


if __name__ == "__main__":
    main()
