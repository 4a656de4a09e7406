from dataclasses import replace
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError

from destinations.email import EmailConfig
from domain.destinations import Misconfigured, Rejected, TooLarge, Unavailable
from tests.destinations.compliance import EVENT, assert_complies
from tests.destinations.fixture import BATCH, error_variant, hostile, many, parcel
from tests.destinations.golden import golden
from tests.destinations.smtp import MailServer
from tests.harness.tls import make_certificate

PASSWORD = "pass-" + "word-0123456789"


def config(**settings):
    told = {
        "host": "127.0.0.1",
        "sender": "faregate@example.com",
        "to": ("a@example.com", "b@example.com"),
        "allow_private": True,
    }
    return EmailConfig(**{**told, **settings})


def email(**settings):
    return config(**settings).build("mine", None)


def read(body):
    mail = message_from_bytes(body, policy=policy.default)
    assert not mail.defects
    assert set(mail.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    }
    return mail


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1", "IP:127.0.0.1")


async def test_complies():
    await assert_complies(config(username="me", password=PASSWORD), valid=lambda payload: read(payload.body))
    assert EmailConfig.CHANNEL


async def test_a_mail_arrives_over_verified_tls_from_somebody_who_signed_in(certificate):
    for security in ("starttls", "tls"):
        with MailServer(tls=certificate.server(), implicit=security == "tls") as server:
            settings = {"port": server.port, "security": security, "ca_file": certificate.file}
            destination = email(**settings, username="me", password=PASSWORD)
            payload = destination.encode_event(EVENT)
            await destination.send(payload)
        [got] = server.mails
        assert (got.encrypted, got.user, got.sender, got.to) == (
            True,
            "me",
            "faregate@example.com",
            ["a@example.com", "b@example.com"],
        )
        assert got.body == payload.body
        mail = read(got.body)
        assert mail["Subject"] == "Faregate: [warning] budget.warning: budget team-search"
        assert mail.get_content().startswith(EVENT.message)


async def test_a_certificate_that_is_not_trusted_gets_nothing(certificate, tmp_path):
    other = make_certificate(tmp_path, "elsewhere", "DNS:elsewhere.test")
    for served, trusted in ((certificate, None), (other, other)):
        for security in ("starttls", "tls"):
            with MailServer(tls=served.server(), implicit=security == "tls") as server:
                file = None if trusted is None else trusted.file
                destination = email(port=server.port, security=security, ca_file=file, username="me", password=PASSWORD)
                with pytest.raises(Misconfigured, match="certificate"):
                    await destination.send(destination.encode_event(EVENT))
            assert not server.mails


async def test_a_server_that_offers_no_encryption_gets_nothing():
    with MailServer() as server:
        destination = email(port=server.port)
        with pytest.raises(Misconfigured, match="security"):
            await destination.send(destination.encode_event(EVENT))
    assert not server.mails


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ({"": "554 no"}, Misconfigured),
        ({"": "421 busy"}, Unavailable),
        ({"AUTH": "535 no " + PASSWORD}, Misconfigured),
        ({"AUTH": "454 later"}, Unavailable),
        ({"MAIL": "550 not you"}, Misconfigured),
        ({"MAIL": "451 later"}, Unavailable),
        ({"RCPT": "550 nobody"}, Misconfigured),
        ({"RCPT": "450 greylisted"}, Unavailable),
        ({"DATA": "451 later"}, Unavailable),
        ({".": "554 spam"}, Rejected),
        ({".": "552 too large"}, TooLarge),
        ({".": "421 shutting down"}, Unavailable),
    ],
)
async def test_answers_of_a_mail_server_are_sorted_and_say_no_secret(answers, failure):
    with MailServer(answers=answers) as server:
        destination = email(port=server.port, security="none", username="me", password=PASSWORD)
        with pytest.raises(failure) as caught:
            await destination.send(destination.encode_event(EVENT))
    assert PASSWORD not in caught.value.message
    assert caught.value.__cause__ is None


async def test_an_address_that_is_refused_does_not_keep_the_mail_from_the_others():
    with MailServer(answers={"RCPT": ["250 ok", "550 nobody"]}) as server:
        destination = email(port=server.port, security="none")
        receipt = await destination.send(destination.encode_event(EVENT))
    assert receipt.note == "1 of 2 addresses were refused"
    assert len(server.mails) == 1


async def test_mail_without_encryption_never_leaves_for_the_internet():
    destination = email(host="8.8.8.8", security="none", username="me", password=PASSWORD)
    with pytest.raises(Misconfigured, match="without encryption"):
        await destination.send(destination.encode_event(EVENT))


async def test_no_server_is_tried_again_later():
    with MailServer() as server:
        port = server.port
    destination = email(port=port, security="none")
    with pytest.raises(Unavailable):
        await destination.send(destination.encode_event(EVENT))


async def test_a_private_address_is_not_spoken_to_unless_that_is_allowed():
    with MailServer() as server:
        destination = email(port=server.port, allow_private=False)
        with pytest.raises(Misconfigured, match=r"127\.0\.0\.1"):
            await destination.send(destination.encode_event(EVENT))
    assert not server.mails


@pytest.mark.parametrize(
    "evil", ["a\r\nBcc: evil@example.com", "a\nBcc: evil@example.com", "a\x0bb\x85c\u2028d", "=?utf-8?q?x=0AY?=", "\ud800"]
)
def test_no_text_adds_a_header_or_an_addressee(evil):
    event = replace(EVENT, subject=evil, type=evil, message=f"{evil}\r\n.\r\nMAIL FROM:<x@y>", data={evil: evil}, id=evil)
    mail = read(email().encode_event(event).body)
    assert mail["To"] == "a@example.com, b@example.com"
    assert "\n" not in mail["Subject"]
    for odd in hostile():
        read(email().encode([odd], BATCH).body)


def test_a_mail_that_is_sent_again_has_the_same_id():
    assert email().encode_event(EVENT) == email().encode_event(EVENT)
    first, other = read(email().encode_event(EVENT).body), read(email().encode_event(replace(EVENT, id="other")).body)
    assert first["Message-ID"] != other["Message-ID"]


@pytest.mark.parametrize(
    "settings",
    [
        {"to": ()},
        {"to": ("a@example.com\r\nBcc: b@example.com",)},
        {"to": ("Somebody <a@example.com>",)},
        {"sender": "nobody"},
        {"host": "smtp.test\r\n"},
        {"host": "smtp.test/x"},
        {"host": "169.254.169.254"},
        {"port": 0},
        {"username": "me"},
        {"password": PASSWORD},
        {"security": "none", "allow_private": False},
    ],
)
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ValidationError) as caught:
        config(**settings)
    assert PASSWORD not in str(caught.value)


def test_golden():
    golden("email/event.eml", email().encode_event(EVENT).body)
    golden("email/full.eml", email().encode([parcel()], BATCH).body)
    golden("email/error.eml", email().encode([error_variant()], BATCH).body)
    golden("email/several.eml", email().encode(many(3), BATCH).body)
