"""The whole office in a process of its own: real journal, real store, real sockets."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from domain.ids import new_id
from domain.keys import ApiKey
from storage.database import open_database
from storage.deliveries import DeliveryDesk
from storage.folder import DataFolder
from storage.journal import JournalLimits, JournalWriter
from storage.keyring import load_keys
from storage.keys import KeyStore
from storage.spans import CallQuery, SpanStore
from tests.dashboard.conftest import until
from tests.destinations.sink import Reply, Sink
from tests.recorder.exchanges import closing, opening

TOKEN = "admin-" + "0123456789abcdef"
SECRET = "fg-" + "s" * 40
PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.INFO)
from config.settings import Settings
from gateway.office import serve
serve(Settings.model_validate_json(sys.argv[1]), admin_token=sys.argv[2])
"""


class Running:
    """An office that runs."""

    def __init__(self, folder, **settings):
        self.folder = DataFolder(folder)
        self.settings = {"storage": {"data": str(folder)}, "keys": {"ci": {"secret": SECRET}}} | settings
        self.log = folder.parent / "office.log"
        self.process = None

    def start(self, *, wait=True):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(self.settings), TOKEN], stdout=log, stderr=log
            )
        if wait:
            until(self.answers, 30)
        return self

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.folder.office_socket))
            except OSError:
                return False
        return self.get("/healthz").status_code == 200

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def request(self, method, path, **options):
        with self.client() as client:
            return client.request(method, path, **options)

    def client(self):
        transport = httpx.HTTPTransport(uds=str(self.folder.office_socket))
        return httpx.Client(
            transport=transport, base_url="http://office", headers={"authorization": f"Bearer {TOKEN}"}, timeout=30
        )

    def status(self):
        return self.get("/api/v1/status").json()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def office(tmp_path):
    made = []

    def make(**settings):
        made.append(Running(tmp_path / "data", **settings))
        return made[-1]

    yield make
    for running in made:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture
def journal():
    """Write exchanges as a gate would; return their ids."""

    def write(folder, count, request=b'{"model":"gpt-4o","messages":[]}', response=b'{"model":"gpt-4o-x","choices":[]}'):
        folder.prepare()
        return asyncio.run(written(folder.journal, count, request, response))

    return write


async def written(root, count, request, response):
    writer = JournalWriter(root, asyncio.get_running_loop(), JournalLimits(disk_bytes=2**30), boot=new_id(0))
    openings = [opening(index, id=new_id(time.time_ns()), at=time.time_ns()) for index in range(count)]
    for one in openings:
        writer.opened(one)
        writer.closed(one, closing(at=one.at + 10**6), [request], [response])
    writer.close()
    return [one.id for one in openings]


def recorded(office):
    return office.get("/api/v1/calls").json().get("calls", [])


def test_what_the_journal_holds_is_recorded_and_can_be_looked_up(office, journal):
    running = office().start()
    ids = journal(running.folder, 3)
    until(lambda: len(recorded(running)) == 3)
    assert {call["id"] for call in recorded(running)} == set(ids)
    status = running.status()
    assert status["store"] == {"state": "ready", "kind": "sqlite", "error": None}
    assert (status["recorder"]["recorded"], status["recorder"]["running"]) == (3, True)
    assert running.end() == 0


def test_a_killed_office_reads_on_and_records_nothing_twice(office, journal):
    running = office().start()
    ids = journal(running.folder, 200)
    until(lambda: running.status()["recorder"]["recorded"] > 0)
    running.end(signal.SIGKILL)
    ids += journal(running.folder, 50)
    running.start()
    store = open_database(f"sqlite:///{running.folder.database}")
    spans = SpanStore(store)
    until(lambda: len(spans.calls(CallQuery(limit=1000)).spans) >= len(ids))
    until(lambda: running.status()["journal"]["backlog_bytes"] == 0)
    stored = [span.id for span in spans.calls(CallQuery(limit=1000)).spans]
    store.close()
    assert sorted(stored) == sorted(ids)


def test_sigterm_ends_it_cleanly_even_with_a_stream_open(office):
    running = office().start()
    with running.client() as client, client.stream("GET", "/api/v1/stream") as answer:
        running.process.send_signal(signal.SIGTERM)
        assert b"hello" in b"".join(answer.iter_raw())
    assert running.process.wait(30) == 0


def test_a_store_that_is_away_at_the_start_is_waited_for(office, journal, tmp_path):
    running = office()
    running.folder.prepare()
    running.folder.database.mkdir()
    running.start()
    until(lambda: running.status()["store"]["state"] == "away")
    ids = journal(running.folder, 2)
    assert running.get("/api/v1/calls").status_code == 503
    assert running.status()["store"]["error"]
    running.folder.database.rmdir()
    until(lambda: running.status()["store"]["state"] == "ready", 30)
    until(lambda: len(recorded(running)) == 2)
    assert {call["id"] for call in recorded(running)} == set(ids)


def test_the_gate_has_the_settings_keys_even_without_a_store(office):
    running = office(storage={"data": "", "database_url": "postgresql://nobody@127.0.0.1:9/none"})
    running.settings["storage"]["data"] = str(running.folder.path)
    running.start()
    until(lambda: [key.name for key in load_keys(running.folder.keys)] == ["ci"])
    assert running.status()["store"]["kind"] == "postgresql"
    assert running.end() == 0


def test_keys_made_elsewhere_reach_the_gates_file(office):
    running = office().start()
    until(lambda: running.status()["store"]["state"] == "ready")
    database = open_database(f"sqlite:///{running.folder.database}")
    KeyStore(database).create(ApiKey(id="x", name="elsewhere", digest="e" * 64))
    database.close()
    until(lambda: "elsewhere" in [key.name for key in load_keys(running.folder.keys)])


def test_two_offices_never_record_from_one_folder(office, tmp_path):
    first = office().start()
    second = Running(first.folder.path)
    second.log = tmp_path / "second.log"
    second.start(wait=False)
    assert second.process.wait(40) != 0
    assert "BlockingIOError: Another office" in second.log.read_text()
    assert first.answers()


def test_its_socket_is_for_its_owner_only(office):
    running = office().start()
    assert running.folder.office_socket.stat().st_mode & 0o077 == 0


def test_it_has_an_address_of_its_own_if_told(office):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = office(office={"bind": f"127.0.0.1:{port}"}).start()
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").text == "ok\n"
    assert httpx.get(f"http://127.0.0.1:{port}/api/v1/calls").status_code == 401
    assert running.answers()


def test_an_idle_office_is_small_and_knows_no_migrations(office):
    running = office().start()
    until(lambda: running.status()["store"]["state"] == "ready")
    running.end()
    running.start()
    until(lambda: running.status()["store"]["state"] == "ready")
    process = Path("/proc") / str(running.process.pid)
    lines = (process / "status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    maps = (process / "maps").read_text()
    assert resident < 95 * 1024
    assert "/cel." not in maps


def test_neither_the_token_nor_a_prompt_is_in_the_log(office, journal):
    running = office().start()
    journal(
        running.folder,
        1,
        request=b'{"model":"m","messages":[{"role":"user","content":"the-prompt"}]}',
        response=b"\x00\xff the-answer",
    )
    until(lambda: len(recorded(running)) == 1)
    running.request("POST", "/api/v1/sign-in-links")
    running.get("/?signin=the-link")
    running.end()
    text = running.log.read_text()
    for secret in (TOKEN, SECRET, "the-prompt", "the-answer", "the-link"):
        assert secret not in text


def test_an_office_that_has_no_use_for_them_loads_no_large_libraries():
    large = ("httpx", "rich", "phonenumbers", "cel", "tiktoken", "obstore", "google.protobuf")
    program = f"import sys, gateway.office; print([name for name in {large!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


def test_it_answers_until_what_it_is_delivering_has_ended(office, journal):
    go_on = threading.Event()
    with Sink(Reply(200, after=go_on)) as sink:
        hook = {"type": "webhook", "url": sink.url, "secret": "whsec_" + "c2VjcmV0" * 5, "allow_private": True}
        running = office(destinations={"hook": hook}).start()
        (id_,) = journal(running.folder, 1)
        sink.wait_for(1)
        until(lambda: running.get(f"/api/v1/calls/{id_}/deliveries").status_code == 200)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: "ends once what it is delivering" in running.log.read_text())
        for _ in range(20):
            assert running.get("/api/v1/destinations").json()["destinations"][0]["counts"]["pending"] == 1
        go_on.set()
        assert running.process.wait(30) == 0
        with contextlib.closing(open_database(f"sqlite:///{running.folder.database}")) as database:
            assert DeliveryDesk(database).counts()["hook"].delivered == 1
        assert len(sink.got) == 1
