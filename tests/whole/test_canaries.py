"""No secret is ever written down, shown or logged, and no prompt is where only the store may have it: unique strings are sent everywhere and looked for."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.harness.client import RawClient
from tests.harness.compare import request
from tests.harness.faults import Postgres, asked, postgres, processes, running, standing_still, token
from tests.harness.frames import SWITCHING, handshake
from tests.harness.gate import Gate, children_of, free_port
from tests.harness.messages import Ended
from tests.harness.records import Records
from tests.harness.steps import Close, ReadBody, Reset, Script, Send, answer
from tests.harness.traffic import recorded_once, settles
from tests.harness.upstream import ScriptedUpstream
from tests.harness.wire import until
from tests.wire.settings import HASTY, upstream_table

pytestmark = pytest.mark.slow
MARK = "canary0"
PROMPT = "prompt-" + MARK + "-in-a-body"


def canary(name: str, prefix: str = "sk-") -> str:
    """Return a secret that is found wherever it goes."""
    return f"{prefix}{MARK}-{name}-0123456789"


MANAGED = canary("managed", "fg-")
OWN = canary("upstream-own")
ADMIN = canary("admin-token", "")
CREDENTIAL_HEADERS = {
    "Authorization": "Bearer " + canary("bearer"),
    "authorization": "Basic " + canary("basic", ""),
    "AUTHORIZATION": canary("bare"),
    "x-api-key": canary("x-api-key"),
    "X-Api-Key": "Bearer " + canary("x-api-key-bearer"),
    "api-key": canary("azure"),
    "x-goog-api-key": canary("google", "AIza"),
    "x-faregate-key": canary("wrong-managed", "fg-"),
    "Cookie": "session=" + canary("cookie", ""),
    "Proxy-Authorization": "Basic " + canary("proxy", ""),
    "Helicone-Auth": "Bearer " + canary("helicone"),
    "x-portkey-api-key": canary("portkey"),
    "x-portkey-virtual-key": canary("portkey-virtual"),
    "cf-aig-authorization": "Bearer " + canary("cloudflare"),
    "X-Session-Token": canary("session-token"),
    "X-Amz-Security-Token": canary("amz-token"),
    "x_api_key": canary("underscores"),
    "OpenAI-Session-Secret": canary("session-secret"),
    "X-My-Password": canary("password"),
}
QUERIES = {
    name: canary("query-" + name.replace("%", "p").replace("-", ""), "")
    for name in (
        "key",
        "api_key",
        "api-key",
        "access_token",
        "token",
        "sig",
        "X-Amz-Signature",
        "client_secret",
        "%6Bey",
        "password",
    )
}
ANSWER_HEADERS = {
    "Set-Cookie": "session=" + canary("set-cookie", "") + "; HttpOnly",
    "X-Api-Key": canary("answer-key"),
    "Authorization": "Bearer " + canary("answer-bearer"),
    "Location": "https://files.example.com/x?sig=" + canary("location-sig", ""),
    "Content-Location": "https://files.example.com/x?X-Amz-Signature=" + canary("content-location", ""),
    "X-Session-Token": canary("answer-token"),
}
PLAIN = b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + PROMPT.encode() + b'"}]}'
STREAM = PLAIN.replace(b"{", b'{"stream":true,', 1)
ANSWERED = b'{"id":"c","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"%b"}}]}' % PROMPT.encode()
BODIES = [
    PLAIN,
    STREAM,
    b'{"model":"gpt-4o","messages":"' + PROMPT.encode() + b'"}',
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + PROMPT.encode(),
    b'{"model":"gpt-4o","messages":[{"role":7,"content":{"' + PROMPT.encode() + b'":1}}],"tools":"' + PROMPT.encode() + b'"}',
    b'{"model":"gpt-4o","model":"gpt-4o","messages":[{"content":"' + PROMPT.encode() + b'"}]}',
    b'{"model":7,"stream":"' + PROMPT.encode() + b'","max_tokens":"' + PROMPT.encode() + b'"}',
    b"\xff\xfe" + PROMPT.encode(),
]


def sized(status: bytes, body: bytes, headers: bytes = b"") -> Script:
    return answer(
        b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)
    )


SCRIPTS: dict[str, Script] = {
    "answered": sized(b"200 OK", ANSWERED, "".join(f"{name}: {value}\r\n" for name, value in ANSWER_HEADERS.items()).encode()),
    "refused": sized(b"400 Bad", b'{"error":{"message":"cannot read: %b","type":"invalid_request_error"}}' % PROMPT.encode()),
    "unreadable": sized(b"200 OK", b'{"choices":"%b' % PROMPT.encode()),
    "no JSON": sized(b"500 Oh", b"<html>" + PROMPT.encode()),
    "cut": (ReadBody(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + PROMPT.encode()), Close()),
    "reset": (ReadBody(), Reset()),
    "no HTTP": (ReadBody(), Send(PROMPT.encode() + b"\r\n\r\n"), Close()),
    "stream": (
        ReadBody(),
        Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"),
        Send(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\ndata: %b\n\n' % (PROMPT.encode(), PROMPT.encode())),
        Close(),
    ),
}


@dataclass(slots=True)
class Made:
    """The calls that were made, and what our own answers said."""

    calls: set[str]
    own_answers: list[bytes]
    errors: list[bytes]


def settings(upstream: ScriptedUpstream, more: str = "") -> str:
    tables = [
        upstream_table("openai", upstream.port, keys=(OWN,), timeout=HASTY),
        upstream_table("anthropic", upstream.port, path="", dialect="anthropic", keys=(OWN,)),
        upstream_table("gemini", upstream.port, path="", dialect="gemini", keys=(OWN,)),
        upstream_table("gone", free_port(), keys=(OWN,)),
    ]
    key = f'[keys.ci]\nsecret = "{MANAGED}"\nmodels = ["gpt-*", "claude*", "gemini*"]\n'
    return more + "".join(tables) + key


def calls_of_many_kinds(gate: Gate, upstream: ScriptedUpstream, headers: bytes = b"") -> Made:
    """Make calls with every credential, every body and every ending."""
    made = Made(set(), [], [])
    managed = b"Bearer " + MANAGED.encode()
    upstream.plan(SCRIPTS["answered"])
    for name, value in CREDENTIAL_HEADERS.items():
        own = f"{name}: {value}\r\n".encode()
        _call(
            gate, made, request(body=PLAIN, headers=headers + own, credential=b"" if name.lower() == "authorization" else managed)
        )
        _call(gate, made, request(body=PLAIN, headers=headers + own, credential=b""))
    for name, value in QUERIES.items():
        for path in ("/v1/chat/completions", "/gemini/v1beta/models/gemini-2:generateContent", "/gone/v1/chat/completions"):
            _call(gate, made, request(target=f"{path}?a=b&{name}={value}".encode(), body=PLAIN, headers=headers, credential=b""))
            _call(gate, made, request(target=f"{path}?{name}={value}".encode(), body=PLAIN, headers=headers, credential=managed))
    _call(
        gate,
        made,
        request(
            target=f"/gemini/v1beta/models/gemini-2:generateContent?key={MANAGED}".encode(),
            body=PLAIN,
            headers=headers,
            credential=b"",
        ),
    )
    for name, script in SCRIPTS.items():
        upstream.plan(script)
        for target in (b"/v1/chat/completions", b"/v1/responses", b"/anthropic/v1/messages", b"/gone/v1/x"):
            for body in BODIES if name == "answered" else BODIES[:3]:
                _call(gate, made, request(target=target, body=body, headers=headers, credential=managed))
    _odd_ones(gate, made, headers)
    _websocket(gate, upstream, made, headers)
    return made


def _odd_ones(gate: Gate, made: Made, headers: bytes) -> None:
    managed = b"Bearer " + MANAGED.encode()
    secret = canary("in-a-bad-request").encode()
    _call(gate, made, request(body=PLAIN.replace(b"gpt-4o", b"not-allowed"), headers=headers, credential=managed))
    _call(gate, made, request(target=b"/v1/../x?key=" + secret, body=PLAIN, headers=headers, credential=b"Bearer " + secret))
    _call(
        gate, made, b"POST http://user:" + secret + b"@host/v1/x HTTP/1.1\r\n" + headers + b"Host: a\r\nContent-Length: 0\r\n\r\n"
    )
    _call(gate, made, b"POST /v1/x HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: Bearer " + secret + b"\r\n\r\n")
    large = b"Authorization: Bearer " + secret + b"\r\nX: " + b"y" * 40_000 + b"\r\n"
    _call(gate, made, b"POST /v1/x HTTP/1.1\r\nHost: a\r\n" + headers + large + b"\r\n")
    _call(gate, made, b"POST /v1/x HTTP/1.1\r\nHost: a\r\nAuthorization : " + secret + b"\r\n\r\n")


def _asked_of_the_office(gate: Gate, made: Made) -> None:
    secret = canary("in-a-bad-request").encode()
    _call(gate, made, request(target=b"/nowhere/v1/x?key=" + secret, body=PLAIN, credential=b"Bearer " + MANAGED.encode()))
    unknown = b"GET /api/v1/calls?key=" + secret + b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + secret + b"\r\n\r\n"
    _call(gate, made, unknown)


def _call(gate: Gate, made: Made, data: bytes) -> None:
    with suppress(OSError, Ended), RawClient(gate.address) as client:
        client.send(data)
        got = client.answer()
        call = got.header("x-faregate-call")
        if call:
            made.calls.add(call)
        if got.header("x-faregate-error-origin") == "gateway" or not call:
            made.own_answers.append(got.head.raw + got.body.data)


def _websocket(gate: Gate, upstream: ScriptedUpstream, made: Made, headers: bytes) -> None:
    for number, secret in enumerate((canary("ws-protocol"), MANAGED)):
        upstream.plan((Send(SWITCHING), Close()))
        opening = (
            handshake(headers=headers)
            .replace(b"Authorization: Bearer sk-ws\r\n", b"")
            .replace(
                b"Sec-WebSocket-Protocol: realtime",
                b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key." + secret.encode(),
            )
        )
        _call(gate, made, opening.replace(b"{host}", b"localhost"))
        assert upstream.received, number


def listed(gate: Gate, made: Made) -> list[str]:
    """Return everything that the admin API says, as text, bodies unpacked."""
    texts = [
        asked(gate, path, token(gate)).body.data.decode() for path in ("/api/v1/keys", "/api/v1/status", "/metrics", "/readyz")
    ]
    with Records(gate) as records:
        recorded_once(records, made.calls)
        found = list(records.all())
        texts += [json.dumps(record) for record in found]
    with httpx.Client(
        base_url=gate.url, headers={"authorization": f"Bearer {token(gate)}"}, trust_env=False, timeout=20
    ) as client:
        for record in found:
            texts.append(client.get(f"/api/v1/calls/{record['id']}").text)
            texts += [client.get(f"/api/v1/calls/{record['id']}/{part}").text for part in ("request", "response", "routing")]
    return texts


def files_with(folder: Path, marks: list[str]) -> dict[str, str]:
    """Return which files of the data folder hold one of these strings, and what stands around the first."""
    found = {}
    for file in sorted(each for each in folder.rglob("*") if each.is_file() and each.name != "local.json"):
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            continue  # written anew beside its old self, and renamed by now
        for mark in marks:
            at = data.find(mark.encode())
            if at >= 0:
                found[f"{file.relative_to(folder)}: {mark}"] = repr(data[max(0, at - 120) : at + 60])
    return found


def with_secret(texts: list[str]) -> list[str]:
    """Return what stands around each secret; the prompt's own mark is not one."""
    found = []
    for text in texts:
        rest = text.replace(PROMPT, "")
        found += [rest[max(0, at - 120) : at + 60] for at in [rest.find(MARK)] if at >= 0]
    return found


SECRETS = [
    *(value.rpartition(" ")[2].rpartition("session=")[2] for value in CREDENTIAL_HEADERS.values()),
    *QUERIES.values(),
    *(MARK + "-" + name for name in ("managed", "upstream-own", "admin-token", "ws-protocol", "in-a-bad-request")),
    *(MARK + "-" + name for name in ("set-cookie", "answer-", "location", "content-location")),
]


@dataclass(slots=True)
class Canaries:
    gate: Gate
    made: Made
    journal: dict[str, str]
    texts: list[str]


@pytest.fixture(scope="module")
def canaries(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    folder = tmp_path_factory.mktemp("canaries")
    with running(settings(upstream), folder, {"FAREGATE_ADMIN_TOKEN": ADMIN}) as gate:
        with standing_still(processes(gate, "office")):
            made = calls_of_many_kinds(gate, upstream)
            until(lambda: b"waiting_bytes 0" in asked(gate, "/metrics").body.data, "the journal does not get quiet")
            journal = files_with(gate.data, SECRETS)
            assert files_with(gate.data, [PROMPT]) != {}
        assert len(made.calls) > 200
        _asked_of_the_office(gate, made)
        yield Canaries(gate, made, journal, listed(gate, made))


def test_no_secret_in_the_journal(canaries: Canaries) -> None:
    assert canaries.journal == {}


def test_no_secret_in_the_data_folder(canaries: Canaries) -> None:
    assert files_with(canaries.gate.data, SECRETS) == {}


def test_no_secret_in_what_the_admin_api_says(canaries: Canaries) -> None:
    assert with_secret(canaries.texts) == []
    assert any(PROMPT in text for text in canaries.texts)


def test_no_secret_and_no_prompt_in_our_own_answers(canaries: Canaries) -> None:
    texts = [data.decode("latin-1") for data in canaries.made.own_answers]
    assert len(texts) > 50
    assert [text for text in texts if MARK in text] == []


def test_no_secret_and_no_prompt_in_what_is_said_and_logged(canaries: Canaries) -> None:
    assert [line for line in canaries.gate.said().splitlines() if MARK in line] == []


def test_no_secret_in_the_arguments_of_processes(canaries: Canaries) -> None:
    pids = (canaries.gate.process.pid, *children_of(canaries.gate.process.pid))
    assert [pid for pid in pids if MARK.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()] == []


def test_a_new_keys_secret_is_said_once_and_kept_nowhere(canaries: Canaries, upstream: ScriptedUpstream) -> None:
    gate = canaries.gate
    upstream.plan(SCRIPTS["answered"])
    with httpx.Client(
        base_url=gate.url, headers={"authorization": f"Bearer {token(gate)}"}, trust_env=False, timeout=20
    ) as client:
        made = client.post("/api/v1/keys", json={"name": "new"})
        assert made.status_code == 201, made.text
        secret = made.json()["secret"]
        settles(lambda: _served(gate, secret), "the new key is not good")
        texts = [client.get(path).text for path in ("/api/v1/keys", "/api/v1/keys/new", "/api/v1/calls", "/api/v1/status")]
        assert [text for text in texts if secret in text] == []
    assert files_with(gate.data, [secret]) == {}
    assert secret not in gate.said()


def _served(gate: Gate, secret: str) -> bool:
    with RawClient(gate.address) as client:
        client.send(request(body=PLAIN, credential=b"Bearer " + secret.encode()))
        return client.answer().status == 200


def test_an_answer_that_hands_out_a_secret_is_not_kept(canaries: Canaries, upstream: ScriptedUpstream) -> None:
    handed_out = canary("handed-out", "ek_")
    upstream.plan(sized(b"200 OK", json.dumps({"client_secret": {"value": handed_out}}).encode()))
    made = Made(set(), [], [])
    for path in (b"/v1/realtime/client_secrets", b"/v1/realtime/sessions", b"/v1/organization/admin_api_keys"):
        _call(canaries.gate, made, request(target=path, body=b"{}", credential=b"Bearer " + MANAGED.encode()))
    assert len(made.calls) in {0, 3}
    texts = listed(canaries.gate, made)
    assert [text for text in texts if handed_out in text] == []
    assert files_with(canaries.gate.data, [handed_out]) == {}


@pytest.mark.parametrize("where", ["setting", "header"])
def test_without_content_no_prompt_is_anywhere(where: str, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    more = '[record]\ncontent = "none"\n' if where == "setting" else ""
    header = b"X-Faregate-Capture: none\r\n" if where == "header" else b""
    with running(settings(upstream, more), tmp_path) as gate:
        with standing_still(processes(gate, "office")):
            made = calls_of_many_kinds(gate, upstream, header)
            until(lambda: b"waiting_bytes 0" in asked(gate, "/metrics").body.data, "the journal does not get quiet")
            journal = files_with(gate.data, [PROMPT])
        assert len(made.calls) > 200
        texts = listed(gate, made)
        assert journal == {}
        assert files_with(gate.data, [PROMPT]) == {}
        assert [text for text in texts if PROMPT in text] == []
        assert PROMPT not in gate.said()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running_server:
        yield running_server


def test_the_stores_password_is_never_shown(server: Postgres, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    password = canary("postgres-password", "")
    more = f'[storage]\ndatabase_url = "{server.url(password)}"\n'
    assert password in more
    with running(settings(upstream, more), tmp_path) as gate:
        upstream.plan(SCRIPTS["answered"])
        assert _served(gate, MANAGED)
        server.stop()
        settles(lambda: asked(gate, "/api/v1/calls", token(gate)).status == 503, "the store is not missed")
        texts = [
            asked(gate, path, token(gate)).body.data.decode()
            for path in ("/api/v1/calls", "/api/v1/status", "/readyz", "/metrics")
        ]
        server.start()
        settles(lambda: asked(gate, "/api/v1/calls", token(gate)).status == 200, "the store is still missed", 20)
        settles(lambda: PROMPT in _first_request(gate), "the call is not recorded", 20)
        texts += [gate.said()]
        assert with_secret(texts) == []
        assert files_with(gate.data, [password]) == {}
        pids = (gate.process.pid, *children_of(gate.process.pid))
        assert [pid for pid in pids if MARK.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()] == []
    dumped = subprocess.run(
        [str(server.program("pg_dump")), "--dbname", server.url(), "--inserts"], capture_output=True, check=True
    ).stdout.decode("latin-1")
    assert "CREATE TABLE" in dumped
    assert [secret for secret in [password, *SECRETS] if secret in dumped] == []


def _first_request(gate: Gate) -> str:
    with Records(gate) as records:
        found = next(records.all(), None)
        return json.dumps(records.find(found["id"])) if found else ""
