"""`staffetta fsck` and `staffetta restored`: an account in use is looked through, damage of every kind is found, said once
and lived with; what was put back from a backup gets new numbers (RFC 9051 2.3.1.1)."""

import imaplib
import os
import shutil
import time

import pytest
from dovecot import imap, messages, numbers
from house import PASSWORD
from test_adopt import end_mailboxes

MESSAGE = "Subject: {0}\r\nMessage-ID: <{0}@there.example>\r\n\r\nHello {0}.\r\n"


@pytest.fixture(scope="module")
def kept_house(make_module_house):
    return make_module_house(services=("imap", "pop3", "smtp"))


@pytest.fixture
def filled(kept_house):
    """(house, account) with five messages in INBOX, one in Work."""
    account = kept_house.new_account()
    with imap(kept_house.ports["imap"], account) as client:
        client.create("Work")
        for number in range(5):
            client.append("INBOX", rf"(\Seen k{number % 2})", None, MESSAGE.format(number).encode())
        client.append("Work", "", None, MESSAGE.format("w").encode())
        client.select("INBOX")
        client.fetch("1:*", "(ENVELOPE)")
    return kept_house, account


def fsck(house, account):
    return house.command("fsck", account).stdout.splitlines()


def fetched(house, account, folder="INBOX"):
    with imap(house.ports["imap"], account) as client:
        return numbers(client, folder), messages(client, folder)


def file_of(house, account, uid):
    return next((house.maildir(account) / "cur").glob(f"*.{uid}:2,*"))


def test_nothing_is_wrong(filled):
    house, account = filled
    before = fetched(house, account)
    assert fsck(house, account) == ["7 folders, 6 messages looked at; mended: 0"]
    assert fetched(house, account) == before
    assert fsck(house, account.partition("@")[0].upper()) == fsck(house, account)  # as it may log in


def test_who_is_asked(kept_house):
    done = kept_house.command("fsck", "nobody@test.example", check=False)
    assert done.returncode == 1 and "no such account" in done.stderr
    assert kept_house.command("fsck", check=False).returncode == 2
    assert kept_house.command("restored", "a@test.example", "b@test.example", check=False).returncode == 2


def empty(house, account):
    path = file_of(house, account, 2)
    path.write_bytes(b"")
    os.utime(path, (1600000000, 1600000000))
    return "UID 2: is empty: set aside", {1, 3, 4, 5}


def wrong_sizes(house, account):
    path = file_of(house, account, 2)
    path.write_bytes(b"Subject: cut\n\nshort\n")
    return "UID 2: the name said", {1, 2, 3, 4, 5}


def no_mode(house, account):
    file_of(house, account, 2).chmod(0)
    return "UID 2: was closed to its owner", {1, 2, 3, 4, 5}


def not_ours(house, account):
    path = file_of(house, account, 2)
    os.chown(path, 12345, 12345)
    path.chmod(0o600)
    return "UID 2: cannot be read (Permission denied; it belongs to uid 12345)", {1, 2, 3, 4, 5}


def twins(house, account):
    path = file_of(house, account, 2)
    shutil.copy2(path, path.parent / ("9" + path.name))
    os.chown(path.parent / ("9" + path.name), path.stat().st_uid, path.stat().st_gid)
    return "1 messages had the UID of another", {1, 2, 3, 4, 5, 1002}


def foreign(house, account):
    path = file_of(house, account, 2)
    path.rename(path.parent / ("1.M1.there,U=99.2:2,S"))
    return "1 messages had UIDs of another folder", {1, 3, 4, 5, 1002}


def never_given(house, account):
    path = file_of(house, account, 2)
    path.rename(path.parent / path.name.replace(".2:2,", ".20000:2,"))
    return "1 messages had UIDs that were never given", {1, 3, 4, 5, 1002}


def no_file(house, account):
    (house.maildir(account) / "cur" / "directory").mkdir()
    (house.maildir(account) / "new" / ".hidden").touch()
    return ("directory is no file; left alone", "hidden can be no message's name"), {1, 2, 3, 4, 5}


def damaged_record(house, account):
    (house.maildir(account) / "staffetta-folder").write_bytes(b"\0garbage\xff")
    return "the record was damaged", {1, 2, 3, 4, 5}


def future(house, account):
    os.utime(file_of(house, account, 2), (time.time() + 10**7,) * 2)
    return "1 messages have a time in the future", {1, 2, 3, 4, 5}


def truncated_index(house, account):
    for path in (house.maildir(account) / "staffetta-index").iterdir():
        os.truncate(path, path.stat().st_size // 2)
    return "mended: 0", {1, 2, 3, 4, 5}  # begun anew by whoever opens it, and said in the log


@pytest.mark.parametrize("damage", [empty, wrong_sizes, no_mode, not_ours, twins, foreign, never_given, no_file, damaged_record,
                                    future, truncated_index], ids=lambda damage: damage.__name__)
def test_damage(filled, damage):
    """New UIDs are above the watermark, since the process was killed. Found while nobody uses the account, said, mended; the second time there is nothing left to mend."""
    house, account = filled
    if os.geteuid() != 0 and damage is not_ours:
        pytest.skip("needs root")
    end_mailboxes(house)
    said, uids = damage(house, account)
    report = fsck(house, account)
    for part in [said] if isinstance(said, str) else said:
        assert any(part in line for line in report), report
    assert set(fetched(house, account)[1]) == uids
    again = fsck(house, account)
    assert again[-1].endswith("mended: 0"), again
    if damage is empty:
        assert len(list((house.maildir(account) / "staffetta-damaged").iterdir())) == 1
    if damage is wrong_sizes:
        assert ",S=20,W=23," in file_of(house, account, 2).name
        assert fetched(house, account)[1][2][2] == "23"


def test_in_use(filled):
    """A session that has the folder selected goes on, and hears of what went and came (RFC 9051 7.5.1)."""
    house, account = filled
    with imap(house.ports["imap"], account) as client:
        client.select("INBOX")
        assert client.fetch("1:*", "(UID)")[0] == "OK"
        path = file_of(house, account, 3)
        path.write_bytes(b"")
        os.utime(path, (1600000000, 1600000000))
        (house.maildir(account) / "staffetta-folder").write_bytes(b"garbage")
        report = fsck(house, account)
        assert any("record was damaged: written again" in line for line in report)
        assert any("INBOX: UID 3: is empty" in line for line in report)
        client.noop()
        assert client.response("EXPUNGE")[1] == [b"3"]
        assert client.uid("SEARCH", "ALL")[1] == [b"1 2 4 5"]
    assert house.events("upkeep", account=account)


def test_restored(filled, tmp_path):
    """A copy, put back after mail has gone on: no number of before means another message (RFC 9051 2.3.1.1)."""
    house, account = filled
    maildir = house.maildir(account)
    end_mailboxes(house)
    shutil.copytree(maildir, tmp_path / "copy", symlinks=True)
    with imap(house.ports["imap"], account) as client:
        client.append("INBOX", "", None, MESSAGE.format("lost").encode())
    before, shown = fetched(house, account)
    owner = maildir.stat()
    while maildir.exists():  # with what the mailbox writes into its index meanwhile
        shutil.rmtree(maildir, ignore_errors=True)
    shutil.copytree(tmp_path / "copy", maildir, symlinks=True)
    for root, directories, files in os.walk(maildir):
        for name in [".", *directories, *files]:
            os.chown(os.path.join(root, name), owner.st_uid, owner.st_gid)
    refused = house.command("restored", account, check=False)
    assert refused.returncode == 1 and "ask again" in refused.stderr  # it stood in the old directory
    client = imaplib.IMAP4("127.0.0.1", house.ports["imap"], timeout=30)
    client.login(account, PASSWORD)
    client.select("Work")
    report = house.command("restored", account).stdout.splitlines()
    assert len(report) == 7 and any(line.startswith("INBOX: UIDVALIDITY ") for line in report)
    with pytest.raises(imaplib.IMAP4.abort):
        client.noop()
        client.noop()
    after, now = fetched(house, account)
    assert int(after["UIDVALIDITY"]) > int(before["UIDVALIDITY"])
    assert sorted(now) == [1, 2, 3, 4, 5]
    assert [facts for _, facts in sorted(now.items())] == [facts for _, facts in sorted(shown.items())][:5]
    assert fetched(house, account) == (after, now)
