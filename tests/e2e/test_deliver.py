"""smtpd-deliver alone, with this process as master and queue: smtpd/deliver/deliver_protocol.h."""

import contextlib
import os
import pathlib
import shutil
import struct

import pytest

from house import BUILD
from one_role import MASTER_CHANGED, MASTER_IDLE, PLACE_FILESYSTEM, ROLE_WATCHED, Role

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-deliver").exists(),
                                reason="smtpd-deliver is not built")

DELIVER_MESSAGE, DELIVER_MESSAGE_FILE, DELIVER_RESULT, DELIVER_SYNC = 1, 2, 101, 102
DONE, GONE, TEMPORARY, PERMANENT = 1, 2, 3, 4
BODY = b"From: a@b.example\r\nBcc: hidden\r\nSubject: s\r\n\r\nhello\r\n"
BCC = (BODY.index(b"Bcc"), len(b"Bcc: hidden\r\n"))
ID = "3RE00000A7K2M"


def message(recipients, body=BODY, reverse_path="x@y.example", prefix=b"Received: r\r\n", cuts=(),
            id_text=ID, arrival=1700000000, inline=True):
    """recipients: (handle, number, address, again)"""
    addresses = b"".join(address.encode() for _, _, address, _ in recipients)
    fixed = struct.pack("=QqHHHHIIQ", 7, arrival, len(recipients), len(reverse_path), len(id_text),
                        len(cuts), len(prefix), 0, len(body))
    structs = b"".join(struct.pack("=QIHH", handle, number, len(address.encode()), again)
                       for handle, number, address, again in recipients)
    return (fixed + structs + addresses + reverse_path.encode() + id_text.encode() + prefix
            + b"".join(struct.pack("=II", *cut) for cut in cuts) + (body if inline else b""))


class Deliverer:
    def __init__(self, place, config="", homes=1, wrap=(), environment=None, **options):
        self.place = pathlib.Path(place)
        self.role = Role("smtpd-deliver", place, config, wrap=wrap, environment=environment)
        for handle in range(1, homes + 1):
            self.role.home(handle, f"u{handle}@test.example", self.path(handle), **options)
        self.queue = self.role.peer("smtpd-queue")
        self.role.go()
        _, body, fds = self.queue.expect(DELIVER_SYNC)
        self.trusted = struct.unpack("=II", body)[0]
        self.sync = fds[0]

    def path(self, handle):
        return f"test.example/u{handle}/Maildir"

    def maildir(self, handle=1):
        return self.place / self.path(handle)

    def messages(self, handle=1):
        return sorted(file for part in ("new", "cur")
                      for file in (self.maildir(handle) / part).iterdir())

    def result(self):
        request, body, _ = self.queue.expect(DELIVER_RESULT)
        identity, count, _ = struct.unpack_from("=QII", body)
        assert identity == 7
        at, outcomes = 16 + 8 * count, []
        for i in range(count):
            status, flushed, full, octets = struct.unpack_from("=HHHH", body, 16 + 8 * i)
            outcomes.append((status, flushed, full, body[at : at + octets].decode()))
            at += octets
        assert at == len(body)
        return request, outcomes

    def deliver(self, *arguments, **options):
        self.queue.send(DELIVER_MESSAGE, message(*arguments, **options), request=5)
        request, outcomes = self.result()
        assert request == 5
        return outcomes

    def deliver_one(self, handle=1, number=1, again=0, address="u1@test.example", **options):
        return self.deliver([(handle, number, address, again)], **options)[0]

    def end(self):
        with contextlib.suppress(OSError):
            os.close(self.sync)
        self.queue.close()
        self.role.kill()


@pytest.fixture
def deliverer(tmp_path):
    made = Deliverer(tmp_path, homes=2)
    yield made
    made.end()


def test_message_is_put_together(deliverer):
    status, flushed, full, text = deliverer.deliver_one(cuts=[BCC])
    assert (status, full, text[:5]) == (DONE, 0, "2.1.5")
    assert flushed == (not deliverer.trusted)
    (file,) = deliverer.messages()
    content = file.read_bytes()
    assert content == (b"Return-Path: <x@y.example>\r\nDelivered-To: u1@test.example\r\n"
                       b"Received: r\r\nFrom: a@b.example\r\nSubject: s\r\n\r\nhello\r\n")
    assert file.parent.name == "new"
    assert file.name == f"1700000000.Q{ID}R1.mail.test.example,S={len(content)},W={len(content)}"
    assert file.stat().st_mode & 0o777 == 0o600
    assert deliverer.maildir().stat().st_mode & 0o777 == 0o700


def test_null_reverse_path(deliverer):
    deliverer.deliver_one(reverse_path="")
    assert deliverer.messages()[0].read_bytes().startswith(b"Return-Path: <>\r\n")


def test_large_body_comes_as_a_file(deliverer, tmp_path):
    body = BODY + b"x" * 70 + b"\r\n" + b"0123456789abcdef\r\n" * 20000
    (tmp_path / "body").write_bytes(body)
    with open(tmp_path / "body", "rb") as file:
        deliverer.queue.send(
            DELIVER_MESSAGE_FILE,
            message([(1, 1, "u1@test.example", 0)], body=body, cuts=[BCC], inline=False),
            request=9, fds=[file.fileno()])
    assert deliverer.result()[1][0][0] == DONE
    expected = body[: BCC[0]] + body[sum(BCC) :]
    assert deliverer.messages()[0].read_bytes().endswith(b"Received: r\r\n" + expected)


def test_body_file_too_short_is_temporary(deliverer, tmp_path):
    (tmp_path / "body").write_bytes(BODY[:10])
    with open(tmp_path / "body", "rb") as file:
        deliverer.queue.send(
            DELIVER_MESSAGE_FILE, message([(1, 1, "u1@test.example", 0)], inline=False),
            fds=[file.fileno()])
    assert deliverer.result()[1][0][0] == TEMPORARY
    assert deliverer.messages() == []


def test_recipients_have_outcomes_of_their_own(deliverer):
    outcomes = deliverer.deliver([(1, 1, "u1@test.example", 0), (99, 2, "u9@test.example", 0),
                                  (2, 3, "u2@test.example", 0)])
    assert [outcome[0] for outcome in outcomes] == [DONE, TEMPORARY, DONE]
    assert len(deliverer.messages(1)) == len(deliverer.messages(2)) == 1
    assert b"Delivered-To: u2@test.example\r\n" in deliverer.messages(2)[0].read_bytes()


@pytest.mark.parametrize("field", [b"Delivered-To: u1@test.example", b"delivered-to:<U1@TEST.example>"])
def test_loop_is_found(deliverer, field):
    status, _, _, text = deliverer.deliver_one(body=b"X: y\r\n" + field + b"\r\n" + BODY)
    assert (status, text[:5]) == (PERMANENT, "5.4.6")
    # in the body, or for somebody else, it is none
    assert deliverer.deliver_one(body=BODY + field + b"\r\n")[0] == DONE
    assert deliverer.deliver_one(address="other@test.example", body=field + b"\r\n" + BODY)[0] == DONE


def test_delivered_again_it_is_there_once(deliverer):
    assert deliverer.deliver_one(again=1)[0] == DONE
    assert deliverer.deliver_one(again=1)[0] == DONE
    (file,) = deliverer.messages()
    moved = file.parent.parent / "cur" / (file.name + ",U=1.2:2,S")
    file.rename(moved)
    assert deliverer.deliver_one(again=1)[0] == DONE
    assert deliverer.messages() == [moved]
    content = moved.read_bytes()
    moved.write_bytes(b"")  # as a power cut may leave it
    assert deliverer.deliver_one(again=1)[0] == DONE
    assert deliverer.messages() == [moved] and moved.read_bytes() == content
    moved.unlink()
    (deliverer.maildir() / "tmp" / (file.name.split(",")[0] + ".gone")).touch()
    assert deliverer.deliver_one(again=1)[0] == GONE
    assert deliverer.messages() == []


def test_again_after_death(deliverer, tmp_path):
    deliverer.deliver_one()
    deliverer.role.kill()
    second = Deliverer(tmp_path)
    assert second.deliver_one(again=1)[0] == DONE
    assert len(second.messages()) == 1
    second.end()


def test_full_mailbox(tmp_path):
    deliverer = Deliverer(tmp_path, quota_octets=1000)
    assert deliverer.deliver_one(number=1)[:3:2] == (DONE, 0)
    status, _, full, text = deliverer.deliver_one(number=2, body=BODY + b"x" * 900 + b"\r\n")
    assert (status, full, text[:5]) == (TEMPORARY, 0, "4.2.2")
    assert [deliverer.deliver_one(number=n)[0] for n in range(3, 12)][-1] == TEMPORARY
    size = sum(file.stat().st_size for file in deliverer.messages())
    assert 1000 - len(deliverer.messages()[0].read_bytes()) < size <= 1000
    lines = (deliverer.maildir() / "maildirsize").read_text().splitlines()
    assert lines[0] == "1000S"
    assert sum(int(line.split()[0]) for line in lines[1:]) == size
    deliverer.end()


def test_watched_account_is_announced(deliverer):
    deliverer.deliver_one()
    deliverer.role.master.send(ROLE_WATCHED, struct.pack("=QII", 2, 1, 0))
    deliverer.role.settle()
    deliverer.deliver_one(handle=1, number=2)
    deliverer.deliver_one(handle=2)
    _, body, _ = deliverer.role.master.expect(MASTER_CHANGED)
    assert struct.unpack("=Q", body) == (2,)


def test_idle_says_how_much_it_was_told(tmp_path):
    deliverer = Deliverer(tmp_path, config="timeouts { linger = 1s }", homes=2)
    request, _, _ = deliverer.role.master.expect(MASTER_IDLE)
    assert request == 2
    deliverer.deliver_one()
    deliverer.role.stop()
    deliverer.end()


def test_account_removed_and_made_again(deliverer):
    deliverer.deliver_one()
    shutil.rmtree(deliverer.maildir().parent)
    assert deliverer.deliver_one(number=2)[0] == DONE
    assert len(deliverer.messages()) == 1


def test_links_lead_nowhere(deliverer, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "test.example" / "u1").mkdir(parents=True)
    (tmp_path / "test.example" / "u1" / "Maildir").symlink_to(elsewhere)
    assert deliverer.deliver_one()[0] == TEMPORARY
    assert list(elsewhere.iterdir()) == []


def test_system_user(tmp_path):
    """The root is his Maildir, made if need be; a link on the way there is the administrator's."""
    (tmp_path / "data" / "alice").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "data")
    path = str(tmp_path / "home" / "alice" / "Maildir").lstrip("/")
    role = Role("smtpd-deliver", "/", place_index=PLACE_FILESYSTEM)
    role.home(1, "alice", path, place=PLACE_FILESYSTEM)
    role.home(2, "bob", path.replace("alice", "bob"), place=PLACE_FILESYSTEM)
    queue = role.peer("smtpd-queue")
    role.go()
    queue.expect(DELIVER_SYNC)
    queue.send(DELIVER_MESSAGE, message([(1, 1, "alice@test.example", 0),
                                         (2, 2, "bob@test.example", 0)]))
    _, body, _ = queue.expect(DELIVER_RESULT)
    assert struct.unpack_from("=H6xH", body, 16) == (DONE, TEMPORARY)
    assert len(list((tmp_path / "data" / "alice" / "Maildir" / "new").iterdir())) == 1
    assert not (tmp_path / "data" / "bob").exists()
    queue.close()
    role.kill()


MALFORMED = {
    "empty": b"",
    "cut": message([(1, 1, "u1@test.example", 0)])[:-1],
    "longer": message([(1, 1, "u1@test.example", 0)]) + b"x",
    "no recipient": message([]),
    "no address": message([(1, 1, "", 0)]),
    "line end in address": message([(1, 1, "u1@test.example\r\nX: y", 0)]),
    "line end in path": message([(1, 1, "u1@test.example", 0)], reverse_path="a\nb"),
    "id is a path": message([(1, 1, "u1@test.example", 0)], id_text="../../x"),
    "no id": message([(1, 1, "u1@test.example", 0)], id_text=""),
    "cut behind the body": message([(1, 1, "u1@test.example", 0)], cuts=[(len(BODY), 1)]),
    "cuts out of order": message([(1, 1, "u1@test.example", 0)], cuts=[(5, 2), (4, 1)]),
    "too many recipients": message([(1, 1, "u1@test.example", 0)] * 65),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_record_ends_the_queue(deliverer, what):
    deliverer.queue.send(DELIVER_MESSAGE, MALFORMED[what])
    assert deliverer.queue.receive() is None
    assert not deliverer.maildir().exists()
    another = deliverer.role.peer("smtpd-queue")  # and nobody else
    another.expect(DELIVER_SYNC)
    another.close()
