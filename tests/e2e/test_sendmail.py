"""staffetta sendmail: what programs and cron call."""

import email
import email.policy
import getpass
import os
import re
import shutil
import subprocess
import time

import pytest

from house import BUILD, DOMAIN, ENVIRONMENT, ROOT
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


def test_what_is_sent_on_goes_to_whom_that_names(mail_house, alice):
    """RFC 5322 3.6.6: not once more to whom it went to first; who is hidden stays so."""
    bob = Box(mail_house, BOB)
    text = f"Resent-From: c@b.example\nResent-To: alice\nResent-Bcc: {BOB}\nTo: x@elsewhere.example\nBcc: y@z\n\nhi\n"
    assert sendmail(mail_house, "-oi", "-t", text=text).returncode == 0
    for box in (alice, bob):
        header, _ = box.new()
        assert b"Bcc" not in header and b"Resent-To: alice\r\n" in header and b"\nTo: x@elsewhere.example" in header


def test_options_of_other_sendmails_do_no_harm(mail_house, alice):
    assert sendmail(mail_house, "-m", "-n", "-em", "-odi", "-oem", "-v", "-h", "3", "alice").returncode == 0
    alice.new()


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
    (DATA, ["-t"], "To: Terry Gray\n\nx\n", b'"Terry Gray" is no address'),
    (REFUSED, ["alice"], "a\rb\n", b"5.6.11"),
])
def test_exit_status(mail_house, alice, status, arguments, text, words):
    done = sendmail(mail_house, *arguments, text=text)
    assert done.returncode == status and words in done.stderr, done.stderr
    assert set(mail_house.messages(ALICE)) == alice.before  # all recipients or none


@pytest.fixture(scope="module")
def lasting_house(make_module_house):
    house = make_module_house(services=("smtp",))
    house.add_account(ALICE)
    house.stop()
    return house


@pytest.fixture
def idle_house(lasting_house):
    """A house that runs when its test starts it: nothing waits there, and its log is new."""
    house = lasting_house
    house.log.unlink()
    for file in (house.directory / "state" / "drop").iterdir():
        file.unlink()
    yield house
    house.stop()
    assert not house.sanitizer_reports(), house.log_text()


def dropped(house):
    return sorted(file.name[0] for file in (house.directory / "state" / "drop").iterdir())


def test_mail_waits_while_the_house_does_not_run(idle_house):
    house = idle_house
    alice = Box(house)
    assert sendmail(house, "alice", text="waited\n").returncode == 0
    assert sendmail(house, "nobody").returncode == 0
    (house.directory / "state" / "drop" / "m.garbage").write_text("no\nmail")
    os.mkfifo(house.directory / "state" / "drop" / "m.fifo")
    assert dropped(house) == ["m"] * 4
    house.start()
    assert alice.new()[1] == b"waited\r\n"
    for _ in range(100):
        if dropped(house) == ["m", "r", "r"]:  # the pipe, the unknown recipient, the garbage
            break
        time.sleep(0.1)
    assert dropped(house) == ["m", "r", "r"]
    assert {event["status"] for event in house.events("drop_refused")} == {"65", "67"}
    assert set(house.messages(ALICE)) == alice.before


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_refused_later_goes_back_to_its_sender(idle_house):
    house = idle_house
    alice = Box(house)
    assert sendmail(house, "-f", ALICE, ALICE, "nobody", text="Subject: mine\n\n.dot\nso it was\n").returncode == 0
    assert sendmail(house, "-f", "", "nobody", text="to nobody, from nobody\n").returncode == 0
    house.start()
    octets = b"\r\n\r\n".join(alice.new())
    wait_until(lambda: dropped(house) == ["r"])  # whose sender nobody can tell
    report = email.message_from_bytes(octets, policy=email.policy.SMTP)
    assert report["Return-Path"] == "<>" and report["To"] == ALICE and report["Auto-Submitted"] == "auto-replied"
    assert report.get_content_type() == "multipart/report"
    words, status, original = report.get_payload()
    assert f"<nobody@{DOMAIN}>" in words.get_content() and "5.1.1" in words.get_content()
    _, *recipients = status.get_payload()
    assert [(part["Final-Recipient"], part["Action"], part["Status"]) for part in recipients] == [
        (f"rfc822;{ALICE}", "failed", "5.1.1"), (f"rfc822;nobody@{DOMAIN}", "failed", "5.1.1")]
    assert original.get_payload()[0]["Subject"] == "mine"
    assert octets.count(b"\r\n.dot\r\nso it was\r\n") == 1
    assert house.wait_for_event("drop_returned")
    wait_until(lambda: "drop: 0 messages, 1 refused and kept" in house.command("status").stdout)
    assert set(house.messages(ALICE)) == alice.before


def test_what_waited_too_long_is_kept_where_nobody_can_be_told(make_house):
    house = make_house(services=("smtp",), settings={"queue": {"lifetime": "3s", "retry": "1s", "delay-warning": "2s"},
                                                     "limits": {"free-space": "1T"}})
    house.add_account(ALICE)
    assert sendmail(house, "-f", ALICE, ALICE, text="late\n").returncode == 0
    house.wait_for_event("drop_refused", status=TRY_AGAIN)
    assert dropped(house) == ["r"]


def test_mail_waits_while_nothing_is_taken(make_house):
    house = make_house(services=("smtp",), settings={"limits": {"free-space": "1T"}})
    house.add_account(ALICE)
    assert sendmail(house, "alice").returncode == 0
    assert house.wait_for_event("drop_waits")["status"] == "75"
    assert dropped(house) == ["m"]


@pytest.mark.skipif(os.geteuid() != 0, reason="for root: another user's mail")
def test_users_see_nothing_of_each_other(idle_house):
    house = idle_house
    alice = Box(house)
    drop = house.directory / "state" / "drop"
    assert drop.stat().st_mode & 0o7777 == 0o1733
    house.config.chmod(0o644)
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           BUILD / "staffetta", "-c", house.config, "sendmail", ALICE],
                          input=b"from nobody\n", capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    file, = drop.iterdir()
    assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (65534, 0o600)
    house.start()
    assert alice.new()[0].startswith(f"Return-Path: <nobody@{DOMAIN}>".encode())


def test_nothing_can_be_done(idle_house):
    house, away = idle_house, idle_house.directory / "away"
    drop = house.directory / "state" / "drop"
    drop.rename(away)
    done = sendmail(house, "alice")
    away.rename(drop)
    assert done.returncode == TRY_AGAIN and b"drop/t." in done.stderr
    house.config.rename(away)
    assert sendmail(house, "alice").returncode == CONFIG
    away.rename(house.config)


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


def alternatives(tmp_path, target):
    for name in ("alt", "admin"):
        (tmp_path / name).mkdir(exist_ok=True)
    command = f"update-alternatives --altdir {tmp_path}/alt --admindir {tmp_path}/admin --log {tmp_path}/log"
    return subprocess.run(["make", "-s", target, f"UPDATE_ALTERNATIVES={command}", f"LINKS={tmp_path}/usr", f"PREFIX={tmp_path}/local"],
                          cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not shutil.which("update-alternatives"), reason="no update-alternatives")
def test_installed_as_an_alternative(tmp_path):
    """All three names lead to us, and no more after the uninstall; a file of another package stays what it is."""
    (tmp_path / "local/sbin").mkdir(parents=True)
    links = [tmp_path / "usr" / name for name in ("sbin/sendmail", "bin/mailq", "bin/newaliases")]
    for link in links:
        os.symlink(BUILD / "staffetta", tmp_path / "local/sbin" / link.name)
    alternatives(tmp_path, "install-alternatives")
    assert [link.resolve() for link in links] == [BUILD / "staffetta"] * 3
    done = subprocess.run([links[2]], capture_output=True, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (0, b"")
    alternatives(tmp_path, "uninstall-alternatives")
    assert not any(link.is_symlink() for link in links)
    links[0].write_text("another's")
    assert "is another mail server's" in alternatives(tmp_path, "install-alternatives")
    assert links[0].read_text() == "another's" and not links[1].is_symlink()


def test_mail_goes_elsewhere_where_this_host_may(make_house):
    with Sink() as sink:
        house = make_house(services=("smtp",), settings={"relay": {"networks": "127.0.0.0/8"}},
                           extra=f"route b.example {{ host = 127.0.0.1 port = {sink.port} }}")
        assert sendmail(house, "Bob.Smith@b.example").returncode == 0
        assert sink.wait(1)[0].rcpts == ["RCPT TO:<Bob.Smith@b.example>"]
