"""staffetta sendmail: what programs and cron call."""

import getpass
import os
import re
import subprocess

import pytest

from house import BUILD, DOMAIN, ENVIRONMENT
from sink import Sink

USAGE, DATA, NO_USER, REFUSED, TRY_AGAIN, CONFIG = 64, 65, 67, 69, 75, 78
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    house = make_module_house(services=("smtp",))
    house.add_account(ALICE)
    house.add_account(BOB)
    return house


def sendmail(house, *arguments, text="Subject: x\n\nhello\n"):
    return subprocess.run([BUILD / "staffetta", "-c", house.config, "sendmail", *arguments],
                          input=text.encode(), capture_output=True, env=ENVIRONMENT, timeout=60)


class Box:
    """What comes to alice from now on."""

    def __init__(self, house, account=ALICE):
        self.house, self.account = house, account
        self.before = set(house.messages(account))

    def new(self):
        found = self.house.wait_for_messages(self.account, len(self.before) + 1)
        file, = set(found) - self.before
        self.before.add(file)
        return file.read_bytes().split(b"\r\n\r\n", 1)


@pytest.fixture
def alice(mail_house):
    return Box(mail_house)


def test_a_message_is_completed(mail_house, alice):
    done = sendmail(mail_house, "-F", "Cron Daemon", "alice", text="hello\n.\nnot this\n")
    assert (done.returncode, done.stderr) == (0, b"")
    header, body = alice.new()
    user = getpass.getuser()
    assert header.startswith(f"Return-Path: <{user}@{DOMAIN}>\r\n".encode())
    assert f'\r\nFrom: "Cron Daemon" <{user}@{DOMAIN}>\r\n'.encode() in header
    assert re.search(rb"\r\nDate: \w{3}, ", header)
    assert re.search(rb"\r\nMessage-ID: <[0-9a-f.]+@mail\.test\.example>", header)
    assert body == b"hello\r\n"


def test_what_is_there_stays(mail_house, alice):
    text = (f"From: Somebody <s@b.example>\r\nTo: {ALICE}\r\nDate: Tue, 1 Jul 2003 10:52:37 +0200\r\n"
            "Message-ID: <m@b.example>\r\n\r\n..dots\r\n.\r\nmore\r\n")
    assert sendmail(mail_house, "-i", "-f", "bounce@b.example", ALICE, text=text).returncode == 0
    header, body = alice.new()
    assert header.startswith(b"Return-Path: <bounce@b.example>\r\n")
    assert header.count(b"From:") == header.count(b"Date:") == header.count(b"Message-ID:") == 1
    assert body == b"..dots\r\n.\r\nmore\r\n"


def test_recipients_of_the_header(mail_house, alice):
    bob = Box(mail_house, BOB)
    text = f"To: alice,\n Alice <{ALICE}>\nBcc: Bob\n <{BOB}>\nSubject: t\n\nhi\n"
    assert sendmail(mail_house, "-oi", "-t", "-f", "", text=text).returncode == 0
    for box in (alice, bob):
        header, body = box.new()
        assert header.startswith(b"Return-Path: <>\r\n")
        assert b"Bcc" not in header and b"To: alice,\r\n Alice <" in header and body == b"hi\r\n"


@pytest.mark.parametrize("status, arguments, text, words", [
    (NO_USER, ["nobody"], "x\n", b"5.1.1"),
    (NO_USER, [ALICE, "nobody"], "x\n", b"5.1.1"),
    (REFUSED, ["x@elsewhere.example"], "x\n", b"5.7.1"),
    (USAGE, [], "x\n", b"nobody is to get this"),
    (USAGE, ["a b c@x"], "x\n", b"no address"),
    (USAGE, ["--what"], "x\n", b"usage"),
    (USAGE, ["-bx"], "x\n", b"usage"),
    (USAGE, ["-f", "a b", "alice"], "x\n", b"no address"),
    (USAGE, ["-t"], "Subject: x\n\nx\n", b"nobody is to get this"),
    (DATA, ["-t"], "To: <>, x@y z\n\nx\n", b"no address"),
    (REFUSED, ["alice"], "a\rb\n", b"5.6.11"),
])
def test_exit_status(mail_house, alice, status, arguments, text, words):
    done = sendmail(mail_house, *arguments, text=text)
    assert done.returncode == status and words in done.stderr, done.stderr
    assert set(mail_house.messages(ALICE)) == alice.before  # all recipients or none


def test_while_the_house_does_not_run(make_house):
    house = make_house(services=("smtp",))
    house.stop()
    done = sendmail(house, "alice")
    assert done.returncode == TRY_AGAIN and b"does not run" in done.stderr
    house.config.unlink()
    assert sendmail(house, "alice").returncode == CONFIG


def test_smtp_on_standard_input(mail_house, alice):
    done = sendmail(mail_house, "-bs", text=f"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<{ALICE}>\r\n"
                                            "DATA\r\n\r\nspoken\r\n.\r\nQUIT\r\n")
    codes = [int(line[:3]) for line in done.stdout.splitlines()]
    assert (done.returncode, codes) == (0, [220, 250, 250, 250, 354, 250, 221])
    assert alice.new()[1] == b"spoken\r\n"


def test_the_queue_is_listed(mail_house):
    assert sendmail(mail_house, "-bp").returncode == 0
    assert sendmail(mail_house, "-bi").returncode == 0


def test_its_other_name(tmp_path):
    link = tmp_path / "sendmail"
    os.symlink(BUILD / "staffetta", link)
    for argument, status in (("-bi", 0), ("-bx", USAGE)):
        assert subprocess.run([link, argument], capture_output=True,
                              env=ENVIRONMENT).returncode == status


def test_mail_goes_elsewhere_where_this_host_may(make_house):
    with Sink() as sink:
        house = make_house(services=("smtp",), settings={"relay": {"networks": "127.0.0.0/8"}},
                           extra=f"route b.example {{ host = 127.0.0.1 port = {sink.port} }}")
        assert sendmail(house, "Bob.Smith@b.example").returncode == 0
        assert sink.wait(1)[0].rcpts == ["RCPT TO:<Bob.Smith@b.example>"]
