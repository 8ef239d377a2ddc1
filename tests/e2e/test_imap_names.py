"""What the next process of a user knows of a folder without reading its directories ("staffetta-names",
storage/names_file.h): whatever other programs did meanwhile is seen all the same. imapd-mailbox alone."""

import os
import pathlib
import shutil

import pytest
from house import looking_into_a_role
from mailbox_role import MESSAGE, Mailbox, needs_mailbox

pytestmark = needs_mailbox

COUNT = 250  # more than are read from the directory anyway


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    made = Mailbox(tmp_path_factory.mktemp("names"))
    yield made
    made.kill()


@pytest.fixture
def mailbox(house):
    """With COUNT messages, none of them deleted, and their names kept; no process reads them now."""
    for number in range(COUNT - len(house.files()) - len(house.files(place="new"))):
        house.store(b"Subject: %d\r\n\r\n" % number + MESSAGE)
    with house.connect() as client:
        client.ok("SELECT INBOX")
    house.eventually(lambda: are_kept(house))
    house.role.stop()
    yield house
    if house.role.status is not None:
        house.start()


def names(mailbox):
    return mailbox.maildir / "staffetta-names"


def are_kept(mailbox):
    """Soon, not at once: what changed in the last moment may change again without showing it."""
    changed = max((mailbox.maildir / place).stat().st_mtime_ns for place in ("new", "cur"))
    return names(mailbox).exists() and names(mailbox).stat().st_mtime_ns >= changed


def look(mailbox):
    """{UID: (MODSEQ, flags)} as a client is told, UIDNEXT, HIGHESTMODSEQ."""
    with mailbox.connect() as client:
        lines = client.ok("SELECT INBOX (CONDSTORE)")
        head = {word: int(line.split(word)[1].split(b"]")[0]) for word in (b"UIDNEXT", b"HIGHESTMODSEQ")
                for line in lines if b"[" + word in line}
        messages = {}
        for line in client.ok("UID FETCH 1:* (MODSEQ FLAGS)"):
            flags = line.split(b"FLAGS (")[1].split(b")")[0].replace(b"\\Recent", b"").split()
            messages[int(line.split(b"UID ")[1].split()[0].rstrip(b")"))] = (
                int(line.split(b"MODSEQ (")[1].split(b")")[0]), tuple(flags))
        return messages, head


def test_next_process_knows_the_same(mailbox):
    mailbox.start()
    before = look(mailbox)
    assert len(before[0]) == COUNT
    mailbox.restart()
    assert names(mailbox).exists()
    assert look(mailbox) == before
    mailbox.role.stop()
    names(mailbox).unlink()  # derived
    mailbox.start()
    assert look(mailbox) == before


def test_kept_while_the_process_lives(mailbox):
    """After the last session has ended, soon: it may be killed at any time."""
    names(mailbox).unlink()
    mailbox.start()
    before = look(mailbox)
    mailbox.eventually(names(mailbox).exists)
    mailbox.kill()
    mailbox.start()
    assert look(mailbox)[0] == before[0]


def test_kept_where_something_changed_just_before_the_end(mailbox):
    """The process waits for the clock's next tick: only behind it do the times prove something."""
    mailbox.start()
    for flags in ("\\Seen", "\\Flagged", "\\Answered"):
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            client.ok(f"STORE 1 FLAGS ({flags})")
        mailbox.role.stop()
        assert are_kept(mailbox)
        mailbox.start()


def is_mapped(mailbox):
    with looking_into_a_role():
        return names(mailbox).name in pathlib.Path(f"/proc/{mailbox.role.pid}/maps").read_text()


def test_the_file_may_go_while_the_process_lives(mailbox):
    """A large one is not read but mapped, and soon copied."""
    for number in range(1500):
        mailbox.store(b"Subject: many %d\r\n\r\n" % number + MESSAGE, place="cur", flags="S")
    mailbox.start()
    before = look(mailbox)
    mailbox.eventually(lambda: are_kept(mailbox))
    mailbox.restart()
    assert names(mailbox).stat().st_size > 1 << 17
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        assert is_mapped(mailbox)
        mailbox.eventually(lambda: not is_mapped(mailbox))
        os.truncate(names(mailbox), 0)
        assert look(mailbox) == before
        client.ok("STORE 1:* +FLAGS.SILENT (\\Flagged)")
    mailbox.restart()
    with mailbox.connect() as client:
        client.ok("SELECT INBOX")
        client.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
        client.ok("EXPUNGE")


def change_flags(mailbox):
    path = next(iter((mailbox.maildir / "cur").iterdir()))
    path.rename(path.with_name(path.name.split(":2,")[0] + ":2,FT"))
    return 0


def remove(mailbox):
    next(iter((mailbox.maildir / "cur").iterdir())).unlink()
    return -1


def deliver(mailbox):
    mailbox.store()
    return 1


def deliver_and_read(mailbox):
    """As another IMAP server would: it lies in cur/ at once."""
    mailbox.store(place="cur", flags="S")
    return 1


def replace(mailbox):
    """The same number of names."""
    remove(mailbox)
    deliver_and_read(mailbox)
    return 0


def restore_backup(mailbox):
    """Of the directory, with its times: only ctime says that it is another one now."""
    cur = mailbox.maildir / "cur"
    status = cur.stat()
    next(iter(cur.iterdir())).unlink()
    os.utime(cur, ns=(status.st_atime_ns, status.st_mtime_ns))
    return -1


def copy_directory(mailbox):
    """Another inode with the times of the first."""
    cur, other = mailbox.maildir / "cur", mailbox.maildir / "other"
    shutil.copytree(cur, other)
    next(iter(other.iterdir())).unlink()
    shutil.copystat(cur, other)
    shutil.rmtree(cur)
    other.rename(cur)
    return -1


def deliver_twin(mailbox):
    """Two files with one key are two messages (storage/maildir_scan.h)."""
    path = next(iter((mailbox.maildir / "cur").iterdir()))
    (mailbox.maildir / "new" / path.name.split(",U=")[0]).write_bytes(MESSAGE)
    return 1


@pytest.mark.parametrize("change", [change_flags, remove, deliver, deliver_and_read, replace, restore_backup,
                                    copy_directory, deliver_twin], ids=lambda change: change.__name__)
def test_change_of_another_program_is_seen(mailbox, change):
    assert names(mailbox).exists()
    count = len(mailbox.files())
    more = change(mailbox)
    flagged = sum(":2," in name and "FT" in name.split(":2,")[1] for name in mailbox.files())
    mailbox.start()
    messages, head = look(mailbox)
    assert len(messages) == count + more == len(mailbox.files())
    assert sum(b"\\Flagged" in flags and b"\\Deleted" in flags for _, flags in messages.values()) == flagged
    assert max(messages) < head[b"UIDNEXT"]


def test_change_right_behind_ours_is_seen(mailbox):
    """Within the tick of the file system's clock in which our own rename fell, a time proves nothing."""
    mailbox.start()
    for flags in ("\\Seen", "\\Flagged", "\\Answered"):
        with mailbox.connect() as client:
            client.ok("SELECT INBOX")
            client.ok(f"STORE 1 FLAGS ({flags})")
            client.ok("UNSELECT")
            path = mailbox.maildir / "cur" / sorted(mailbox.files())[1]
            path.rename(path.with_name(path.name.split(":2,")[0] + ":2,D"))
        mailbox.kill() if flags == "\\Seen" else mailbox.role.stop()
        mailbox.start()
        told = [flags for _, flags in look(mailbox)[0].values()]
        assert sum(b"\\Draft" in flags for flags in told) == sum(":2,D" in name for name in mailbox.files())


def test_mail_that_came_meanwhile_has_its_place(mailbox):
    before = mailbox.files()
    later = [mailbox.store(b"Subject: later %d\r\n\r\n" % number).name for number in range(5)]
    mailbox.start()
    messages, _ = look(mailbox)
    assert len(messages) == len(before) + 5
    uids = sorted(messages)[-5:]
    given = {name.split(",U=")[0]: int(name.split(",U=")[1].split(".")[1].split(":")[0])
             for name in mailbox.files()}
    assert [given[name] for name in later] == uids


def spoil(path):
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


@pytest.mark.parametrize("harm", [
    spoil, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, path.stat().st_size - 1),
    lambda path: (path.unlink(), path.symlink_to("staffetta-folder"))], ids=["bit", "empty", "short", "link"])
def test_damaged_is_ignored(mailbox, harm):
    mailbox.start()
    before = look(mailbox)
    mailbox.role.stop()
    harm(names(mailbox))
    mailbox.start()
    assert look(mailbox) == before
    assert any(b"names_not_believed" in event for event in mailbox.role.events())
    mailbox.restart()
    assert look(mailbox) == before and not names(mailbox).is_symlink()


def test_without_its_change_log_it_is_not_believed(mailbox):
    """MODSEQs never go back (RFC 7162 3.1): those of the names would."""
    mailbox.start()
    before, head = look(mailbox)
    mailbox.role.stop()
    (mailbox.maildir / "staffetta-changes").unlink()
    mailbox.start()
    after, _ = look(mailbox)
    assert after.keys() == before.keys()
    assert min(modseq for modseq, _ in after.values()) > head[b"HIGHESTMODSEQ"]


def test_another_start_of_the_host(mailbox):
    """It is never flushed: what a power cut left of it is not believed."""
    mailbox.start()
    before = look(mailbox)
    mailbox.role.stop()
    octets = names(mailbox).read_bytes()
    boot = open("/proc/sys/kernel/random/boot_id", "rb").read(36)
    assert boot in octets
    names(mailbox).write_bytes(octets.replace(boot, boot[::-1]))
    mailbox.start()
    assert look(mailbox) == before
