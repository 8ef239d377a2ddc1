"""BURL (RFC 4468): a submission takes parts of a message from a mailbox of the house, by a URL that lets it in (URLAUTH, RFC
4467)."""

import contextlib
import os
import re
import signal
import smtplib
import socket
import time

import imaplib
import pytest

from house import PASSWORD, looking_into_a_role

HOST = "mail.test.example"
MIME = ("From: {}\r\nTo: {}\r\nBcc: hidden@test.example\r\nSubject: parts\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\n\r\nfirst\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>second</b>\r\n--b--\r\n")


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    return make_module_house(settings={"limits": {"message-size": "4M"}}, services=("smtp", "submission", "imap"))


class Account:
    def __init__(self, house, name):
        self.house, self.name, self.short = house, name, name.split("@")[0]
        self.imap = imaplib.IMAP4("127.0.0.1", house.ports["imap"])
        self.imap.login(name, PASSWORD)

    def append(self, text, folder="Drafts"):
        """Its UID."""
        status, [line] = self.imap.append(folder, None, None, text.encode())
        assert status == "OK", line
        return int(re.search(rb"APPENDUID \d+ (\d+)", line)[1])

    def command(self, text):
        self.imap.send(b"u " + text.encode() + b"\r\n")
        lines = [self.imap.readline()]
        while not lines[-1].startswith(b"u "):
            lines.append(self.imap.readline())
        assert lines[-1].startswith(b"u OK"), lines
        return lines

    def sign(self, path, access=None, host=HOST):
        """The URL of a message of this account."""
        rump = f"imap://{self.short}@{host}/{path};urlauth={access or 'submit+' + self.short}"
        return re.search(rb'"?(imap://[^"\s]+)"?', self.command(f'GENURLAUTH "{rump}" INTERNAL')[0])[1].decode()

    def mailbox(self):
        """The pid of its mailbox process."""
        with looking_into_a_role():
            [pid] = [pid for pid in self.house.pids("imapd-mailbox") if f"{self.short}/" in os.readlink(f"/proc/{pid}/cwd")]
        return pid

    def wait_until_gone(self, pid):
        """The master has heard of it; whoever comes before that gets what has died."""
        while pid in self.house.pids("imapd-mailbox"):
            time.sleep(0.005)

    @contextlib.contextmanager
    def submission(self):
        with smtplib.SMTP("127.0.0.1", self.house.ports["submission"]) as client:
            client.login(self.name, PASSWORD)
            client.ehlo()
            yield client


@pytest.fixture(scope="module")
def alice(mail_house):
    return Account(mail_house, mail_house.new_account())


@pytest.fixture(scope="module")
def bob(mail_house):
    return Account(mail_house, mail_house.new_account())


@pytest.fixture(scope="module")
def draft(alice, bob):
    return alice.append(MIME.format(alice.name, bob.name))


@pytest.fixture
def to(mail_house):
    return mail_house.new_account()


def begin(client, sender, *recipients):
    assert client.docmd("MAIL", f"FROM:<{sender.name}>")[0] == 250
    for recipient in recipients:
        assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250


def burl(client, url, last=True):
    code, text = client.docmd("BURL", url + (" LAST" if last else ""))
    return code, text.decode()


def received(house, to):
    [file] = house.wait_for_messages(to, 1)
    return file.read_bytes().decode()


def test_who_is_told_of_it(mail_house, alice):
    """RFC 4468 3.1, 3.3: not on port 25; "imap" to who has logged in."""
    with smtplib.SMTP("127.0.0.1", mail_house.ports["submission"]) as client:
        client.ehlo()
        assert not client.has_extn("burl")
        client.login(alice.name, PASSWORD)
        client.ehlo()
        assert client.esmtp_features["burl"].split() == ["imap"]
        assert "8bitmime" in client.esmtp_features  # 4
    with smtplib.SMTP("127.0.0.1", mail_house.ports["smtp"]) as client:
        client.ehlo()
        assert not client.has_extn("burl")
        assert client.docmd("BURL", "imap://a@b/c;urlauth=anonymous:internal:1")[0] == 502


@pytest.mark.parametrize("host", [HOST, "test.example"])
def test_a_whole_message(mail_house, alice, draft, to, host):
    """3.2: a simple transaction. What holds for a submission holds for it: no Bcc, Date and Message-ID. The URL
    may call the server by the domain whose mail it holds."""
    with alice.submission() as client:
        begin(client, alice, to)
        code, text = burl(client, alice.sign(f"Drafts/;uid={draft}", host=host))
        assert code == 250 and "queued as" in text
    text = received(mail_house, to)
    assert "Bcc" not in text and "\r\nMessage-ID: " in text and "\r\nDate: " in text and "with ESMTPA" in text
    assert text.endswith(MIME[MIME.index("Subject"):])


def test_with_bdat(mail_house, alice, draft, to):
    """3.2: "the BURL and BDAT commands may be interleaved"; sections of RFC 5092."""
    head = f"From: {alice.name}\r\nSubject: put together\r\n\r\n"
    parts = [head, "first", "\r\n--\r\n", "<b>second</b>", "\r\nend\r\n"]
    with alice.submission() as client:
        begin(client, alice, to)
        for i, part in enumerate(parts):
            if i % 2:
                code, text = burl(client, alice.sign(f"Drafts/;uid={draft}/;section={i // 2 + 1}"), last=False)
                assert code == 250, text
            else:
                last = " LAST" if i == len(parts) - 1 else ""
                client.send(f"BDAT {len(part)}{last}\r\n{part}")
                assert client.getreply()[0] == 250
    assert received(mail_house, to).endswith("".join(parts))


def test_pipelined(mail_house, alice, draft, to):
    """3.2, RFC 2920: all of it in one round trip; what comes behind is read when the message is there."""
    head = f"From: {alice.name}\r\n\r\n"
    urls = [alice.sign(f"Drafts/;uid={draft}/;section={part}") for part in ("1", "2", "HEADER.FIELDS%20(SUBJECT)", "2.MIME")]
    with alice.submission() as client:
        client.send(f"MAIL FROM:<{alice.name}>\r\nRCPT TO:<{to}>\r\nBDAT {len(head)}\r\n{head}" + "".join(
            f"BURL {url}\r\n" for url in urls) + f"BURL {urls[0]} LAST\r\nNOOP\r\n")
        assert [client.getreply()[0] for _ in range(9)] == [250] * 9
    assert received(mail_house, to).endswith(
        head + "first<b>second</b>Subject: parts\r\n\r\nContent-Type: text/html\r\n\r\nfirst\r\n")


def test_a_large_one(mail_house, alice, to):
    """One that lies in a file of the queue; half of it as it is in the mailbox, in pieces."""
    body = "".join(f"{i:070}\r\n" for i in range(40000))
    text = f"From: {alice.name}\r\nSubject: large\r\n\r\n{body}"
    uid = alice.append(text)
    middle = len(text) // 2
    with alice.submission() as client:
        begin(client, alice, to)
        assert burl(client, alice.sign(f"Drafts/;uid={uid}/;partial=0.{middle}"), last=False)[0] == 250
        assert burl(client, alice.sign(f"Drafts/;uid={uid}/;partial={middle}"))[0] == 250
    assert received(mail_house, to).endswith(text)


def test_binarymime(mail_house, alice, draft, to):
    """4, RFC 3030 3: what comes from a mailbox is encoded like what comes in chunks."""
    head = (f"From: {alice.name}\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n"
            "Content-Type: application/octet-stream\r\n\r\n")
    with alice.submission() as client:
        assert client.docmd("MAIL", f"FROM:<{alice.name}> BODY=BINARYMIME")[0] == 250
        assert client.docmd("RCPT", f"TO:<{to}>")[0] == 250
        client.send(f"BDAT {len(head)}\r\n{head}")
        assert client.getreply()[0] == 250
        assert burl(client, alice.sign(f"Drafts/;uid={draft}/;section=1"))[0] == 250
    assert received(mail_house, to).endswith("base64\r\nContent-Type: application/octet-stream\r\n\r\nZmlyc3Q=\r\n")


@pytest.mark.parametrize("access, reads", [
    ("submit+{0.short}", True), ("submit+{0.name}", True), ("authuser", True), ("anonymous", True), ("submit+{1.short}", False),
    ("user+{0.short}", False)])
@pytest.mark.parametrize("owner", ["own", "other"])
def test_whom_a_url_lets_in(alice, bob, draft, access, reads, owner):
    """3.3: "MUST refuse unless the userid in the URL's <access> token matches the submit client's authorization identity";
    RFC 4467 3: "user+" is for who reads by IMAP. Whose message it is does not matter: its owner has signed."""
    owner, uid = (alice, draft) if owner == "own" else (bob, bob.append(MIME.format(alice.name, bob.name)))
    with alice.submission() as client:
        begin(client, alice, bob.name)
        code, text = burl(client, owner.sign(f"Drafts/;uid={uid}", access.format(alice, bob)))
        assert (code, text[:5]) == ((250, "2.0.0") if reads else (554, "5.7.0")), text


def changed(old, new):
    return lambda url: url.replace(old, new)


@pytest.mark.parametrize("change, code, status", [
    (lambda url: url[:-1] + ("0" if url[-1] != "0" else "1"), 554, "5.7.0"),  # 3.4: "IMAP URL authorization failed"
    (changed("Drafts", "Sent"), 554, "5.7.0"),
    (changed("Drafts", "Nowhere"), 554, "5.7.0"),
    (changed(":internal:", ":external:"), 554, "5.7.0"),
    (changed("imap://user", "imap://nobody"), 554, "5.7.0"),  # there is none: nobody is told so
    (changed(HOST, "elsewhere.example"), 554, "5.7.8"),  # 6: "URL resolution requires trust relationship"
    (lambda url: url.split(";urlauth")[0], 554, "5.7.8"),
    (changed("imap:", "http:"), 554, "5.6.6"),
    (changed("imap://user", "imap://"), 554, "5.7.0"),
    (changed("@", "%40"), 554, "5.6.6"),
    (changed("imap://", "imap://%"), 554, "5.6.6"),
    (lambda url: "imap:" + "x" * 500, 554, "5.6.6"),
    (lambda url: url + " FIRST", 501, "5.5.4")])  # 3.5
def test_what_is_refused(alice, bob, draft, change, code, status):
    """6; 3.2: "the server will fail the entire transaction"."""
    url = alice.sign(f"Drafts/;uid={draft}")
    with alice.submission() as client:
        begin(client, alice, bob.name)
        assert (found := burl(client, change(url)))[0] == code and found[1].startswith(status), found
        client.send("BDAT 5 LAST\r\nfirst")
        if code == 501:  # it never was a BURL
            assert client.getreply()[0] == 250
            return
        assert client.getreply()[0] == 503
        begin(client, alice, bob.name)
        assert burl(client, url)[0] == 250


@pytest.mark.parametrize("path", ["Drafts/;uid=99999", "Drafts/;uid={}/;section=7", "Drafts;uidvalidity=1/;uid={}"])
def test_what_is_not_there(alice, bob, draft, path):
    """RFC 3463 X.6.6: "Message content not available". The URL is right, so its owner may know that."""
    with alice.submission() as client:
        begin(client, alice, bob.name)
        code, text = burl(client, alice.sign(path.format(draft)))
        assert (code, text[:5]) == (554, "5.6.6"), text


def test_over_for_good(alice, bob, draft):
    """RFC 4467 4, 7: a URL that has expired, and one of before RESETKEY."""
    late = alice.sign(f"Drafts/;uid={draft};expire=2001-01-01T00:00:00Z")
    reset = alice.sign(f"Drafts/;uid={draft}")
    alice.command("RESETKEY Drafts INTERNAL")
    with alice.submission() as client:
        for url in (late, reset):
            begin(client, alice, bob.name)
            assert burl(client, url)[1].startswith("5.7.0")


def test_when_it_may_be_said(alice, draft):
    """3.1 4.: "only permitted during a mail transaction after at least one successful RCPT TO"; nothing is resolved then."""
    url = alice.sign(f"Drafts/;uid={draft}")
    with alice.submission() as client:
        assert burl(client, url) == (503, "5.5.1 Say MAIL and RCPT first")
        client.docmd("MAIL", f"FROM:<{alice.name}>")
        assert burl(client, url) == (554, "5.5.0 No recipients have been specified")
        client.docmd("RCPT", "TO:<nobody@test.example>")
        assert burl(client, url)[0] == 554


def test_rules_of_a_submission(alice, bob):
    """RFC 6409 6, 8: whose mail it is, and what is no message."""
    forged = alice.append(MIME.format(bob.name, alice.name))
    with alice.submission() as client:
        begin(client, alice, bob.name)
        code, text = burl(client, alice.sign(f"Drafts/;uid={forged}"))
        assert code == 553 and text.startswith("5.7.1")
        long = alice.append(f"From: {alice.name}\r\n\r\n" + "x" * 70000 + "\r\n")
        begin(client, alice, bob.name)
        code, text = burl(client, alice.sign(f"Drafts/;uid={long}"))
        assert code == 554 and "limits.text-line" in text


def test_too_large(alice, bob):
    """6: "554 5.3.4 Message too big for system"."""
    uid = alice.append(f"From: {alice.name}\r\n\r\n" + ("x" * 998 + "\r\n") * 3000)
    with alice.submission() as client:
        begin(client, alice, bob.name)
        assert burl(client, alice.sign(f"Drafts/;uid={uid}"), last=False)[0] == 250
        code, text = burl(client, alice.sign(f"Drafts/;uid={uid}"))
        assert code == 554 and text.startswith("5.3.4")


def test_of_a_mailbox_that_nobody_has_open(mail_house, alice, to):
    """Its process is started for that, and lives no longer than it has to."""
    owner = Account(mail_house, mail_house.new_account())
    uid = owner.append(MIME.format(alice.name, to))
    url = owner.sign(f"Drafts/;uid={uid}", f"submit+{alice.short}")
    pid = owner.mailbox()
    mail_house.deaths_expected = True
    os.kill(pid, signal.SIGKILL)
    owner.wait_until_gone(pid)
    with alice.submission() as client:
        begin(client, alice, to)
        assert burl(client, url)[0] == 250


@pytest.mark.parametrize("when", ["before", "midway"])
def test_the_mailbox_dies(mail_house, alice, to, when):
    """6: "451 4.4.1 IMAP server unavailable"; nothing of the message is taken."""
    mail_house.deaths_expected = True
    owner = Account(mail_house, mail_house.new_account())
    uid = owner.append(f"From: {alice.name}\r\n\r\n" + ("x" * 998 + "\r\n") * 3900)
    url = owner.sign(f"Drafts/;uid={uid}", f"submit+{alice.short}")
    pid = owner.mailbox()
    with alice.submission() as client:
        begin(client, alice, to)
        if when == "before":
            os.kill(pid, signal.SIGSTOP)
        client.send(f"BURL {url} LAST\r\n")
        time.sleep(0.05 if when == "before" else 0.002)
        os.kill(pid, signal.SIGKILL)
        code, text = client.getreply()
        assert code == 451 and text.startswith(b"4.4.1") or (code == 250 and when == "midway"), text
        owner.wait_until_gone(pid)
        begin(client, alice, to)  # the connection and the account go on
        assert burl(client, url)[0] == 250
    count = 1 + (code == 250)
    assert len(mail_house.wait_for_messages(to, count)) == count


def test_a_client_that_leaves(mail_house, alice, draft):
    """Whose message is under way: nobody waits for it, nothing is taken."""
    url = alice.sign(f"Drafts/;uid={draft}")
    with contextlib.suppress(smtplib.SMTPException), alice.submission() as client:
        begin(client, alice, alice.name)
        client.send(f"BURL {url}\r\n")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sock.close()
    with alice.submission() as client:
        begin(client, alice, alice.name)
        assert burl(client, url)[0] == 250


def test_the_log_has_no_token(mail_house, alice, bob, draft):
    """docs/log.md: who read, and what became of it; the URL lets in whoever has it."""
    url = alice.sign(f"Drafts/;uid={draft}", "anonymous")
    with alice.submission() as client:
        begin(client, alice, bob.name)
        assert burl(client, url)[0] == 250
    [event] = [event for event in mail_house.events("url_read") if event["reader"] == alice.name][-1:]
    assert event["account"] == alice.name and event["result"] == "read"
    assert url.rsplit(":", 1)[1] not in mail_house.log_text()
