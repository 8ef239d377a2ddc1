"""Mail that aliases send on to other domains, with senders rewritten (SRS), and what comes back."""

import re
import smtplib

import pytest

from house import DOMAIN
from sink import Sink

TEXT = "From: bob@b.example\r\nSubject: forward\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def far():
    with Sink() as one:
        yield one


@pytest.fixture(scope="module")
def house(make_module_house, far):
    routes = "\n".join(f'route {domain} {{ host = 127.0.0.1 port = {far.port} }}'
                       for domain in ("b.example", "c.example", "elsewhere.example"))
    one = make_module_house(services=("smtp",), extra=routes)
    one.add_account(f"alice@{DOMAIN}")
    one.command("alias", "add", f"away@{DOMAIN}", f"alice@{DOMAIN}", "X@elsewhere.example")
    return one


@pytest.fixture
def sink(far, house):
    """Nothing has come to it, nor to alice."""
    far.messages.clear()
    for file in house.messages(f"alice@{DOMAIN}"):
        file.unlink()
    return far


def send(house, sender, *recipients):
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"]) as smtp:
        smtp.sendmail(sender, recipients, TEXT)


def wait_for(sink, count):
    return sink.wait(count)[count - 1]


def reverse_path(message):
    return re.match(r"MAIL FROM:<([^>]*)>", message.mail).group(1)


def recipients(message):
    return [re.match(r"RCPT TO:<([^>]*)>", rcpt).group(1) for rcpt in message.rcpts]


def test_a_bounce_finds_the_sender_behind_its_address(house, sink):
    send(house, "bob@b.example", f"away@{DOMAIN}")
    message = wait_for(sink, 1)
    assert recipients(message) == ["X@elsewhere.example"]
    rewritten = reverse_path(message)
    assert re.fullmatch(rf"SRS0=[a-z2-7]{{6}}=[a-z2-7]{{2}}=b\.example=bob@{DOMAIN}", rewritten)
    own, = house.wait_for_messages(f"alice@{DOMAIN}", 1)
    assert own.read_bytes().startswith(b"Return-Path: <bob@b.example>\r\n")

    house.stop()  # the key outlives the house
    house.start()
    send(house, "", rewritten.upper())
    bounce = wait_for(sink, 2)
    assert (reverse_path(bounce), recipients(bounce)) == ("", ["BOB@B.EXAMPLE"])
    send(house, "", rewritten)
    bounce = wait_for(sink, 3)
    assert (reverse_path(bounce), recipients(bounce)) == ("", ["bob@b.example"])


def test_a_forwarder_before_us_gets_its_bounces(house, sink):
    send(house, "SRS0=hash=tt=b.example=bob@c.example", f"away@{DOMAIN}")
    rewritten = reverse_path(wait_for(sink, 1))
    assert rewritten.startswith("SRS1=") and "=c.example==hash=tt=b.example=bob@" in rewritten
    send(house, "", rewritten)
    assert recipients(wait_for(sink, 2)) == ["SRS0=hash=tt=b.example=bob@c.example"]


def test_forged_addresses_lead_nowhere(house, sink):
    send(house, "bob@b.example", f"away@{DOMAIN}")
    rewritten = reverse_path(wait_for(sink, 1))
    for forged in (rewritten.replace("bob", "eve"), f"SRS0=aaaaaa=aa=b.example=bob@{DOMAIN}",
                   f"SRS1=aaaaaa=b.example==x@{DOMAIN}"):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            send(house, "", forged)
        assert refused.value.recipients[forged][0] == 550
    assert house.wait_for_event("return_refused")
    assert len(sink.messages) == 1


@pytest.mark.parametrize("sender", ["", f"alice@{DOMAIN}",
                                    "bounces+12345678-0123-user=example.com@mail.newsletter.example"])
def test_senders_that_stay(house, sink, sender):
    """Null, ours, and those that do not fit into 64 octets."""
    send(house, sender, f"away@{DOMAIN}")
    assert reverse_path(wait_for(sink, 1)) == sender
