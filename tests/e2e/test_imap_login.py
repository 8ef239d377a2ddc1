"""IMAP in a whole house: login, mailbox, delivery, and clients as Debian packages them."""

import imaplib
import shutil
import subprocess
import time

import pytest

from house import BUILD, CORPUS, PASSWORD, House
from talk import client_context

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                reason="imapd-mailbox is not built")
MESSAGE = b"From: a@b.example\r\nTo: c@d.example\r\nSubject: hello\r\n\r\nbody\r\n"


def test_a_day_of_a_client(imap, account):
    imap.talk("""
        C: a LOGIN {account} staffetta
        S: a OK [CAPABILITY IMAP4rev1 *] *
        C: b SELECT INBOX
        S: ...
        S: b OK [READ-WRITE] *
        C: c LOGOUT
        S: * BYE *
        S: c OK *
        S: (closed)""", account=account)


def test_a_day_of_a_client_over_tls(imaps, account):
    imaps.talk("""
        C: a LOGIN {account} staffetta
        S: a OK [CAPABILITY IMAP4rev1 *] *
        C: b APPEND INBOX {{8+}}
        C: a\\r\\n\\r\\nb\\r\\n\\r\\n
        S: b OK *
        C: c SELECT INBOX
        S: ...
        S: * 1 EXISTS
        S: ...
        S: c OK [READ-WRITE] *
        C: d FETCH 1 BODY[]
        S: * 1 FETCH *
        S: ...
        S: d OK *
        C: e LOGOUT
        S: * BYE *
        S: e OK *
        S: (closed)""".replace("{{8+}}", "{8+}"), account=account)


def test_mail_is_delivered_to_an_idle_client(house, imaps, account):
    """From SMTP to IDLE."""
    imaps.talk("""
        C: a LOGIN {account} staffetta
        S: a OK *
        C: b SELECT INBOX
        S: ...
        S: b OK *
        C: c IDLE
        S: + idling""", account=account)
    house.send(account, MESSAGE)
    imaps.talk("""
        S: * 1 EXISTS
        S: * 1 RECENT
        C: DONE
        S: c OK *
        C: d FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]
        S: * 1 FETCH (BODY[HEADER.FIELDS (Subject)] *
        S: Subject: hello
        S: ...
        S: d OK *""")


def test_imaplib(house, account):
    """Python's own client."""
    client = imaplib.IMAP4_SSL("127.0.0.1", house.ports["imaps"], ssl_context=client_context())
    client.login(account, PASSWORD)
    assert client.append("INBOX", r"(\Seen)", None, MESSAGE)[0] == "OK"
    assert client.select()[1] == [b"1"]
    assert client.search(None, "SUBJECT", "hello")[1] == [b"1"]
    assert client.fetch("1", "(BODY[])")[1][0][1] == MESSAGE
    assert client.copy("1", "Sent")[0] == "OK"
    assert client.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert client.expunge()[1] == [b"1"]
    assert client.status("Sent", "(MESSAGES)")[1] == [b"Sent (MESSAGES 1)"]
    client.logout()


def test_curl(house, account, tmp_path):
    url = f"imaps://127.0.0.1:{house.ports['imaps']}"
    login = ["curl", "-sk", "--user", f"{account}:{PASSWORD}"]

    def curl(*arguments, **options):
        return subprocess.run([*login, *arguments], check=True, capture_output=True, timeout=30,
                              **options).stdout

    (tmp_path / "message").write_bytes(MESSAGE)
    curl("-T", tmp_path / "message", f"{url}/INBOX")
    assert curl(f"{url}/INBOX;MAILINDEX=1") == MESSAGE
    assert b"* SEARCH 1" in curl("-X", "SEARCH ALL", f"{url}/INBOX")
    assert b'"/" Sent' in curl(f"{url}/")


@pytest.mark.skipif(not shutil.which("mbsync"), reason="no mbsync")
def test_mbsync(house, account, tmp_path):
    """isync: both ways, and nothing the second time."""
    config = tmp_path / "mbsyncrc"
    (tmp_path / "mail").mkdir()
    config.write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {house.ports["imap"]}
User {account}
Pass {PASSWORD}
SSLType None

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns * !Expunged !Expunged/*
Create Both
Expunge Both
SyncState *
""")

    def mbsync():
        return subprocess.run(["mbsync", "-c", config, "-V", "all"], check=True, timeout=120,
                              capture_output=True, text=True, env={"HOME": str(tmp_path)}).stdout

    with house.connect("imap") as client:
        client.talk("C: a LOGIN {account} staffetta\nS: a OK *", account=account)
        for number, file in enumerate(sorted(CORPUS.glob("*.eml"))[:40]):
            octets = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            client.send(b"x APPEND INBOX {%d+}\r\n" % len(octets) + octets + b"\r\n")
            client.talk("S: x OK *")
        client.talk("C: b CREATE deep/er\nS: b OK *")
    mbsync()
    stored = list((tmp_path / "mail" / "INBOX" / "cur").iterdir())
    stored += list((tmp_path / "mail" / "INBOX" / "new").iterdir())
    assert len(stored) == min(40, len(list(CORPUS.glob("*.eml"))))
    assert (tmp_path / "mail" / "deep" / "er").is_dir()
    if stored:
        stored[0].unlink()
    (tmp_path / "mail" / "Drafts" / "new" / "1.near.host").write_bytes(MESSAGE)
    mbsync()
    with house.connect("imap") as client:
        client.talk("""
            C: a LOGIN {account} staffetta
            S: a OK *
            C: b STATUS Drafts (MESSAGES)
            S: * STATUS Drafts (MESSAGES 1)
            S: b OK *
            C: c STATUS INBOX (MESSAGES)
            S: * STATUS INBOX (MESSAGES {left})
            S: c OK *""", account=account, left=max(len(stored) - 1, 0))
    before = sorted(path.name for path in tmp_path.glob("mail/**/*") if path.is_file())
    mbsync()
    assert sorted(path.name for path in tmp_path.glob("mail/**/*") if path.is_file()) == before


def test_a_user_is_served_by_one_process(house, account):
    """All sessions of an account share it; it ends some time after the last."""
    before = len(house.pids("imapd-mailbox"))
    clients = [house.connect("imap") for _ in range(3)]
    for client in clients:
        client.talk("C: a LOGIN {account} staffetta\nS: a OK *", account=account)
    assert len(house.pids("imapd-mailbox")) == before + 1
    for client in clients:
        client.talk("C: a LOGOUT\nS: ...\nS: a OK *")
        client.close()


@pytest.fixture
def masking(certificate):
    house = House(extra='client "*Breaks*" { without = { "LITERAL+", IDLE } }\n',
                  services=("imap",), certificate=certificate)
    house.start()
    yield house
    house.stop()
    house.remove()


def test_mask_of_a_client_before_the_login(masking):
    """docs/configuration.md, `client`: by what it says with ID (RFC 2971) before the login; its
    own process goes on with that."""
    account = masking.new_account()
    with masking.connect("imap") as client:
        client.talk("""
            C: a ID ("name" "It breaks" "version" "1")
            S: * ID (*
            S: a OK *
            C: b CAPABILITY
            S: * CAPABILITY IMAP4rev1 IMAP4rev2 ENABLE *
            S: b OK *
            C: c LOGIN {account} staffetta
            S: c OK [CAPABILITY IMAP4rev1 IMAP4rev2 ENABLE ID NAMESPACE *
            C: d IDLE
            S: d BAD *
            C: e ID NIL
            S: * ID (*
            S: e OK *
            C: f IDLE
            S: + *""", account=account)
