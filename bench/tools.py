"""The mock provider, the load generator, and nginx: what Faregate is measured with and against."""

import json
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Tree, children, on_cpu, real_time, start, stop

HERE = Path(__file__).resolve().parent
LOAD_CPU = 1
PROXY_CPU = 0


class Missing(Exception):
    """Something that the benchmark needs is not on this machine."""


class LoadFailed(Exception):
    """Calls went wrong: a figure of failing calls would mean nothing."""


def compiled(name: str, folder: Path) -> str:
    """Return the path of `bench/NAME.c`, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Missing(
            "A C compiler (cc, gcc or clang) is needed for the mock provider and the load generator: install one, then try again."
        )
    program = folder / name
    subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / f"{name}.c")], check=True)
    return str(program)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Mock:
    """The mock provider, running."""

    def __init__(self, folder: Path) -> None:
        """Compile and start it."""
        self.process = start([compiled("mock", folder), "0"], LOAD_CPU, log=folder / "mock.log", output=subprocess.PIPE)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline().split()[1])

    def close(self) -> None:
        """Stop it."""
        stop(self.process)


@dataclass(frozen=True, slots=True)
class Work:
    """What the load generator does: `rate` calls a second, or, with None, each of `connections` as fast as it can.

    `chunks` 0 is plain calls; else streams of so many chunks, `gap_us` apart. `think_us` is how long the provider thinks.
    """

    seconds: float
    connections: int = 32
    rate: float | None = None
    chunks: int = 0
    gap_us: int = 0
    think_us: int = 0
    calls: int | None = None
    samples: bool = False

    def options(self) -> list[str]:
        """Return the options of bench/load.c."""
        options = [
            "-d",
            f"{self.seconds}",
            "-c",
            f"{self.connections}",
            "-b",
            f"{self.chunks}",
            "-g",
            f"{self.gap_us}",
            "-t",
            f"{self.think_us}",
        ]
        options += [] if self.rate is None else ["-r", f"{self.rate}"]
        options += [] if self.calls is None else ["-n", f"{self.calls}"]
        return [*options, "-a"] if self.samples else options


@dataclass(frozen=True, slots=True)
class Address:
    """Where the load generator sends its calls."""

    port: int
    path: str = "/v1/chat/completions"
    key: str = "none"


class Load:
    """The load generator."""

    def __init__(self, folder: Path) -> None:
        """Compile it."""
        self._program = compiled("load", folder)
        self.real_time = False

    def begin(self, address: Address, work: Work) -> subprocess.Popen[bytes]:
        """Start it, for `result` to wait for."""
        arguments = [self._program, "-p", f"{address.port}", "-u", address.path, "-k", address.key, *work.options()]
        with on_cpu(LOAD_CPU):
            process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
        if self.real_time:
            real_time([process.pid], on=True)
        return process

    def result(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Return what it measured."""
        output, _ = process.communicate()
        if process.returncode:
            raise LoadFailed(f"the load generator ended with {process.returncode}")
        result: dict[str, Any] = json.loads(output)
        if result["errors"] or result["bad_streams"] or not result["calls"]:
            raise LoadFailed(
                f"{result['errors']} errors (last: {result['last_error']}) and {result['bad_streams']} incomplete streams of {result['calls']} calls"
            )
        return result

    def run(self, address: Address, work: Work) -> dict[str, Any]:
        """Do it all, and return what was measured."""
        return self.result(self.begin(address, work))


class Nginx:
    """nginx: a proxy of the mock (`plain`, and `secure` over TLS), and, on the CPU of the mock, the TLS in front of it."""

    def __init__(self, folder: Path, mock_port: int) -> None:
        """Start both; raise Missing where there is no nginx."""
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise Missing("nginx is not installed, so there are no ratios to it.")
        self._program = program
        self._folder = folder
        self.certificate = self._make_certificate()
        self.plain, self.secure, self.front = free_port(), free_port(), free_port()
        tls = f"ssl_certificate {self.certificate}; ssl_certificate_key {folder}/tls.key; ssl_protocols TLSv1.3;"
        to_front = f"proxy_ssl_trusted_certificate {self.certificate}; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.3;"
        front = _server(f"{self.front} ssl", tls, f"http://127.0.0.1:{mock_port}")
        self._front = self._start("front", [front], LOAD_CPU)
        proxies = [
            _server(f"{self.plain}", "", f"http://127.0.0.1:{mock_port}"),
            _server(f"{self.secure}", to_front, f"https://127.0.0.1:{self.front}"),
        ]
        self._proxy = self._start("proxy", proxies, PROXY_CPU)
        self.tree = _tree_of(self._proxy)
        self.front_tree = _tree_of(self._front)

    def _make_certificate(self) -> Path:
        if shutil.which("openssl") is None:
            raise Missing("openssl is not installed: the https upstream needs a certificate.")
        certificate = self._folder / "tls.pem"
        options = [
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
        ]
        names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-keyout", str(self._folder / "tls.key"), "-out", str(certificate)]
        subprocess.run(["openssl", "req", *options, *names, *files], check=True, capture_output=True)
        return certificate

    def _start(self, name: str, servers: list[str], cpu: int) -> subprocess.Popen[bytes]:
        folder = self._folder / f"nginx-{name}"
        folder.mkdir()
        (folder / "nginx.conf").write_text(_CONFIG.format(folder=folder, servers="\n".join(servers)))
        arguments = [self._program, "-c", f"{folder}/nginx.conf", "-p", str(folder), "-e", f"{folder}/error.log"]
        return start(arguments, cpu, log=folder / "stderr.log")

    def said(self) -> str:
        """Return the last thing that it complained about."""
        logs = [self._folder / f"nginx-{name}" / "error.log" for name in ("proxy", "front")]
        return "; ".join(line for log in logs if log.exists() for line in log.read_text().splitlines()[-1:])

    def close(self) -> None:
        """Stop both."""
        stop(self._proxy)
        stop(self._front)


def _tree_of(process: subprocess.Popen[bytes]) -> Tree:
    while len(children(process.pid)) < 1:
        if process.poll() is not None:
            raise Missing(f"nginx ended with {process.returncode} at its start.")
    workers = {f"worker {number}": pid for number, pid in enumerate(children(process.pid))}
    return Tree({"master": process.pid, **workers})


def _server(listen: str, more: str, upstream: str) -> str:
    scheme, _, address = upstream.partition("://")
    name = "to_" + address.rpartition(":")[2] + "_" + listen.split(maxsplit=1)[0]
    return (
        f"upstream {name} {{ server {address} max_fails=0; keepalive 64; keepalive_requests 1000000; keepalive_timeout 300s; }}\n"
        f"server {{ listen 127.0.0.1:{listen}; {more} location / {{ proxy_pass {scheme}://{name}; }} }}"
    )


_CONFIG = """
daemon off; worker_processes 1; pid {folder}/pid; worker_rlimit_nofile 10000;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000; keepalive_timeout 300s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection "";
    {servers}
}}
"""
