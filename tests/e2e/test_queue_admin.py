"""`staffetta queue`: what the administrator sees of the queue and does to it, while it runs."""

import json
import os
import socket
import subprocess
import time

import pytest
from house import BUILD
from one_queue import (
    AUTH_RECIPIENT, DONE, QUEUE_COMMITTED, RELAY_TEMPORARY, REQUIRETLS, ROLE_CONTROL, TLS_OPTIONAL, Queue)

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(),
                                reason="smtpd-queue is not built")
SLOW = 'queue { retry = "1h" } limits { free-space = 0 }'


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path, SLOW)
    made.relay()
    yield made
    made.end()


def text_of(queue, identity):
    """A queue id as people write it."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    high, low = identity >> 44, identity & (1 << 44) - 1
    return ("".join(digits[high >> 5 * i & 31] for i in reversed(range(4)))
            + "".join(digits[low >> 5 * i & 31] for i in reversed(range(9))))


def ask(queue, *words):
    """The answer without its "ok"; raises ValueError with the words of a refusal."""
    ours, its = socket.socketpair()
    with ours, its:
        queue.role.master.send(ROLE_CONTROL, "\t".join(("queue", *words)).encode(),
                               fds=[its.fileno()])
        its.close()
        ours.settimeout(20)
        octets = b""
        while got := ours.recv(65536):
            octets += got
    verdict, _, rest = octets.decode().partition("\n")
    if verdict != "ok":
        raise ValueError(verdict)
    return rest


def listed(queue, *words):
    return json.loads(ask(queue, "--json", *words))


def defer_three(queue):
    """Three messages that wait, with ids as text."""
    ids = []
    for name in ("a", "b", "c"):
        ids.append(text_of(queue, queue.submission.accept_foreign(
            [f"{name}@{name}.example"], sender=f"{name}@test.example")))
        queue.relays[0].one(RELAY_TEMPORARY, f"4.2.2 {name} is full\n452-no\r452 4.2.2 full\nmx.{name}")
    return ids


def test_list_and_show(queue):
    ids = defer_three(queue)
    text = ask(queue)
    assert [line.split()[0] for line in text.splitlines() if not line.startswith(" ")][:3] == ids
    assert "<b@b.example>  deferred, attempts: 1, next in 3" in text and "4.2.2 b is full" in text
    assert text.endswith("3 messages, 3 recipients\n")
    shown = ask(queue, "show", ids[1].lower())
    assert "submitted by: alice@test.example" in shown and "server: mx.b" in shown
    assert "      452-no\n      452 4.2.2 full\n" in shown and "a@a.example" not in shown
    (message,) = listed(queue, ids[1])
    assert message["sender"] == "b@test.example" and message["octets"] > 10
    (recipient,) = message["recipients"]
    assert recipient["state"] == "deferred" and recipient["attempts"] == 1
    assert recipient["reply"] == "452-no\r452 4.2.2 full" and recipient["server"] == "mx.b"
    assert 3000 < recipient["next_s"] < 4000


def test_selections(queue):
    ids = defer_three(queue)
    chosen = lambda *words: [ids.index(message["id"]) for message in listed(queue, *words)]
    assert chosen("--destination", "B.example") == [1]
    assert chosen("--sender", "c@test.example") == [2]
    assert chosen("--sender", "test.example") == [0, 1, 2]
    assert chosen("--error", "a is full") == [0]
    assert chosen("--error", "is full", "--sender", "b@test.example") == [1]
    assert chosen(ids[2], ids[0]) == [2, 0]
    assert chosen("--held") == [] and chosen("--all") == [0, 1, 2]
    assert chosen("--sender", "<c@test.example>") == [2] and chosen("--sender", "<>") == []
    assert chosen("--older", "0s", "--error", "is full") == [] and chosen("--older", "1h") == []
    time.sleep(1.1 - time.time() % 1)  # arrivals are whole seconds
    assert chosen("--older", "0s") == [0, 1, 2] and chosen("--older", "0s", "--sender", "b@test.example") == [1]


def test_mail_without_a_reverse_path(queue):
    null, other = (text_of(queue, queue.submission.accept_foreign([f"x@{where}.example"], sender=sender))
                   for where, sender in (("near", ""), ("far", "a@test.example")))
    for _ in range(2):
        queue.relays[0].one(RELAY_TEMPORARY, "4.2.2 full")
    assert [message["id"] for message in listed(queue, "--sender", "<>")] == [null]
    assert ask(queue, "remove", "--sender", "<>").startswith("1 of 1 ")
    assert [message["id"] for message in listed(queue)] == [other]


def test_a_senders_route_hides_no_domain(tmp_path):
    queue = Queue(tmp_path, SLOW + ' route "*" { sender = "test.example" host = "192.0.2.7" }')
    queue.submission.accept_foreign(["x@far.example", "y@near.example"])  # nobody relays
    assert len(listed(queue, "--destination", "=*/test.example")[0]["recipients"]) == 2
    for words in ("far.example", "x@Far.example"):
        (recipient,) = listed(queue, "--destination", words)[0]["recipients"]
        assert recipient["address"] == "x@far.example"
    assert ask(queue, "remove", "--destination", "far.example").startswith("1 of 1 ")
    queue.end()


def test_retry(queue):
    ids = defer_three(queue)
    assert ask(queue, "retry", "--destination", "b.example").startswith("1 of 1 recipients")
    assert queue.relays[0].one().destination == "b.example"
    queue.wait_for_counts(2)
    ask(queue, "retry", ids[0], ids[2])
    assert {queue.relays[0].one().destination for _ in range(2)} == {"a.example", "c.example"}
    queue.wait_for_counts(0)


@pytest.mark.parametrize("flags, words", [
    (REQUIRETLS, "demanded by the message (REQUIRETLS)"), (TLS_OPTIONAL, "no must, says the message (TLS-Required: No)")])
def test_what_the_message_says_of_tls(queue, flags, words):
    """RFC 8689. Its destination is its own, and called like any other where people read it, and where it is counted."""
    identity = text_of(queue, queue.submission.accept_foreign(["x@far.example"], flags=flags))
    queue.relays[0].one(RELAY_TEMPORARY, "4.2.0 later")
    queue.wait_for_counts(1)
    assert f"    destination: far.example\n    TLS: {words}\n" in ask(queue, "show", identity)
    assert len(listed(queue, "--destination", "far.example")) == 1
    deferred, = (event for event in queue.role.events() if b"deferred" in event)
    assert b"far.example" in deferred and b"!far.example" not in deferred and b"~far.example" not in deferred


def test_retry_wakes_a_destination_that_rests(queue):
    queue.submission.accept_foreign(["x@dead.example"])
    queue.submission.accept_foreign(["y@dead.example"])
    queue.relays[0].one(RELAY_TEMPORARY, "4.4.1 no answer", wait_ms=100)
    entries = [recipient for message in listed(queue) for recipient in message["recipients"]]
    assert [entry["result"] for entry in entries] == ["4.4.1 no answer"] * 2
    assert all(entry["next_s"] > 3000 for entry in entries)
    ask(queue, "retry", "--all")
    for _ in range(2):
        queue.relays[0].one(window=5)
    queue.wait_for_counts(0)


def test_hold_and_release_over_a_restart(queue, tmp_path):
    ids = defer_three(queue)
    assert ask(queue, "hold", ids[0], ids[1]).startswith("2 of 2")
    assert ask(queue, "hold", ids[0]).startswith("0 of 1")
    assert queue.role.counts()[1:] == (3, 2)
    queue.end()
    second = Queue(tmp_path, SLOW)
    assert [message["id"] for message in listed(second, "--held")] == ids[:2]
    assert listed(second, ids[0])[0]["recipients"][0]["result"] == "4.2.2 a is full"
    ask(second, "release", ids[1])
    assert second.relay().one().destination == "b.example"
    second.wait_for_counts(2, 1)
    second.end()
    third = Queue(tmp_path, SLOW)
    assert third.role.counts()[1:] == (2, 1)
    third.end()


def test_remove_and_bounce(queue):
    ids = defer_three(queue)
    ask(queue, "hold", ids[2])
    assert ask(queue, "remove", ids[0], ids[2]).startswith("2 of 2")
    queue.wait_for_counts(1)
    ask(queue, "bounce", "--all")
    assert queue.answer_address(["alice@test.example"]) == "b@test.example"
    queue.answer_target()
    body = queue.deliver_one().body
    assert b"given up by the administrator; the last answer was: 4.2.2 b is full" in body.replace(b"\r\n    ", b" ")
    assert b"      452-no\r\n      452 4.2.2 full\r\n" in body and b"mx.b said:" in body
    queue.wait_for_counts(0)


def test_hundreds_are_bounced_at_once(tmp_path):
    queue = Queue(tmp_path, SLOW)  # no relay: they wait
    try:
        for number in range(400):
            queue.submission.accept_foreign([f"x{number}@far.example"])
        assert ask(queue, "bounce", "--all") == "400 of 400 recipients, of 400 messages\n"
        reports = listed(queue)
        assert len(reports) == 400 and {report["sender"] for report in reports} == {""}
        assert not any(b"not_settled" in record for record in queue.role.events())
    finally:
        queue.end()


def under_way(queue, *words):
    """A message that a relay has, and what is said to that."""
    identity = text_of(queue, queue.submission.accept_foreign(["x@far.example"]))
    message = queue.relays[0].next()
    assert listed(queue)[0]["recipients"][0]["state"] == "under way"
    for verb in words:
        assert ask(queue, verb, identity).startswith("0 of 1 recipients, of 1 messages; 1 under way, as soon")
    return identity, message


def test_what_is_under_way_is_held_after_its_attempt(queue):
    identity, message = under_way(queue, "remove", "hold")
    queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
    queue.wait_for_counts(1, 1)
    (recipient,) = listed(queue, identity)[0]["recipients"]
    assert recipient["attempts"] == 1 and recipient["result"] == "4.2.2 full"
    ask(queue, "release", identity)
    queue.relays[0].one()
    queue.wait_for_counts(0)


def test_what_is_under_way_is_removed_after_its_attempt(queue):
    _, message = under_way(queue, "remove")
    queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
    queue.wait_for_counts(0)


def test_what_is_under_way_is_bounced_after_its_attempt(queue):
    _, message = under_way(queue, "bounce")
    queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
    assert queue.answer_address(["alice@test.example"])
    queue.answer_target()
    body = queue.deliver_one().body.replace(b"\r\n    ", b" ")
    assert b"given up by the administrator; the last answer was: 4.2.2 full" in body
    queue.wait_for_counts(0)


def test_what_is_under_way_is_not_sent_back_when_its_process_dies(queue):
    _, message = under_way(queue, "remove")
    queue.relays[0].channel.close()
    queue.wait_for_counts(0)


def test_what_is_under_way_is_removed_however_often_its_processes_died(queue):
    queue.submission.accept_foreign(["x@far.example"])
    queue.relays[0].next()
    queue.relays[0].channel.close()
    queue.relay().next()
    assert "1 under way" in ask(queue, "remove", "--all")
    queue.relays[1].channel.close()
    queue.wait_for_counts(0)  # and no report of a quarantine


@pytest.mark.parametrize("verb, counts", [("hold", (1, 1)), ("remove", (0, 0))])
def test_what_is_under_way_is_not_returned_for_its_age(tmp_path, verb, counts):
    queue = Queue(tmp_path, 'queue { retry = "1s" lifetime = 500ms } limits { free-space = 0 }')
    try:
        queue.relay()
        queue.submission.accept_foreign(["x@far.example"])
        queue.relays[0].one(RELAY_TEMPORARY, "4.2.2 full")
        message = queue.relays[0].next()  # the last time
        ask(queue, verb, "--all")
        queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
        queue.wait_for_counts(*counts)
    finally:
        queue.end()


def test_what_is_under_way_is_held_when_it_cannot_be_flushed(queue):
    queue.deliver_up(sync_fd=os.open("/tmp", os.O_PATH))
    queue.session.accept(["bob@test.example"])
    queue.answer_target()
    delivery = queue.next_delivery()
    assert "1 under way" in ask(queue, "hold", "--all")
    queue.result(delivery, (DONE, "2.1.5 done", 0, 0))
    queue.wait_for_counts(1, 1)


def test_what_is_wanted_of_an_address_is_done_to_all_behind_it(queue):
    """While auth is asked who that is."""
    _, message = under_way(queue, "bounce")
    queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
    request, _, _ = queue.auth.expect(AUTH_RECIPIENT)
    assert "1 under way" in ask(queue, "hold", "--sender", "<>")
    queue.send_targets(request, ["alice@test.example", "bob@test.example"])
    queue.wait_for_counts(1, 1)
    assert [recipient["state"] for recipient in listed(queue)[0]["recipients"]] == ["held"] * 2


def test_what_has_been_sent_is_gone_whatever_was_said(queue):
    _, message = under_way(queue, "hold")
    queue.relays[0].answer(message)
    queue.wait_for_counts(0)


def test_hold_is_taken_back(queue):
    identity, message = under_way(queue, "hold")
    assert ask(queue, "release", identity).startswith("1 of 1 ")
    queue.relays[0].result(message, (RELAY_TEMPORARY, "4.2.2 full"))
    queue.wait_for_counts(1)
    ask(queue, "retry", identity)
    queue.relays[0].one()
    queue.wait_for_counts(0)


@pytest.mark.parametrize("words", [
    ("nonsense",), ("show",), ("show", "--all"), ("retry",), ("remove", "--json"), ("hold", "xyz"),
    ("--sender",), ("list", "--nothing"), ("remove", "--sender", ""), ("remove", "--destination", ""),
    ("bounce", "--error", ""), ("remove", "--older", "soon"), ("list", "--nothing", "x"), ("0001000000000",), ("show", "0001000000000"),
    ["0001000000000"] * 70, ("show", "\x01")])
def test_what_is_refused(queue, words):
    with pytest.raises(ValueError, match="error: (usage|no such message|too many words)"):
        ask(queue, *words)
    queue.submission.accept_foreign(["x@far.example"])


def test_mail_goes_on_while_much_is_listed(queue):
    for number in range(2000):
        queue.submission.send_foreign([f"u{number}@dead.example"], body=b"x" * 20000)
    for number in range(2000):
        queue.submission.expect(QUEUE_COMMITTED)
    message = queue.relays[0].next()
    ours, its = socket.socketpair()
    queue.role.master.send(ROLE_CONTROL, b"queue", fds=[its.fileno()])
    its.close()
    start = time.monotonic()
    queue.submission.accept_foreign(["x@living.example"])
    assert queue.relays[0].one().destination == "living.example"
    assert time.monotonic() - start < 1
    with ours:
        octets = b""
        while got := ours.recv(1 << 20):
            octets += got
    assert octets.count(b"under way") == 1 and octets.count(b"ready") >= 1999
    queue.relays[0].answer(message)


def test_a_client_that_does_not_listen_stops_nothing(queue):
    defer_three(queue)
    ours, its = socket.socketpair()
    queue.role.master.send(ROLE_CONTROL, b"queue", fds=[its.fileno()])
    its.close()
    ours.close()
    assert ask(queue).endswith("3 messages, 3 recipients\n")


def test_the_command(make_house):
    house = make_house()
    assert house.command("queue").stdout == "0 messages, 0 recipients\n"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        house.command("queue", "retry")
    assert failed.value.returncode == 2
    assert failed.value.stderr.startswith("usage: staffetta queue ")
