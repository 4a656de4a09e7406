"""A newer price list is fetched over a real socket, looked at with suspicion, and put in force or refused."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pricing.book import PriceBook
from pricing.compiling import compiled
from pricing.published import published_book, published_text, snapshot_named
from pricing.snapshot import Snapshot
from recorder.price_fetching import fetched
from recorder.price_refresh import PriceRefresh, RefusedPrices
from storage.folder import write_private
from storage.price_snapshots import PriceSnapshots
from tests.pricing.published_list import published_list

NOW = 1_793_491_200.0
AT = int(NOW) * 10**9


def model(name, **prices):
    return {"id": name, "match": {"equals": name}, "prices": prices}


def price_list(*, count=40, **changed):
    """Return a list of one provider, as it is published: `count` models at 1 and 2 dollars, but for those in `changed`."""
    models = [model(f"m{number}", input_mtok=1, output_mtok=2) for number in range(count)]
    for number, one in enumerate(models):
        models[number] = changed.get(one["id"], one)
    return [{"id": "openai", "api_pattern": r"https://api\.openai\.com", "models": [one for one in models if one]}]


@contextmanager
def serving(answer):
    """Answer every request at a loopback address; `answer` returns status, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/data.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Installation:
    """A data folder with the first list in force."""

    def __init__(self, folder, used=()):
        self.folder, self.used = folder, used
        self.snapshots = PriceSnapshots(folder / "prices")
        self.book = PriceBook(Snapshot.of_files(compiled(json.loads(json.dumps(price_list()), parse_float=str), "first")))
        files = compiled(price_list(), "first")
        self.snapshots.save(self.book.snapshot.sha256, files)
        self.snapshots.use(self.book.snapshot.sha256)

    def publish(self):
        name = self.snapshots.current()
        self.book = PriceBook(snapshot_named(self.folder, name))
        write_private(self.folder / "prices.json", published_text(name, ()))

    def refresh(self, listed, *, dry_run=False, status=200, headers=None):
        body = listed if isinstance(listed, bytes) else json.dumps(listed).encode()
        with serving(lambda _: (status, headers or {}, body)) as url:
            return self.refresher(url).refresh(dry_run)

    def refresher(self, url):
        return PriceRefresh(
            url,
            data=self.folder,
            snapshots=self.snapshots,
            book=lambda: self.book,
            used=lambda: self.used,
            publish=self.publish,
            now=lambda: NOW,
        )

    def rate(self, name, unit="input"):
        card = self.book.card(upstream="openai", model=name, at=AT)
        return None if card is None else card.rates[unit].base * 10**6 // 10**18 / 10**6


@pytest.fixture
def installation(tmp_path):
    return Installation(tmp_path)


def test_a_newer_list_is_put_in_force_and_what_moved_is_said(installation):
    first = installation.book.snapshot.sha256
    report = installation.refresh(price_list(count=41, m3=model("m3", input_mtok="1.5", output_mtok=2)))
    assert [(one["model"], one["unit"], one["old"], one["new"], one["quarantined"]) for one in report["moved"]] == [
        ("m3", "input", "1", "1.5", False)
    ]
    assert (report["added"], report["gone"], report["models"], report["in_force"]) == (["openai/m40"], [], 41, True)
    assert installation.rate("m3") == 1.5
    assert installation.rate("m40") == 1
    assert installation.snapshots.current() == report["snapshot"]
    assert published_book(installation.folder).snapshot.sha256 == report["snapshot"]
    # what an old price reference names can still be looked up
    assert PriceBook(snapshot_named(installation.folder, first)).card(upstream="openai", model="m3", at=AT) is not None


def test_a_dry_run_changes_nothing(installation):
    before = installation.snapshots.current()
    report = installation.refresh(price_list(m3=model("m3", input_mtok="1.5", output_mtok=2)), dry_run=True)
    assert (len(report["moved"]), report["in_force"]) == (1, False)
    assert installation.snapshots.current() == before
    assert installation.rate("m3") == 1
    assert len([path for path in (installation.folder / "prices").iterdir() if path.is_dir()]) == 1


def test_the_same_list_moves_nothing(installation):
    report = installation.refresh(price_list())
    assert (report["moved"], report["added"], report["gone"]) == ([], [], [])
    assert report["snapshot"] == installation.book.snapshot.sha256


@pytest.mark.parametrize("price", ["5.01", "0.19", "0", "1000000"])
def test_a_model_in_use_whose_price_moves_wildly_keeps_its_old_price(tmp_path, price):
    installation = Installation(tmp_path, used=[("openai", "api.openai.com/v1", "m3")])
    wild = {name: model(name, input_mtok=price, output_mtok=2) for name in ("m3", "m4")}
    report = installation.refresh(price_list(**wild, m5=model("m5", input_mtok="1.1", output_mtok=2)))
    assert {one["model"]: one["quarantined"] for one in report["moved"]} == {"m3": True, "m4": False, "m5": False}
    assert installation.rate("m3") == 1
    assert installation.rate("m4") == float(price)
    assert installation.rate("m5") == 1.1
    assert installation.snapshots.current() == report["snapshot"]


@pytest.mark.parametrize("price", ["5", "0.2"])
def test_a_price_that_moves_less_than_that_is_taken(tmp_path, price):
    installation = Installation(tmp_path, used=[("openai", "api.openai.com/v1", "m3")])
    report = installation.refresh(price_list(m3=model("m3", input_mtok=price, output_mtok=2)))
    assert [one["quarantined"] for one in report["moved"]] == [False]
    assert installation.rate("m3") == float(price)


def test_a_wild_move_in_a_dated_price_or_a_tier_is_seen(tmp_path):
    installation = Installation(tmp_path, used=[("openai", None, "m3")])
    dated = {
        "id": "m3",
        "match": {"equals": "m3"},
        "prices": [
            {"prices": {"input_mtok": 1, "output_mtok": 2}},
            {"constraint": {"start_date": "2026-10-01"}, "prices": {"input_mtok": 20, "output_mtok": 2}},
        ],
    }
    report = installation.refresh(price_list(m3=dated))
    assert [(one["old"], one["new"], one["quarantined"]) for one in report["moved"]] == [("1", "20", True)]
    assert installation.rate("m3") == 1


def test_a_model_in_use_that_is_gone_keeps_its_price(tmp_path):
    installation = Installation(tmp_path, used=[("openai", None, "m3")])
    report = installation.refresh(price_list(m3=None, m4=None))
    assert (report["gone"], report["kept_though_gone"]) == (["openai/m3", "openai/m4"], ["openai/m3"])
    assert (installation.rate("m3"), installation.rate("m4")) == (1, None)


def test_a_list_that_lacks_too_many_models_is_refused(installation):
    before = installation.snapshots.current()
    with pytest.raises(RefusedPrices, match="lacks 3 of 40"):
        installation.refresh(price_list(count=37))
    assert installation.snapshots.current() == before
    assert installation.refresh(price_list(count=38))["share_kept"] == 0.95


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"not json",
        b"<html></html>",
        b"{}",
        b"[]",
        b"[1]",
        b"[[]]",
        b'[{"id": "../x", "api_pattern": "x", "models": []}]',
        b'[{"id": "openai", "api_pattern": "(", "models": []}]',
        b'[{"id": "openai", "api_pattern": "x", "models": 5}]',
        b'[{"id": "openai", "api_pattern": "x", "models": [{"id": "a"}]}]',
        b'[{"id":"openai","api_pattern":"x","models":[{"id":"a","match":{"equals":"a"},"prices":{"input_mtok":-1}}]}]',
        b'[{"id":"openai","api_pattern":"x","models":[{"id":"a","match":{"equals":"a"},"prices":{"input_mtok":"NaN"}}]}]',
        b"[" * 100_000,
        json.dumps(price_list(m3={**model("m3", input_mtok=1), "match": {"or": []}})).encode(),
        json.dumps(price_list(m3={**model("m3", input_mtok=1), "match": {"regex": "("}})).encode(),
    ],
)
def test_what_is_no_price_list_is_refused_and_the_old_one_stays(installation, listed):
    before = installation.snapshots.current()
    with pytest.raises(RefusedPrices):
        installation.refresh(listed)
    assert installation.snapshots.current() == before
    assert installation.rate("m3") == 1


@pytest.mark.parametrize("status", [301, 302, 404, 500])
def test_a_redirect_is_not_followed_and_an_error_is_no_list(installation, status):
    with pytest.raises(RefusedPrices, match=str(status)):
        installation.refresh(price_list(), status=status, headers={"location": "http://127.0.0.1:1/"})


def test_a_list_has_a_largest_size(installation):
    with serving(lambda _: (200, {}, b"x" * 100_000)) as url, pytest.raises(RefusedPrices, match="larger"):
        fetched(url, largest=50_000)


def test_nobody_there_is_an_error_that_is_logged_and_no_more(installation, caplog):
    installation.refresher("http://127.0.0.1:9/data.json").when_due()
    assert "could not be fetched" in caplog.text
    assert installation.rate("m3") == 1


def test_certificates_are_verified(installation, tmp_path):
    with serving(lambda _: (200, {}, b"[]")) as url, pytest.raises(RefusedPrices, match="could not be fetched"):
        fetched(url.replace("http://", "https://"))


def test_without_a_url_nothing_is_fetched(installation):
    with pytest.raises(RefusedPrices, match=r"price_refresh\.url"):
        installation.refresher("").refresh(False)


def test_the_packaged_list_can_be_replaced_by_itself_as_it_is_published(tmp_path):
    """The shape that is fetched is the one that the packaged snapshot is made of."""
    book = PriceBook.packaged()
    snapshots = PriceSnapshots(tmp_path / "prices")
    body = json.dumps(published_list()).encode()
    with serving(lambda _: (200, {}, body)) as url:
        report = PriceRefresh(
            url, data=tmp_path, snapshots=snapshots, book=lambda: book, used=list, publish=lambda: None, now=lambda: NOW
        ).refresh(False)
    assert report["moved"] == []
    assert report["snapshot"] == book.snapshot.sha256
    assert report["share_kept"] == 1
