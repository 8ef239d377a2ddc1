"""`staffetta import` and `staffetta export`: mail from a Maildir, an mbox or a running IMAP server into an account in use, and
out of one; what was brought is not brought again, and Dovecot serves what was written as we did."""

import mailbox as mailboxes
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from dovecot import available, dovecot, imap, messages, view
from house import PASSWORD
from test_adopt import mbsync, messages_below, owner_of

needs_dovecot = pytest.mark.skipif(not available(), reason="needs root and Dovecot")
MESSAGE = "Subject: {0}\r\nMessage-ID: <{0}@there.example>\r\n\r\nHello {0}.\r\nFrom here on.\r\n>From quoted.\r\n"
DATE = '"0{}-Feb-2021 10:11:12 +0200"'


@pytest.fixture(scope="module")
def house(make_module_house):
    return make_module_house(services=("imap", "pop3", "smtp"))


@pytest.fixture
def directory():
    made = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-import-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def fill(port, account):
    with imap(port, account) as client:
        for name in ("Work", "Work/Sub", '"Entw&APw-rfe"'):
            client.create(name)
            client.subscribe(name)
        for number in range(1, 9):
            client.append("INBOX", rf"(\Seen $Forwarded k{number % 3})", DATE.format(number), MESSAGE.format(number).encode())
        client.select("INBOX")
        client.store("2,8", "+FLAGS", r"(\Flagged \Answered)")
        client.store("3", "-FLAGS", r"(\Seen)")
        client.append('"Entw&APw-rfe"', r"(\Draft)", None, MESSAGE.format("d").encode())
        client.append("Work/Sub", "", DATE.format(9), b"Subject: no id\r\n\r\nx\r\n")
        client.append("Work/Sub", "", DATE.format(9), b"Subject: no id\r\n\r\nx\r\n")  # twice, and both are kept


def kept(port, account, folders=("INBOX", "Work", "Work/Sub", "Entw&APw-rfe")):
    """What an import keeps: flags and keywords, INTERNALDATE, size, in their order."""
    with imap(port, account) as client:
        return {name: [facts for _, facts in sorted(messages(client, name).items())] for name in folders}


def bring(house, *arguments, **options):
    return house.command("import", *arguments, **options)


def test_names_in_utf_8(house, directory):
    """As Courier writes them since 1.0; a folder that no name means is said before anything is brought."""
    account = house.new_account()
    for folder in ("", ".Entwürfe", ".A&B"):
        for part in ("cur", "new", "tmp"):
            (directory / folder / part).mkdir(parents=True)
        (directory / folder / "cur/1001.M1P1.there:2,F").write_text(MESSAGE.format(folder))
    bring(house, account, "maildir", directory)
    found = kept(house.ports["imap"], account, ("INBOX", "Entw&APw-rfe", "A&-B"))
    assert all(len(messages_of) == 1 for messages_of in found.values())
    (directory / ".b\udcff/cur").mkdir(parents=True)
    refused = bring(house, house.new_account(), "maildir", directory, check=False)
    assert refused.returncode == 1 and "rename the folder" in refused.stderr


@needs_dovecot
def test_from_a_running_server(house, directory):
    """Flags, keywords and INTERNALDATE (RFC 3501 2.3.2, 2.3.3) are kept; begun again, it brings what is new alone."""
    account, there = house.new_account(), "there@test.example"
    mail = directory / "mail"
    mail.mkdir()
    os.chown(mail, *owner_of(house))
    with dovecot(mail, *owner_of(house)) as ports:
        fill(ports["imap"], there)
        url = f"imap://{there}@127.0.0.1:{ports['imap']}"
        done = bring(house, account, "--sessions", "3", url, input=PASSWORD + "\n")
        assert "11 messages seen, 11 brought" in done.stderr
        assert kept(house.ports["imap"], account) == kept(ports["imap"], there)
        with imap(ports["imap"], there) as client:
            client.append("Work", "", None, MESSAGE.format("new").encode())
        with imap(house.ports["imap"], account) as client:  # as if the first had broken off
            client.select("INBOX")
            client.store("8", "+FLAGS", r"\Deleted")
            client.expunge()
        done = bring(house, account, url, input=PASSWORD + "\n")
        assert "12 messages seen, 2 brought" in done.stderr
        assert kept(house.ports["imap"], account) == kept(ports["imap"], there)
        with imap(house.ports["imap"], account) as client:
            assert any(b"Work/Sub" in line for line in client.lsub()[1])
        refused = bring(house, account, url, input="wrong\n", check=False)
        assert refused.returncode == 1 and "AUTHENTICATIONFAILED" in refused.stderr
    gone = bring(house, account, url, input=PASSWORD + "\n", check=False)
    assert gone.returncode == 1 and "Connection refused" in gone.stderr


def export(house, account, kind, directory):
    (directory / kind).mkdir()
    os.chown(directory / kind, *owner_of(house))
    house.command("export", account, kind, directory / kind)
    return directory / kind


def test_maildir_and_back(house, directory):
    account, again = house.new_account(), house.new_account()
    fill(house.ports["imap"], account)
    written = export(house, account, "maildir", directory)
    assert written.stat().st_uid == (written / "dovecot-uidlist").stat().st_uid
    before = sorted(path for path in written.rglob("*"))
    bring(house, again, "maildir", written)
    assert kept(house.ports["imap"], again) == kept(house.ports["imap"], account)
    assert sorted(path for path in written.rglob("*")) == before  # the source is only read
    assert "11 messages seen, 0 brought" in bring(house, again, "maildir", written).stderr


def test_mbox_and_back(house, directory):
    account, again = house.new_account(), house.new_account()
    fill(house.ports["imap"], account)
    written = export(house, account, "mbox", directory)
    assert len(mailboxes.mbox(written / "INBOX.mbox")) == 8  # as another program reads it
    bring(house, again, "mbox", written / "INBOX.mbox", "INBOX")
    bring(house, again, "mbox", written / "Work.Sub.mbox", "Work/Sub")
    assert kept(house.ports["imap"], again, ("INBOX", "Work/Sub")) == kept(house.ports["imap"], account,
                                                                           ("INBOX", "Work/Sub"))
    with imap(house.ports["imap"], again) as client:
        client.select("INBOX")
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == MESSAGE.format(1).encode()
    (directory / "none").write_text("no mbox\n")
    refused = bring(house, again, "mbox", directory / "none", "INBOX", check=False)
    assert refused.returncode == 1 and "no mbox" in refused.stderr


@needs_dovecot
def test_dovecot_serves_what_was_written(house, directory):
    """UIDVALIDITY, UIDs, flags, keywords, subscriptions: mbsync, synchronised here, downloads nothing again there."""
    account = house.new_account()
    fill(house.ports["imap"], account)
    local = directory / "local"
    local.mkdir()
    subprocess.run(mbsync(house.ports, account, local), check=True, timeout=60, capture_output=True)
    seen, here = view(house.ports, account), messages_below(local)
    assert len(here) == 11
    written = export(house, account, "maildir", directory)
    mail = directory / "mail"
    home = mail / "test.example" / account.split("@")[0]
    home.mkdir(parents=True)
    written.rename(home / "Maildir")
    for path in (mail, mail / "test.example", home):
        os.chown(path, *owner_of(house))
    with dovecot(mail, *owner_of(house)) as ports:
        there = view(ports, account)
        subprocess.run(mbsync(ports, account, local), check=True, timeout=60, capture_output=True)
    del seen["uidls"], there["uidls"]
    assert there == seen
    assert messages_below(local) == here


@pytest.mark.parametrize("arguments", [
    (), ("maildir",), ("maildir", "/", "x"), ("mbox", "/x"), ("pop3://u@h",), ("imap://h",), ("--sessions", "0", "maildir", "/"),
    ("--sessions", "99", "maildir", "/")])
def test_questions_that_mean_nothing(house, arguments):
    assert bring(house, "a@test.example", *arguments, check=False).returncode == 2


def test_what_is_not_there(house):
    account = house.new_account()
    assert "No such file" in bring(house, account, "maildir", "/nowhere", check=False).stderr
    assert "no such account" in bring(house, "nobody@test.example", "maildir", "/tmp", check=False).stderr
