"""smtpd-queue alone, with this process as its master and all its peers."""

import email
import email.policy
import os
import struct
import time

import pytest
from house import BUILD
from one_queue import (
    AUTH_FULL, BODY, CONFIG, DONE, GONE, NOTIFY_NEVER, NOTIFY_SUCCESS, PERMANENT, QUEUE_COMMITTED,
    QUEUE_FORGET, QUEUE_RECIPIENT, QUEUE_REFUSED, RET_FULL, SUBMITTED, TEMPORARY,
    VERDICT_FOREIGN, Queue, Session, make_token)

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(),
                                reason="smtpd-queue is not built")
BOB, CAROL = "bob@test.example", "carol@test.example"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10000


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path)
    yield made
    made.end()


def spool_files(directory):
    return sorted(os.listdir(directory / "spool"))


# --- the way of a message


def test_from_session_to_maildir(queue):
    identity = queue.session.accept([BOB], cuts=[(0, 19)])
    assert queue.role.counts()[1] == 1
    queue.answer_target(BOB)
    delivery = queue.next_delivery()
    assert delivery.id == identity and delivery.body == BODY and delivery.cuts == [(0, 19)]
    assert delivery.sender == "x@y.example" and delivery.prefix == b"Received: r\r\n"
    assert delivery.recipients == [[1, 0, BOB, 0]] and len(delivery.id_text) == 13
    queue.result(delivery, (DONE, "2.1.5 delivered"))
    queue.wait_for_counts(0)


def test_recipients_of_one_process_go_together_and_duplicates_collapse(queue):
    accounts = [f"u{i}@test.example" for i in range(100)]
    identity = queue.session.accept(accounts + accounts[:10])
    for _ in accounts:
        queue.answer_target()
    seen = []
    while len(seen) < 100:
        delivery = queue.deliver_one()
        assert delivery.id == identity and len(delivery.recipients) <= 64
        seen += [address for _, _, address, _ in delivery.recipients]
    assert sorted(seen) == sorted(accounts)
    queue.wait_for_counts(0)


def test_flushed_together_before_it_is_dropped(queue):
    for _ in range(20):
        queue.session.accept([BOB])
    queue.answer_target()
    for _ in range(20):
        queue.deliver_one(flushed=0)
    assert queue.role.counts()[1] == 20 or queue.role.counts()[1] == 0
    queue.wait_for_counts(0)


def test_large_body(queue, tmp_path):
    request, identity = queue.session.send_large([BOB], LARGE)
    assert queue.session.expect(QUEUE_COMMITTED)[0] == request
    assert len(spool_files(tmp_path)) == 1
    queue.answer_target()
    assert queue.next_delivery().body == LARGE
    queue.deliver.close()  # it dies, and is asked for again
    queue.deliver = None
    queue.answer_target()
    delivery = queue.deliver_one()
    assert delivery.body == LARGE and delivery.again == [1] and delivery.id == identity
    queue.wait_for_counts(0)
    queue.wait_for_spool(tmp_path, 0)


def test_files_of_long_bodies_are_used_again(queue, tmp_path):
    """Under load, one after the other; each body is its own, and in the end none is left."""
    seen = set()
    for number in range(24):
        body = LARGE[: 70000 + 1000 * (number * 7 % 24)].replace(b"0", b"%c" % (97 + number))
        queue.session.send_large([BOB], body)
        queue.session.expect(QUEUE_COMMITTED)
        if number == 0:
            queue.answer_target()
        seen |= {entry.inode() for entry in os.scandir(tmp_path / "spool")}
        assert queue.deliver_one().body == body
        queue.wait_for_counts(0)
    assert len(seen) < 24
    queue.wait_for_spool(tmp_path, 0)


def test_the_last_recipient_comes_with_the_message(queue):
    session = queue.session
    session.submit(1, session.next_id(), 1, last=session.recipient_of(BOB))
    assert session.expect(QUEUE_COMMITTED)[0] == 1
    queue.answer_target()
    assert queue.deliver_one().recipients[0][2] == BOB
    session.recipient(2, BOB)
    session.submit(2, session.next_id(), 2, last=session.recipient_of(BOB))  # the same: once
    assert session.expect(QUEUE_COMMITTED)[0] == 2
    assert len(queue.deliver_one().recipients) == 1
    queue.wait_for_counts(0)


def test_forgotten_transaction_leaves_nothing(queue, tmp_path):
    for fd in queue.session.lend_file(5):
        os.close(fd)
    queue.session.recipient(5, BOB)
    queue.session.channel.send(QUEUE_FORGET, request=5)
    queue.session.channel.send(QUEUE_FORGET, request=99)
    queue.session.accept([BOB])
    assert queue.role.counts()[1] == 1
    assert spool_files(tmp_path) == []


def test_many_at_once(queue):
    requests = [queue.session.send([BOB])[0] for _ in range(1000)]
    answered = [queue.session.expect(QUEUE_COMMITTED)[0] for _ in requests]
    assert answered == requests
    queue.answer_target()
    for _ in requests:
        queue.deliver_one(flushed=0)
    queue.wait_for_counts(0)


# --- what becomes of deliveries


def test_deferred_and_tried_again(queue):
    queue.session.accept([BOB])
    queue.answer_target()
    queue.deliver_one(TEMPORARY, "4.2.2 mailbox full")
    start = time.monotonic()
    delivery = queue.next_delivery()
    assert 0.8 < time.monotonic() - start < 2
    queue.result(delivery, (GONE, ""))
    queue.wait_for_counts(0)


def test_auth_is_told_who_is_full(queue):
    queue.session.accept([BOB])
    queue.answer_target()
    delivery = queue.next_delivery()
    queue.result(delivery, (TEMPORARY, "4.2.2 full", 0, 1))
    _, body, _ = queue.auth.expect(AUTH_FULL)
    assert body[0] == 1 and body[8:] == BOB.encode()
    queue.result(queue.next_delivery(), (DONE, "", 1, 0))
    _, body, _ = queue.auth.expect(AUTH_FULL)
    assert body[0] == 0


def read_report(delivery):
    assert delivery.sender == ""
    report = email.message_from_bytes(delivery.body, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report" and not report.defects
    words, status, original = report.iter_parts()
    fields = [dict(part.items()) for part in status.get_payload()]
    return report, fields, original


def test_failure_is_returned_to_its_sender(queue):
    identity = queue.session.accept([BOB], sender="alice@test.example", envid="QQ 314",
                                    flags=RET_FULL)
    queue.answer_target(BOB)
    queue.deliver_one(PERMANENT, "5.2.1 the mailbox is closed")
    assert queue.answer_address(["alice@test.example"]) == "alice@test.example"
    queue.answer_target("alice@test.example")
    report, fields, original = read_report(queue.deliver_one())
    assert report["To"] == "alice@test.example" and report["Auto-Submitted"] == "auto-replied"
    assert fields[0]["Original-Envelope-Id"] == "QQ 314"
    assert fields[1]["Final-Recipient"] == f"rfc822;{BOB}"
    assert (fields[1]["Action"], fields[1]["Status"]) == ("failed", "5.2.1")
    assert original.get_content_type() == "message/rfc822"
    assert b"hello" in original.as_bytes() and b"Received: r" in original.as_bytes()
    queue.wait_for_counts(0)
    assert identity


def test_account_that_is_gone_is_a_failure(queue):
    queue.session.accept([BOB, CAROL], sender="alice@test.example")
    queue.refuse_target(permanent=1)
    queue.answer_target()
    queue.deliver_one()
    queue.answer_address(["alice@test.example"])
    queue.answer_target("alice@test.example")
    _, fields, original = read_report(queue.deliver_one())
    assert fields[1]["Status"] == "5.1.1"
    assert original.get_content_type() == "text/rfc822-headers"
    queue.wait_for_counts(0)


def test_success_is_told_where_asked_for(queue):
    queue.session.accept([BOB], notify=NOTIFY_SUCCESS, sender="alice@test.example")
    queue.answer_target(BOB)
    queue.deliver_one(flushed=0)
    queue.answer_address(["alice@test.example"])
    queue.answer_target("alice@test.example")
    _, fields, _ = read_report(queue.deliver_one())
    assert (fields[1]["Action"], fields[1]["Status"]) == ("delivered", "2.0.0")
    queue.wait_for_counts(0)


@pytest.mark.parametrize("options", [{"notify": NOTIFY_NEVER}, {"notify": NOTIFY_SUCCESS},
                                     {"sender": ""}])
def test_nobody_is_told_who_did_not_ask(queue, options):
    queue.session.accept([BOB], **options)
    queue.answer_target()
    queue.deliver_one(PERMANENT, "5.2.1 closed")
    queue.wait_for_counts(0)


def test_report_for_a_foreign_sender_is_relayed(queue, tmp_path):
    queue.session.accept([BOB], sender="a@Elsewhere.example")
    queue.answer_target()
    queue.deliver_one(PERMANENT, "5.2.1 closed")
    queue.answer_address(verdict=VERDICT_FOREIGN)
    time.sleep(0.2)  # without a relay it waits
    queue.wait_for_counts(1)
    queue.end()
    second = Queue(tmp_path)
    report = second.relay().one()
    assert report.sender == "" and report.recipients == ["a@Elsewhere.example"]
    assert report.destination == "elsewhere.example" and report.notify == [NOTIFY_NEVER]
    second.wait_for_counts(0)
    second.end()


def test_report_to_an_alias_that_leads_elsewhere(queue):
    queue.session.accept([BOB], sender="list@test.example")
    queue.answer_target()
    queue.deliver_one(PERMANENT, "5.2.1 closed")
    assert queue.answer_address([CAROL], addresses=["x@elsewhere.example"]) == "list@test.example"
    queue.answer_target(CAROL)
    assert len(queue.deliver_one().recipients) == 1
    report = queue.relay().one()
    assert report.recipients == ["x@elsewhere.example"]
    assert report.orcpts == ["rfc822;list@test.example"]
    queue.wait_for_counts(0)


def test_expired_is_returned(tmp_path):
    queue = Queue(tmp_path, 'queue { retry = "1s" lifetime = 500ms } limits { free-space = 0 }')
    queue.session.accept([BOB], sender="alice@test.example")
    queue.answer_target()
    queue.deliver_one(TEMPORARY, "4.2.2 full")
    delivery = queue.next_delivery()  # once more after its time, which was over when it came
    queue.result(delivery, (TEMPORARY, "4.2.2 full"))
    queue.answer_address(["alice@test.example"])
    queue.answer_target()
    _, fields, _ = read_report(queue.deliver_one())
    assert fields[1]["Status"] == "5.4.7" and "4.2.2 full" in fields[1]["Diagnostic-Code"]
    queue.end()


def test_report_to_many_accounts_behind_one_address(queue):
    queue.session.accept([BOB], sender="list@test.example")
    queue.answer_target()
    queue.deliver_one(PERMANENT, "5.2.1 closed")
    accounts = [f"m{i}@test.example" for i in range(5)]
    queue.answer_address(accounts)
    for _ in accounts:
        queue.answer_target()
    found = 0
    while found < 5:
        found += len(queue.deliver_one().recipients)
    queue.wait_for_counts(0)


# --- deaths


def test_killed_queue_still_has_what_it_acknowledged(queue, tmp_path):
    identities = {queue.session.accept([BOB, CAROL]) for _ in range(10)}
    request, large = queue.session.send_large([BOB], LARGE)
    queue.session.expect(QUEUE_COMMITTED)
    queue.end()
    second = Queue(tmp_path)
    assert second.role.counts()[1] == 11
    second.answer_target()
    second.answer_target()
    seen = {}
    while sum(seen.values()) < 21:
        delivery = second.deliver_one()
        assert set(delivery.again) == {1}
        seen[delivery.id] = seen.get(delivery.id, 0) + len(delivery.recipients)
    assert seen == {**dict.fromkeys(identities, 2), large: 1}
    second.wait_for_counts(0)
    assert min(second.session.next_id() for _ in range(3)) > max(seen)
    second.end()


def test_unfinished_spool_files_are_swept(queue, tmp_path):
    queue.session.send_large([BOB], LARGE)
    queue.session.expect(QUEUE_COMMITTED)
    queue.end()
    (tmp_path / "spool" / "0001ZZZZZZZZZ").write_text("no id: the count has 44 bits")
    (tmp_path / "spool" / "0001000000001").write_text("no record")
    (tmp_path / "spool" / "new-4").write_text("unfinished")
    second = Queue(tmp_path)
    assert len(spool_files(tmp_path)) == 2 and "0001ZZZZZZZZZ" in spool_files(tmp_path)
    second.end()


def test_deliver_dies_three_times(queue):
    queue.session.accept([BOB])
    for _ in range(2):
        queue.answer_target()
        queue.next_delivery()
        queue.deliver.close()
        queue.deliver = None
    queue.answer_target()
    assert queue.deliver_one().again == [1]
    queue.wait_for_counts(0)


def test_auth_is_away(queue):
    queue.auth.close()
    queue.session.accept([BOB])
    time.sleep(0.1)
    queue.auth = queue.role.peer("auth")
    queue.answer_target()
    queue.deliver_one()
    queue.wait_for_counts(0)


def test_auth_dies_with_the_question(queue):
    queue.session.accept([BOB])
    queue.auth.expect(4)
    queue.auth.close()
    queue.auth = queue.role.peer("auth")
    queue.answer_target()
    queue.deliver_one()
    queue.wait_for_counts(0)


def test_session_dies_with_its_message(queue):
    queue.session.next_id()
    queue.session.send([BOB])
    queue.session.channel.close()
    queue.session = Session(queue.role)
    queue.answer_target()
    queue.deliver_one()
    queue.wait_for_counts(0)


def test_stop_ends_with_a_short_log(queue, tmp_path):
    queue.session.accept([BOB])
    queue.stop()
    second = Queue(tmp_path)
    assert second.role.counts()[1] == 1
    second.end()


# --- hostile sessions


def test_stranger_ids_end_the_session(queue):
    queue.session.recipient(1, BOB)
    queue.session.submit(1, queue.session.next_id() + 4096, 1)
    assert queue.is_ended(queue.session.channel)


def test_an_id_is_used_once(queue):
    identity = queue.session.accept([BOB])
    queue.session.recipient(50, CAROL)
    queue.session.submit(50, identity, 1)
    assert queue.is_ended(queue.session.channel)
    other = Session(queue.role)
    other.recipient(1, BOB)
    other.submit(1, identity + 1, 1)  # lent to the first session
    assert queue.is_ended(other.channel)
    assert queue.role.counts()[1] == 1


@pytest.mark.parametrize("options", [
    {"recipients": 2},
    {"recipients": 0},
    {"sender": "a\r\nb@c.example"},
    {"sender": "x" * 600},
    {"envid": "x" * 101},
    {"prefix": b"x" * 16385},
    {"cuts": [(5, 3), (4, 1)]},
    {"cuts": [(0, 4000)]},
    {"cuts": [(i, 1) for i in range(0, 600, 2)]},
    {"body_octets": 1},
    {"body_octets": 2**63},
    {"body": b"x" * 65537},
    {"flags": 1},
    {"flags": 1024},
    {"deliver_by": -1},
    {"hold_until": -1},
    {"flags": SUBMITTED, "account": "alice@test.example", "token": bytes(48)},
    {"account": "alice@test.example"},
])
def test_malformed_messages_end_the_session(queue, options):
    queue.session.recipient(1, BOB)
    options = {"recipients": 1, **options}
    queue.session.submit(1, queue.session.next_id(), **options)
    assert queue.is_ended(queue.session.channel)
    assert queue.role.counts()[1] == 0 and len(queue.role.hostile) == 1
    Session(queue.role).accept([BOB])  # others are served


@pytest.mark.parametrize("last", [b"x", bytes(64), b"\1\0\1\0" + bytes(60) + b"a\n"])
def test_a_malformed_last_recipient_ends_the_session(queue, last):
    queue.session.submit(1, queue.session.next_id(), 1, last=last)
    assert queue.is_ended(queue.session.channel)
    Session(queue.role).accept([BOB])


@pytest.mark.parametrize("numbers, tail", [
    ((0, 0, 1, 0), b"a"), ((1, 0, 0, 0), b"a"), ((1, 1, 0, 0), b"ab!"), ((1, 1, 0, 16), b"ab"),
    ((1, 1, 0, 0), b"a\n"), ((65535, 1, 0, 0), b"ab"),
])
def test_malformed_recipients_end_the_session(queue, numbers, tail):
    queue.session.next_id()
    body = struct.pack("=HHHH", *numbers) + bytes(56) + tail
    queue.session.channel.send(QUEUE_RECIPIENT, body, 1)
    assert queue.is_ended(queue.session.channel)


def test_a_body_that_can_still_change_ends_the_session(queue, tmp_path):
    queue.session.send_large([BOB], LARGE, keep_open=True)
    assert queue.is_ended(queue.session.channel)
    assert spool_files(tmp_path) == []


def test_submission_needs_its_token(queue):
    alice = "alice@test.example"
    session = Session(queue.role, "smtpd-submission")
    session.accept([BOB], flags=SUBMITTED, account=alice, session=9, token=make_token(9, alice))
    request, _ = session.send([BOB], flags=SUBMITTED, account=alice, session=9,
                              token=make_token(9, alice, seconds=-1))
    assert session.expect(QUEUE_REFUSED)[0] == request  # expired: no crime
    session.send([BOB], flags=SUBMITTED, account=BOB, session=9, token=make_token(9, alice))
    assert queue.is_ended(session.channel)
    session = Session(queue.role, "smtpd-submission")
    session.send([BOB])  # no account at all
    assert queue.is_ended(session.channel)


def test_an_address_elsewhere_needs_its_permit(queue):
    address = "x@elsewhere.example"
    session = Session(queue.role)
    number = session.first_session + 5

    def submit(permit, claimed):
        session.request += 1
        session.recipient(session.request, BOB)
        session.recipient(session.request, "", address, permit=permit)
        session.submit(session.request, session.next_id(), 2, session=claimed)

    submit(make_token(number, address), number)
    session.expect(QUEUE_COMMITTED)
    submit(make_token(number, address, seconds=-1), number)
    session.expect(QUEUE_REFUSED)  # expired: no crime
    for forge in (
        lambda own: (bytes(48), own),
        lambda own: (make_token(own, "y@elsewhere.example"), own),
        lambda own: (make_token(own + 1, address), own),
        lambda own: (make_token(own, address, key=b"k" * 32), own),
        lambda own: (make_token(number, address), own),
        lambda own: (make_token(number, address), number),  # of another process, as that
    ):
        submit(*forge(session.first_session + 5))
        assert queue.is_ended(session.channel)
        assert queue.role.counts()[1] == 1
        session = Session(queue.role)  # the next, with numbers of its own


def test_hostile_deliver_is_ended_and_its_messages_are_not_lost(queue):
    queue.session.accept([BOB])
    queue.answer_target()
    delivery = queue.next_delivery()
    queue.result(delivery, (DONE, ""), (DONE, ""))
    assert queue.deliver.receive() is None
    queue.deliver = None
    queue.answer_target()
    assert queue.deliver_one().again == [1]
    queue.wait_for_counts(0)


# --- the disk


def test_free_space_is_told(tmp_path):
    queue = Queue(tmp_path, CONFIG.replace("free-space = 0", "free-space = 1T"))
    queue.session.take_ids()
    assert not queue.session.enough_space
    queue.end()


def test_corrupt_queue_is_set_aside(queue, tmp_path):
    for _ in range(50):
        queue.session.accept([BOB])
    queue.session.send_large([BOB], LARGE)
    queue.session.expect(QUEUE_COMMITTED)
    queue.stop()
    old = (tmp_path / "recipients.db").read_bytes()
    (tmp_path / "recipients.db").write_bytes(b"\xa5" * len(old))
    second = Queue(tmp_path)
    assert second.role.counts()[1] == 0
    (aside,) = [entry for entry in tmp_path.iterdir() if entry.name.startswith("corrupt-")]
    assert (aside / "messages.db").exists() and len(spool_files(aside)) == 1
    assert spool_files(tmp_path) == []
    second.session.accept([BOB])
    second.end()
