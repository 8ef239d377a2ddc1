"""What an account submits is filed in its mailbox with use \\Sent, and is there once, whether its client files it too or
not (`submission.sent-copy`; docs/clients.md, "Sent mail")."""

import contextlib
import imaplib
import re
import smtplib
import time

import pytest

from house import PASSWORD, replace_file
from mailbox_role import Mailbox

SERVICES = ("smtp", "submission", "imap")


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    return make_module_house(settings={"submission": {"sent-copy": "yes"}}, services=SERVICES)


class Account:
    def __init__(self, house, name):
        self.house, self.name = house, name
        self.imap = imaplib.IMAP4("127.0.0.1", house.ports["imap"])
        self.imap.login(name, PASSWORD)

    def text(self, subject, body="hello", bcc="", to="somebody@test.example", end="\r\n"):
        return (f"From: {self.name}\r\nTo: {to}\r\n{bcc and f'Bcc: {bcc}' + chr(13) + chr(10)}Subject: {subject}\r\n"
                f"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nMessage-ID: <{subject}@client.example>\r\n\r\n{body}{end}")

    def submit(self, text, to=None):
        with smtplib.SMTP("127.0.0.1", self.house.ports["submission"]) as client:
            client.login(self.name, PASSWORD)
            client.sendmail(self.name, to or [self.name], text.encode())

    def filed(self, count):
        return self.house.wait_for_messages(self.name, count, ".Sent")

    def call(self, command, *arguments):
        status, data = getattr(self.imap, command)(*arguments)
        assert status == "OK", data
        return data

    def append(self, text, flags="(\\Seen)", folder="Sent"):
        """(UIDVALIDITY, UID) of APPENDUID."""
        [line] = self.call("append", folder, flags, None, text.encode())
        return tuple(map(int, re.search(rb"\[APPENDUID (\d+) (\d+)\]", line).groups()))

    def sent(self):
        """{UID: (flags, octets)} of all in Sent."""
        self.call("select", "Sent")
        data = self.call("uid", "FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        self.call("unselect")
        return {int(re.search(rb"UID (\d+)", head)[1]): (set(imaplib.ParseFlags(head)), octets)
                for head, octets in (item for item in data if isinstance(item, tuple))}


@pytest.fixture
def account(mail_house):
    made = Account(mail_house, mail_house.new_account())
    yield made
    with contextlib.suppress(OSError, imaplib.IMAP4.abort):
        made.imap.logout()


@pytest.fixture
def other(mail_house):
    return mail_house.new_account()


def copies(house, account, event="copy_filed"):
    return [found for found in house.events(event) if found["account"] == account.name]


def test_a_copy_is_filed(mail_house, account, other):
    """All that was submitted, seen; the recipient's has no Bcc (RFC 6409 8), and what only the final delivery
    writes (RFC 5321 4.4) stands in his alone."""
    text = account.text("filed", bcc=other)
    account.submit(text, [other])
    account.filed(1)
    [(flags, octets)] = account.sent().values()
    assert b"\\Seen" in flags
    assert octets.endswith(text.encode()) and octets.startswith(b"Received: from ")
    assert b"Return-Path" not in octets and b"Delivered-To" not in octets
    [received] = mail_house.wait_for_messages(other, 1)
    assert b"Bcc" not in received.read_bytes() and b"Delivered-To" in received.read_bytes()
    [event] = copies(mail_house, account)
    assert event["result"] == "2.1.5 filed" and "queue_id" in event
    assert "a copy for" in mail_house.command("why", event["queue_id"]).stdout


@pytest.mark.parametrize("change", ["none", "bcc", "bare", "end", "ends", "other-fields"])
def test_append_of_it_gives_its_uid(account, other, change):
    """RFC 4315 3: APPENDUID. However the client writes it, whatever it leaves out of what it sends."""
    text = account.text(f"twin-{change}", "a\r\nb")
    account.submit(text)
    account.filed(1)
    [(uid, _)] = account.sent().items()
    appended = {"none": text, "bcc": account.text(f"twin-{change}", "a\r\nb", bcc=other), "bare": text.replace("\r\n", "\n"),
                "end": text[:-2], "ends": text + "\r\n", "other-fields": "X-Draft: 1\r\n" + text}[change]
    assert account.append(appended, "(\\Flagged blue)")[1] == uid
    [(same, (flags, octets))] = account.sent().items()
    assert same == uid and {b"\\Seen", b"\\Flagged", b"blue"} <= flags and octets.startswith(b"Received")
    assert len(account.filed(1)) == 1
    assert account.append(appended)[1] == uid  # as often as it likes


@pytest.mark.parametrize("change", ["body", "longer", "id", "no id", "mailbox", "deleted", "old"])
def test_append_of_another_is_stored(mail_house, account, change):
    text = account.text("else")
    account.submit(text)
    [file] = account.filed(1)
    [uid] = account.sent()
    if change == "deleted":
        account.call("select", "Sent")
        account.call("uid", "STORE", str(uid), "+FLAGS", "(\\Deleted)")
        account.call("unselect")
    if change == "old":  # filed two hours ago
        [file] = account.filed(1)
        seconds, rest = file.name.split(".", 1)
        file.rename(file.with_name(f"{int(seconds) - 7200}.{rest}"))
    appended = {"body": text.replace("hello", "hallo"), "longer": text + "more\r\n", "id": text.replace("<else@", "<elsa@"),
                "no id": text.replace("Message-ID", "X-ID")}.get(change, text)
    assert account.append(appended, folder="Drafts" if change == "mailbox" else "Sent")[1] != uid or change == "mailbox"
    assert len(account.sent()) == (1 if change == "mailbox" else 2)


def test_client_appends_first(mail_house, account):
    """What came first stays."""
    text = account.text("first")
    _, uid = account.append(text, "(\\Seen)")
    account.call("select", "Sent")
    account.submit(text)
    deadline = time.monotonic() + 20
    while not copies(mail_house, account) or len(mail_house.messages(account.name, ".Sent")) > 1:
        assert time.monotonic() < deadline
        account.call("noop")
    [(same, (_, octets))] = account.sent().items()
    assert same == uid and octets == text.encode()


def test_the_copy_has_waited(tmp_path):
    """In a full mailbox, say: what the client appended when it was submitted is its twin, however long ago that is."""
    mailbox, text, now = Mailbox(tmp_path, config="submission { sent-copy = yes }"), b"Message-ID: <w@x>\r\n\r\nbody\r\n", int(time.time())
    copy = b"Received: by us\r\n" + text
    with mailbox.connect() as client:
        client.append(text, "Sent")
        [name] = mailbox.files("Sent")
        appended = mailbox.folder("Sent") / "cur" / name
        appended.rename(appended.with_name(f"{now - 7200}.{name.split('.', 1)[1]}"))
        client.ok("SELECT Sent")
        client.ok("UNSELECT")
        for waited, messages in ((7300, 1), (0, 2)):  # the other one is nobody's twin
            mailbox.store(copy, "Sent", flags="S", name=f"{now - waited}.Q0001075FWZM{waited % 97}R1.host,S={len(copy)},W={len(copy)}")
            mailbox.changed(b".Sent")
            assert b"* %d EXISTS" % messages in client.ok("SELECT Sent")
            client.ok("UNSELECT")
    mailbox.stop()


def test_multiappend_stores_all(account):
    """RFC 3502: who brings several files nothing that he has just sent."""
    text = account.text("multi").encode()
    account.submit(text.decode())
    account.filed(1)
    assert len(account.sent()) == 1
    size = len(text)
    account.imap.send(b"m APPEND Sent {%d+}\r\n%b {%d+}\r\n%b\r\n" % (size, text, size, text))
    while not (line := account.imap.readline()).startswith(b"m "):
        pass
    assert re.match(rb"m OK \[APPENDUID \d+ \d+:\d+\]", line) and len(account.sent()) == 3


def test_catenate(account):
    """RFC 4469: what was put together of pieces is what it is."""
    text = account.text("cat").encode()
    account.submit(text.decode())
    account.filed(1)
    [uid] = account.sent()
    a, b = text[:20], text[20:]
    account.imap.send(b"c APPEND Sent CATENATE (TEXT {%d+}\r\n%b TEXT {%d+}\r\n%b)\r\n" % (len(a), a, len(b), b))
    while not (line := account.imap.readline()).startswith(b"c "):
        pass
    assert re.match(rb"c OK \[APPENDUID \d+ %d\]" % uid, line) and len(account.sent()) == 1


@pytest.mark.parametrize("folder", ["Drafts", "Sent"])
def test_replace(account, folder):
    """RFC 8508: the draft goes, and what replaces it is there already. The copy itself is replaced like any other."""
    text = account.text("replace")
    account.submit(text)
    account.filed(1)
    [uid] = account.sent()
    if folder == "Drafts":
        account.append(text, "(\\Draft)", "Drafts")
    account.call("select", folder)
    account.imap.send(b"r REPLACE 1 Sent (\\Seen) {%d+}\r\n%b\r\n" % (len(text), text.encode()))
    lines = []
    while not lines or not lines[-1].startswith(b"r "):
        lines.append(account.imap.readline())
    assert lines[-1].startswith(b"r OK")
    [appended] = [int(found[1]) for line in lines if (found := re.search(rb"APPENDUID \d+ (\d+)", line))]
    account.call("unselect")
    assert (appended == uid) == (folder == "Drafts") and list(account.sent()) == [appended]


def test_large(account):
    """One that lies in a file of the queue, and is compared in slices."""
    text = account.text("large", "\r\n".join(f"{i:070}" for i in range(40000)))
    account.submit(text)
    account.filed(1)
    [uid] = account.sent()
    assert account.append(text)[1] == uid and len(account.sent()) == 1
    assert account.append(text.replace(f"{39999:070}", f"{49999:070}"))[1] != uid


def test_who_has_no_mailbox_for_it(mail_house, account):
    """Another mailbox than Sent may have the use (RFC 6154); without one, nothing is filed, and the mail goes out."""
    account.call("delete", "Sent")
    account.submit(account.text("nowhere"))
    mail_house.wait_for_messages(account.name, 1)
    deadline = time.monotonic() + 20
    while not (found := copies(mail_house, account)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert "no mailbox" in found[0]["result"] and not mail_house.messages(account.name, ".Sent")
    account.call("xatom", "CREATE", "Gesendet", "(USE (\\Sent))")
    account.submit(account.text("elsewhere"))
    mail_house.wait_for_messages(account.name, 1, ".Gesendet")


def test_nothing_is_filed_of_others(mail_house, account, other):
    """Mail from outside, what is refused, and reports."""
    mail_house.send(account.name, account.text("outside"))
    with pytest.raises(smtplib.SMTPDataError):
        account.submit(account.text("forged").replace(f"From: {account.name}", f"From: {other}"))
    account.submit(account.text("last"))
    mail_house.wait_for_messages(account.name, 2)
    account.filed(1)
    assert [b"last@client" in octets for _, octets in account.sent().values()] == [True]


def test_quota_is_respected(mail_house):
    """The copy waits; the submission has succeeded (RFC 5321 4.2.5)."""
    name = mail_house.add_account("full@test.example", "--quota", "3K")
    account = Account(mail_house, name)
    to = mail_house.new_account()
    account.append("Subject: fills\r\n\r\n" + "x" * 2500, "()", "Drafts")
    account.submit(account.text("over", "y" * 1000), [to])
    mail_house.wait_for_messages(to, 1)
    deadline = time.monotonic() + 20
    while not (found := copies(mail_house, account, "copy_not_filed")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert found[0]["result"].startswith("4.2.2") and not mail_house.messages(name, ".Sent")
    assert not mail_house.events("report")


def test_once_whatever_is_killed(mail_house, account):
    """Like any delivery: what the queue finds in the Maildir is not written again, nor what was removed from it."""
    for i in range(4):
        account.submit(account.text(f"killed-{i}"))
    mail_house.deaths_expected = True
    mail_house.kill_everything()
    mail_house.start()
    account.filed(4)
    mail_house.wait_for_messages(account.name, 4)
    again = Account(mail_house, account.name)
    assert sorted(re.search(rb"killed-\d", octets)[0] for _, octets in again.sent().values()) == [
        b"killed-%d" % i for i in range(4)]
    assert again.append(again.text("killed-2"))[1] in again.sent() and len(again.sent()) == 4


def test_off_by_default(mail_house):
    """A reload is enough."""
    account = Account(mail_house, mail_house.new_account())
    replace_file(mail_house.config, mail_house.config.read_text().replace("sent-copy = yes", "sent-copy = no"))
    mail_house.command("reload")
    account.submit(account.text("off"))
    mail_house.wait_for_messages(account.name, 1)
    assert not mail_house.messages(account.name, ".Sent") and not copies(mail_house, account)
    account.append(account.text("off"))
    assert len(account.sent()) == 1
