import asyncio
import socket

import pytest

from destinations.addresses import why_not
from destinations.client import make_client
from destinations.http import post
from domain.destinations import Misconfigured, Unavailable
from tests.destinations.sink import Reply, Sink
from tests.harness.tls import make_certificate

# Addresses that lead inside, or nowhere that a destination can be.
INSIDE = [
    *("127.0.0.1", "127.1.2.3", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("100.64.0.1", "100.127.255.254", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "192.88.99.1"),
    *("::1", "fc00::1", "fd12:3456::1", "fec0::1", "feff::1", "2001:db8::1", "3fff::1", "5f00::1", "4000::1", "e000::1"),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b::c0a8:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:c0a8:1::",
    ),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "::10.0.0.1", "::192.168.1.1"),
    *("2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:470:1f0b:0:0:5efe:7f00:1", "2001:470::200:5efe:a00:1"),
]
# Never allowed, not even where private addresses are.
NEVER = [
    *("169.254.169.254", "169.254.170.2", "169.254.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *(
        "255.255.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "100.100.100.200",
        "168.63.129.16",
        "::",
        "fe80::1",
        "febf::1",
        "fe80::1%eth0",
    ),
    *("ff02::1", "ff0e::1", "fd00:ec2::254", "fd20:ce::254", "100::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *(
        "2002:a9fe:a9fe::1",
        "::169.254.169.254",
        "2001:0:a9fe:a9fe::",
        "::ffff:0:169.254.169.254",
        "64:ff9b::e000:1",
        "no address",
        "",
    ),
]
PUBLIC = [
    "93.184.215.14",
    "1.1.1.1",
    "8.8.8.8",
    "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "2a00:1450:4001::1",
    "64:ff9b::101:101",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_needs_permission(address):
    assert why_not(address, allow_private=False) is not None


@pytest.mark.parametrize("address", NEVER)
def test_an_address_of_a_link_or_of_nobody_is_never_allowed(address):
    assert why_not(address, allow_private=False) is not None
    assert why_not(address, allow_private=True) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_allowed(address):
    assert why_not(address, allow_private=False) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.7.7", "::1", "fd12::1", "::ffff:127.0.0.1", "8.8.8.8"])
def test_with_permission_private_addresses_are_allowed(address):
    assert why_not(address, allow_private=True) is None


# What settings, or whoever can write them, may come up with: each must end before anything is sent.
HOSTILE = [
    *(f"https://{f'[{address}]' if ':' in address else address}/x" for address in [*INSIDE, *NEVER[:-2]] if "%" not in address),
    *("https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://0/", "https://localhost/"),
    *("https://[::]/", "https://0x7f.1/", "https://017700000001/", "https://[::ffff:7f00:1]/", "https://127.0.0.1:22/"),
    *(
        "http://93.184.215.14/",
        "ftp://93.184.215.14/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/",
        "unix:///var/run/docker.sock",
    ),
    *(
        "https://",
        "https:///x",
        "https://user:secret@127.0.0.1/",
        "https://evil.test@127.0.0.1/",
        "//127.0.0.1/",
        "127.0.0.1/x",
        "",
    ),
    *(
        "https://127.0.0.1\r\nhost: x/",
        "https://127.0.0.1%0d%0a/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "https://127\u30020\u30020\u30021/",
    ),
]


def test_the_corpus_is_large_enough():
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize("url", HOSTILE)
async def test_a_hostile_url_is_never_connected_to(url, monkeypatch):
    connected = _watched(monkeypatch)
    async with make_client(False, timeout=5) as client:
        with pytest.raises((Misconfigured, Unavailable)):
            await post(client, url, body=b"x", headers={}, content_type="text/plain")
    assert not connected


@pytest.mark.parametrize("address", [one for one in NEVER if one and "%" not in one])
async def test_permission_does_not_lead_to_metadata(address, monkeypatch):
    connected = _watched(monkeypatch)
    async with make_client(True, timeout=5, resolve=_leads_to(address)) as client:
        with pytest.raises(Misconfigured):
            await post(client, "http://metadata.test/", body=b"x", headers={}, content_type="text/plain")
    assert not connected


@pytest.mark.parametrize("second", ["127.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"])
async def test_a_name_with_one_address_inside_is_not_connected_to_at_all(second, monkeypatch):
    connected = _watched(monkeypatch)
    async with make_client(False, timeout=5, resolve=_leads_to("93.184.215.14", second)) as client:
        with pytest.raises(Misconfigured, match=r"two\.test is at"):
            await post(client, "https://two.test/", body=b"x", headers={}, content_type="text/plain")
    assert not connected


async def test_a_name_that_changes_its_mind_is_checked_at_each_connection_and_only_looked_up_once_for_it():
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        # Public when a checker would ask, inside when a client would ask again.
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with Sink(Reply(headers={"connection": "close"})) as sink:
        port = sink.url.rpartition(":")[2]
        async with make_client(True, timeout=5, resolve=rebinding) as client:
            await post(client, f"http://rebinding.test:{port}/", body=b"x", headers={}, content_type="text/plain")
            assert asked == ["rebinding.test"]
            assert sink.last.headers["host"] == f"rebinding.test:{port}"
            with pytest.raises(Misconfigured):
                await post(client, f"http://rebinding.test:{port}/", body=b"x", headers={}, content_type="text/plain")
        assert len(sink.got) == 1


async def test_plain_http_is_for_private_addresses_only(monkeypatch):
    connected = _watched(monkeypatch)
    async with make_client(True, timeout=5, resolve=_leads_to("93.184.215.14")) as client:
        with pytest.raises(Misconfigured, match="plain http"):
            await post(client, "http://public.test/", body=b"x", headers={}, content_type="text/plain")
    assert not connected


async def test_the_next_address_is_tried_where_one_is_dead():
    with Sink() as sink:
        port = sink.url.rpartition(":")[2]
        async with make_client(True, timeout=5, resolve=_leads_to("127.0.0.2", "127.0.0.1")) as client:
            answer = await post(client, f"http://two.test:{port}/", body=b"x", headers={}, content_type="text/plain")
    assert answer.status == 200


async def test_a_name_that_cannot_be_resolved_is_tried_again_later():
    async def nobody(host, port):
        raise socket.gaierror("no such name")

    async def never(host, port):
        await asyncio.Event().wait()

    async def nowhere(host, port):
        return []

    for resolve in (nobody, never, nowhere):
        async with make_client(True, timeout=0.2, resolve=resolve) as client:
            with pytest.raises(Unavailable):
                await post(client, "https://nobody.test/", body=b"x", headers={}, content_type="text/plain")


async def test_tls_is_verified_for_the_name_though_the_address_is_connected_to(tmp_path):
    certificate = make_certificate(tmp_path, "platform.test", "DNS:platform.test")
    with Sink(tls=certificate.server()) as sink:
        url = f"https://platform.test:{sink.url.rpartition(':')[2]}/x"
        here = _leads_to("127.0.0.1")
        async with make_client(True, timeout=5, resolve=here, ca_file=certificate.file) as client:
            assert (await post(client, url, body=b"x", headers={}, content_type="text/plain")).status == 200
            other = url.replace("platform.test", "other.test")
            with pytest.raises(Misconfigured, match="certificate"):
                await post(client, other, body=b"x", headers={}, content_type="text/plain")
        async with make_client(True, timeout=5, resolve=here) as client:
            with pytest.raises(Misconfigured, match="ca_file"):
                await post(client, url, body=b"x", headers={}, content_type="text/plain")
        assert len(sink.got) == 1


async def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with Sink() as sink:
        async with make_client(True, timeout=5) as client:
            assert (await post(client, sink.url, body=b"x", headers={}, content_type="text/plain")).status == 200


def _leads_to(*addresses):
    async def resolve(host, port):
        return list(addresses)

    return resolve


def _watched(monkeypatch):
    """Note what the loop is asked to connect to; nothing of it happens."""
    connected = []

    async def connect(self, sock, address):
        connected.append(address)
        raise ConnectionRefusedError

    async def create_connection(self, *args, **kwargs):
        connected.append(kwargs.get("host") or args)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", create_connection)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", connect)
    return connected
