"""Certificates made for a test."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-made certificate and its key."""

    file: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """Return a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        context.set_alpn_protocols(["http/1.1"])
        return context


def make_certificate(folder: Path, name: str, *names: str) -> Certificate:
    """Make a certificate for `names` (`DNS:…`, `IP:…`) with openssl."""
    file, key = folder / f"{name}.pem", folder / f"{name}.key"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(names)}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(file), *subject], check=True, capture_output=True)
    return Certificate(file, key)
