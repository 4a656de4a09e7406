"""A mail server for tests: real SMTP on a real socket, with scripted answers, that keeps what it got."""

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Mail:
    """One mail as it came, and how."""

    sender: str
    to: list[str]
    body: bytes
    encrypted: bool
    user: str | None


@dataclass
class MailServer:
    """`with MailServer() as server:`; `answers` replaces what it says by the word of a command (`MAIL`, `RCPT`, `DATA`, `.`, `AUTH`, `EHLO`, ``); a list is
    what it says the first times.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    answers: dict[str, str | list[str]] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.owner = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    owner: MailServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is no news."""


class _Talk(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.encrypted = False
        self.user: str | None = None
        if self.server.owner.implicit:
            self._encrypt()
        self._files()
        if not self._say("", "220 ready"):
            return
        self.sender, self.to = "", []
        while line := self.file.readline():
            word = line.split()[0].upper().decode() if line.split() else ""
            if word == "QUIT" or not self._step(word, line.decode().strip()):
                self._say("QUIT", "221 bye")
                return

    def finish(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
        self.request.close()

    def _step(self, word: str, line: str) -> bool:
        if word == "EHLO":
            offered = ["STARTTLS"] if self.server.owner.tls and not self.encrypted else []
            return self._say(word, "".join(f"250-{one}\r\n" for one in ["server", *offered]) + "250 AUTH PLAIN")
        if word == "STARTTLS":
            self._say(word, "220 go")
            self._encrypt()
            self._files()
            return True
        if word == "AUTH":
            self.user = base64.b64decode(line.split()[2]).split(b"\0")[1].decode()
            return self._say(word, "235 ok")
        if word == "MAIL":
            self.sender, self.to = line.partition(":")[2].split(">")[0].strip("< "), []
        if word == "RCPT":
            self.to.append(line.partition(":")[2].split(">")[0].strip("< "))
        if word == "DATA":
            if self._said(word, "354 go").startswith("354"):
                self._mail()
                return self._say(".", "250 taken")
            return True
        return self._say(word, "250 ok")

    def _mail(self) -> None:
        lines = []
        while (line := self.file.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        self.server.owner.mails.append(Mail(self.sender, self.to, b"".join(lines), self.encrypted, self.user))

    def _encrypt(self) -> None:
        assert self.server.owner.tls is not None
        self.request = self.server.owner.tls.wrap_socket(self.request, server_side=True)
        self.encrypted = True

    def _files(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
        self.file = self.request.makefile("rb")

    def _said(self, word: str, usual: str) -> str:
        told = self.server.owner.answers.get(word, usual)
        if isinstance(told, list):
            told = told.pop(0) if told else usual
        self.request.sendall(told.encode() + b"\r\n")
        return told

    def _say(self, word: str, usual: str) -> bool:
        """Answer; False where that ends the conversation."""
        return not self._said(word, usual).startswith("421")
