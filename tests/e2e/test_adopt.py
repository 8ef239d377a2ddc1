"""The mail of Dovecot and Courier, taken over in place: UIDVALIDITY, UIDs, flags, keywords, subscriptions and
POP3 unique-ids are what they were (RFC 9051 2.3.1.1, 6.3.9; RFC 1939 7), so no client downloads again."""

import os
import shutil
import subprocess
import time

import pytest
from dovecot import available, dovecot, imap, messages, numbers, uidls, view
from house import PASSWORD

needs_dovecot = pytest.mark.skipif(not available(), reason="needs root and Dovecot")
MESSAGE = "Subject: {0}\r\nMessage-ID: <{0}@there.example>\r\n\r\nHello {0}.\r\n"


@pytest.fixture(scope="module")
def moved_house(make_module_house):
    return make_module_house(services=("imap", "pop3", "smtp"))


def owner_of(house):
    status = os.stat(house.mail)
    return status.st_uid, status.st_gid


def make_home(house, account):
    """The account's Maildir, empty, before we have ever opened it."""
    maildir = house.maildir(account)
    for directory in (maildir.parent.parent, maildir.parent, maildir):
        directory.mkdir(exist_ok=True)
        os.chown(directory, *owner_of(house))
    return maildir


def settle(maildir, uid, gid):
    for root, directories, files in os.walk(maildir):
        for name in [".", *directories, *files]:
            os.chown(os.path.join(root, name), uid, gid)


# --- Dovecot's own


def fill(ports, account):
    """What a person's account has gone through: gaps, flags, keywords, odd names, mail nobody has seen."""
    with imap(ports["imap"], account) as client:
        for name in ("Work", "Work/Sub", '"Entw&APw-rfe"', "Sent", "Gone"):
            assert client.create(name)[0] == "OK"
            client.subscribe(name)
        client.delete("Gone")  # stays subscribed, RFC 9051 6.3.9
        client.subscribe("INBOX")
        client.unsubscribe("Sent")
        for number in range(8):
            client.append("INBOX", rf"(\Seen $Forwarded k{number})", f'"0{number + 1}-Feb-2021 10:11:12 +0200"',
                          MESSAGE.format(number).encode())
        client.select("INBOX")
        client.store("2,8", "+FLAGS", r"(\Flagged \Answered NonJunk)")
        client.store("3,5", "-FLAGS", r"(\Seen $Forwarded k2 k4)")
        client.store("4,6", "+FLAGS", r"(\Deleted)")
        client.expunge()
        client.store("1", "+FLAGS", r"(\Deleted)")
        client.copy("1:3", "Work/Sub")
        for name in ("Work", '"Entw&APw-rfe"'):
            client.append(name, r"(\Draft)", None, MESSAGE.format("x").replace("\r\n", "\n").encode())


@pytest.fixture(scope="module")
def moved(moved_house, tmp_path_factory):
    """(house, account, what Dovecot showed of it, local stores of clients that synchronised there)."""
    if not available():
        pytest.skip("needs root and Dovecot")
    account = moved_house.new_account()
    maildir = make_home(moved_house, account)
    local = tmp_path_factory.mktemp("local")
    with dovecot(moved_house.mail, *owner_of(moved_house)) as ports:
        fill(ports, account)
        synchronise(ports, account, local)
        seen = view(ports, account)
    (maildir / "sieve").mkdir()
    (maildir.parent / ".dovecot.sieve").write_text("keep;\n")
    settle(maildir, *owner_of(moved_house))
    return moved_house, account, seen, local


def mbsync(ports, account, local):
    config = local / "mbsyncrc"
    config.write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {ports["imap"]}
User {account}
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {local}/mbsync/
Inbox {local}/mbsync/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge None
SyncState *
""")
    (local / "mbsync").mkdir(exist_ok=True)
    return ["mbsync", "-c", config, "-a"]


def offlineimap(ports, account, local):
    config = local / "offlineimaprc"
    config.write_text(f"""
[general]
accounts = all
metadata = {local}/offlineimap-state
ui = quiet
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {local}/offlineimap
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {ports["imap"]}
remoteuser = {account}
remotepass = {PASSWORD}
ssl = no
starttls = no
expunge = no
""")
    return ["offlineimap", "-o", "-1", "-c", config]


CLIENTS = {"mbsync": mbsync, "offlineimap": offlineimap}


def synchronise(ports, account, local):
    for name, command in CLIENTS.items():
        if shutil.which(name):
            done = subprocess.run(command(ports, account, local), timeout=60, text=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert done.returncode == 0, f"{name}\n{done.stdout}"


def messages_below(local):
    """{path: inode}: what was fetched again has another inode, or another name."""
    return {str(path): path.stat().st_ino for name in CLIENTS for path in (local / name).rglob("*")
            if path.is_file() and path.parent.name in ("cur", "new")}


@needs_dovecot
def test_a_client_sees_what_it_saw(moved):
    house, account, seen, local = moved
    kept = messages_below(local)
    assert len(kept) >= 2 * 9  # mbsync leaves out what is \Deleted
    assert view(house.ports, account) == seen
    synchronise(house.ports, account, local)
    assert messages_below(local) == kept
    assert view(house.ports, account) == seen
    said = house.events("folder_adopted")
    assert {event["folder"] for event in said} >= {".", ".Work", ".Work.Sub", ".Sent"}
    assert all(event["uidvalidity"] == "kept" and event["bad_lines"] == "0" for event in said)


@needs_dovecot
def test_what_comes_later_goes_on_behind(moved):
    """UIDNEXT is Dovecot's; new mail has unique-ids of ours, the old ones keep theirs; no list is believed twice."""
    house, account, seen, _ = moved
    view(house.ports, account)
    before = uidls(house.ports["pop3"], account)
    house.send(account, MESSAGE.format("later"))
    house.wait_for_messages(account, len(before) + 1)
    after = uidls(house.ports["pop3"], account)
    assert set(before) < set(after) and len(after) == len(before) + 1
    with imap(house.ports["imap"], account) as client:
        client.select("INBOX")
        assert client.search(None, "SUBJECT", "later")[1] != [b""]
        assert client.uid("SEARCH", "SUBJECT", "later")[1] == [seen["INBOX"][0]["UIDNEXT"].encode()]
    assert uidls(house.ports["pop3"], account) == after  # now that it has a UID, too
    maildir = house.maildir(account)
    assert not (maildir / "dovecot-uidlist").exists() and (maildir / "dovecot-uidlist.adopted").exists()
    assert (maildir / "sieve").is_dir() and (maildir.parent / ".dovecot.sieve").read_text() == "keep;\n"


# --- Files by hand: what servers of other versions, and crashes, leave


def end_mailboxes(house):
    """Kills them, and waits until the master knows."""
    pids = house.pids("imapd-mailbox")
    for pid in pids:
        os.kill(pid, 9)
    for pid in pids:
        house.wait_for_event("role_ended", pid=pid)


def put(maildir, folder, name, octets=MESSAGE.format("x").encode()):
    directory = maildir / folder
    for part in ("cur", "new", "tmp"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    path = directory / ("cur" if ":2," in name else "new") / name
    path.write_bytes(octets)
    os.utime(path, (1600000000, 1600000000))


def fetched(house, account, folder="INBOX"):
    """(UIDVALIDITY, UIDNEXT, {UID: flags})"""
    with imap(house.ports["imap"], account) as client:
        said = numbers(client, folder)
        return int(said["UIDVALIDITY"]), int(said["UIDNEXT"]), {
            uid: " ".join(sorted(facts[0])) for uid, facts in messages(client, folder).items()}


def test_courier(moved_house):
    """courierimapuiddb, courierimapkeywords (a list, and newer files of single messages), courierimapsubscribed,
    courierpop3dsizelist; two folders with one UIDVALIDITY, as Courier makes them in one second."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    for number in (1, 2, 3, 4):
        put(maildir, "", f"100{number}.M1P1.there,S=60:2,S")
    put(maildir, "", "1009.M1P1.there")
    put(maildir, ".Sent", "1001.M2P1.there:2,")
    put(maildir, ".Other", "1001.M3P1.there:2,")
    (maildir / "courierimapuiddb").write_text("1 600000001 20\n3 1001.M1P1.there,S=60\n7 1002.M1P1.there,S=60\n"
                                              "9 1003.M1P1.there,S=60\n12 1009.M1P1.there\n")
    (maildir / ".Sent" / "courierimapuiddb").write_text("1 600000002 6\n5 1001.M2P1.there\n")
    (maildir / ".Other" / "courierimapuiddb").write_text("1 600000002 9\n8 1001.M3P1.there\n")
    keywords = maildir / "courierimapkeywords"
    keywords.mkdir()
    (keywords / ":list").write_text("$Label1\nNonJunk\n$Forwarded\n\n1001.M1P1.there,S=60:0 2\n1002.M1P1.there,S=60:1\n")
    (keywords / ".3.1002.M1P1.there,S=60").write_text("$Label1\n")
    (keywords / ".2.1002.M1P1.there,S=60").write_text("NonJunk\nOld\n")
    (keywords / "1003.M1P1.there,S=60").write_text("Work\n")
    (maildir / "courierimapsubscribed").write_text("INBOX\nINBOX.Sent\nINBOX.Entw&APw-rfe\nINBOX.Käse.x\n")
    (maildir / "courierpop3dsizelist").write_text("/2 4 1234\n1001.M1P1.there,S=60:2,S 60 1:1234\n"
                                                  "1002.M1P1.there,S=60:2,S 60 0:0\n")
    settle(maildir, *owner_of(house))
    ids = uidls(house.ports["pop3"], account)  # POP3 comes first here
    assert ids[:2] == [b"UID1-1234", b"1002.M1P1.there,S=60"]
    uidvalidity, uidnext, found = fetched(house, account)
    assert (uidvalidity, uidnext) == (600000001, 21)  # 1004 was in no list
    assert found == {3: r"$Forwarded $Label1 \Seen", 7: r"$Label1 \Seen", 9: r"Work \Seen", 12: "", 20: r"\Seen"}
    assert uidls(house.ports["pop3"], account)[:2] == ids[:2]
    one, other = fetched(house, account, "Sent"), fetched(house, account, "Other")
    assert one[0] == 600000002 and one[2] == {5: ""}
    assert other[0] not in (600000002, 600000001) and other[2] == {8: ""}
    assert house.wait_for_event("folder_adopted", uidvalidity="new", folder=".Other")
    with imap(house.ports["imap"], account) as client:
        said = b"\n".join(client.lsub()[1])
        assert all(name in said for name in (b"INBOX", b"Sent", b"Entw&APw-rfe", b"K&AOQ-se/x"))


def test_names_in_utf_8(moved_house):
    """Courier writes names of folders in UTF-8 since 1.0: they are the same folders here, with their UIDs; what is no
    name, or another folder's, stays as it is and is said."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    for folder in (".Entwürfe", ".A&B", ".日本語.Käse", ".Work", ".b\udcff", ".&Jjo-", ".☺"):
        put(maildir, folder, "1001.M1P1.there:2,F")
        (maildir / folder / "courierimapuiddb").write_text(f"1 {600000100 + len(folder)} 6\n5 1001.M1P1.there\n")
    (maildir / ".ünot").mkdir()  # not a folder
    (maildir / "courierimapsubscribed").write_text("INBOX.Entwürfe\nINBOX.Work\n")
    settle(maildir, *owner_of(house))
    with imap(house.ports["imap"], account) as client:
        listed = b"\n".join(client.list()[1])
        assert sorted(name.rsplit(b" ", 1)[1] for name in client.lsub()[1]) == [b"Entw&APw-rfe", b"Work"]
    assert all(b'"/" ' + name in listed for name in (b"Entw&APw-rfe", b"A&-B", b"&ZeVnLIqe-/K&AOQ-se", b"Work", b"&Jjo-"))
    assert listed.count(b"\n") == 6  # and INBOX, and the level above one of them
    assert fetched(house, account, "Entw&APw-rfe")[1:] == (6, {5: r"\Flagged"})
    assert (maildir / ".ünot").is_dir() and (maildir / ".☺/cur").is_dir()
    assert house.wait_for_event("folder_names_adopted", account=account, renamed="3", left="2")


@pytest.mark.parametrize("uidlist, expected", [
    ("3 V77 N9 Gabc\n2 W70 Pold-id :1.a.h,S=60\n5 :2.b.h\n", (77, 9, {2: "k1", 5: r"\Seen"})),
    ("1 77 3\n2 1.a.h,S=60\n8 2.b.h\n", (77, 9, {2: "k1", 8: r"\Seen"})),  # lines appended behind the header
    # Garbage between, a name twice (the later counts), a UID twice (the first counts), a last line cut off.
    ("3 V77 N9\n\0\0\0\n2 :1.a.h,S=60\nx\n3 :1.a.h,S=60\n3 :2.b.h\n5 :2.b.h\n6 :1.a",
     (77, 9, {3: "k1", 5: r"\Seen"})),
    ("3 N9\n2 :1.a.h,S=60\n", None),  # no UIDVALIDITY
    ("garbage", None),
    ("", None),
    ("3 V77 N99999999999\n", None),
], ids=["v3", "v1", "damaged lines", "no validity", "garbage", "empty", "next UID past all"])
def test_lists(moved_house, uidlist, expected):
    """Read as Dovecot does; one that makes no sense is said once, set aside, and the folder is new."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    put(maildir, "", "1.a.h,S=60:2,b")
    put(maildir, "", "2.b.h:2,S")
    (maildir / "dovecot-uidlist").write_text(uidlist)
    (maildir / "dovecot-keywords").write_text("1 k1\nx\n0 bad(word\n99 k99\n1 again\n")
    settle(maildir, *owner_of(house))
    refused = len(house.events("folder_not_adopted"))
    found = fetched(house, account)
    if expected:
        assert found == expected
        ids = uidls(house.ports["pop3"], account)
        assert ids[0] == (b"old-id" if "Pold" in uidlist else b"%08x0000004d" % min(expected[2]))
    else:
        assert len(found[2]) == 2 and found[0] != 77 and (maildir / "dovecot-uidlist.broken").exists()
        refused += 1
    assert fetched(house, account) == found
    deadline = time.monotonic() + 10
    while len(house.events("folder_not_adopted")) < refused:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(house.events("folder_not_adopted")) == refused


def test_a_lost_record_does_not_bring_the_list_back(moved_house):
    """RFC 9051 2.3.1.1: UIDs given since the list was written must not be given again."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    put(maildir, "", "1.a.h:2,")
    (maildir / "dovecot-uidlist").write_text("3 V77 N9\n2 :1.a.h\n")
    settle(maildir, *owner_of(house))
    assert fetched(house, account) == (77, 9, {2: ""})
    shutil.copy(maildir / "dovecot-uidlist.adopted", maildir / "dovecot-uidlist")
    end_mailboxes(house)
    (maildir / "staffetta-folder").unlink()
    assert fetched(house, account)[0] != 77


def test_a_crash_in_between(moved_house):
    """Some files have their new names, the record is not there: the second time ends as the first would have."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    put(maildir, "", "1.a.h,U=77.2:2,b")
    put(maildir, "", "2.b.h:2,S")
    put(maildir, "", "3.c.h")  # nobody has seen it yet
    (maildir / "dovecot-uidlist").write_text("3 V77 N9\n2 :1.a.h\n5 :2.b.h\n")
    (maildir / "dovecot-keywords").write_text("1 k1\n")
    (maildir / "staffetta-uidvalidity").write_text("staffetta-uidvalidity 1\nlast 77\ntaken 77 .\n")
    settle(maildir, *owner_of(house))
    assert fetched(house, account) == (77, 10, {2: "k1", 5: r"\Seen", 9: ""})


def test_into_an_account_that_was_opened_before(moved_house):
    """As long as a folder gave no UID itself, what is copied into it later is taken over."""
    house = moved_house
    account = house.new_account()
    assert fetched(house, account)[2] == fetched(house, account, "Sent")[2] == {}
    end_mailboxes(house)
    maildir = house.maildir(account)
    put(maildir, "", "1.a.h:2,S")
    put(maildir, ".Sent", "2.b.h:2,S")
    (maildir / "dovecot-uidlist").write_text("3 V77 N9\n2 :1.a.h\n")
    (maildir / ".Sent" / "dovecot-uidlist").write_text("3 V78 N9\n4 :2.b.h\n")
    settle(maildir, *owner_of(house))
    assert uidls(house.ports["pop3"], account) == [b"000000020000004d"]
    assert fetched(house, account) == (77, 9, {2: r"\Seen"})
    assert fetched(house, account, "Sent") == (78, 9, {4: r"\Seen"})
    with imap(house.ports["imap"], account) as client:
        assert any(b"\\Sent" in line for line in client.list()[1])


def test_unique_ids_go_with_their_mail(moved_house):
    """Their order is that of the UIDs, as Dovecot's; the file shrinks once most of the mail is gone, and the rest keeps its own."""
    house = moved_house
    account = house.new_account()
    maildir = make_home(house, account)
    for number in range(1, 7):
        put(maildir, "", f"{9 - number}.a.h:2,S")
    (maildir / "dovecot-uidlist").write_text("3 V77 N9\n" + "".join(f"{n} :{9 - n}.a.h\n" for n in range(1, 7)))
    settle(maildir, *owner_of(house))
    assert uidls(house.ports["pop3"], account) == [b"%08x0000004d" % uid for uid in range(1, 7)]
    for number in (1, 2, 4, 6):
        (maildir / "cur" / f"{9 - number}.a.h:2,S").unlink()
    left = [b"%08x0000004d" % uid for uid in (3, 5)]
    assert uidls(house.ports["pop3"], account) == left
    assert len((maildir / "staffetta-uidls").read_text().splitlines()) == 3
    assert uidls(house.ports["pop3"], account) == left
