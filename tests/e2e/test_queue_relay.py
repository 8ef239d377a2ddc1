"""smtpd-queue's way to other hosts, with this process as its master, a session and relay."""

import email
import email.policy
import email.utils
import os
import select
import signal
import time

import pytest
from house import BUILD, is_sanitized
from one_queue import (
    BODY, BY_RETURN, BY_TRACE, CONFIG, IN_SPOOL, KEEPS_DSN, KEEPS_TIME, NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER,
    NOTIFY_SUCCESS, PEER_SAID, PERMANENT, QUEUE_COMMITTED, RELAY_DONE, RELAY_PERMANENT,
    RELAY_TEMPORARY, REQUIRETLS, RET_FULL, SUBMITTED, TLS_OPTIONAL, VERDICT_FOREIGN, Queue, make_token)

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "smtpd-queue").exists(),
                                reason="smtpd-queue is not built")
ALICE, BOB = "alice@test.example", "bob@test.example"
TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 10000


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path)
    yield made
    made.end()


# --- the way of a message


def test_from_session_to_relay(queue):
    relay = queue.relay()
    identity = queue.submission.accept_foreign(["Bob@Elsewhere.EXAMPLE"], orcpt="rfc822;b@x.y",
                                               notify=NOTIFY_FAILURE, envid="QQ 1", cuts=[(0, 19)])
    message = relay.next()
    assert message.id == identity and message.destination == "elsewhere.example"
    assert message.recipients == ["Bob@Elsewhere.EXAMPLE"] and message.orcpts == ["rfc822;b@x.y"]
    assert message.notify == [NOTIFY_FAILURE] and message.sender == ALICE
    assert message.envid == "QQ 1" and len(message.id_text) == 13 and message.cuts == [(0, 19)]
    assert message.prefix == b"Received: r\r\n" and message.body == BODY
    relay.answer(message)
    queue.wait_for_counts(0)


def test_large_body(queue):
    send_large(queue, ["x@far.example"])
    assert queue.relay().one().body == LARGE
    queue.wait_for_counts(0)


def test_flags_and_times_travel(queue):
    relay = queue.relay()
    by = int(time.time()) + 1000
    queue.submission.accept_foreign(["x@far.example"], flags=RET_FULL | REQUIRETLS, deliver_by=by)
    message = relay.one()
    assert message.flags == RET_FULL | REQUIRETLS | SUBMITTED and message.deliver_by == by


def test_recipients_of_a_destination_go_together(queue):
    relay = queue.relay()
    names = [f"u{i}@{'FAR' if i % 2 else 'far'}.example" for i in range(250)]
    queue.submission.accept_foreign([*names, "x@near.example", names[0]])
    seen, sizes = [], []
    while len(seen) < 251:
        message = relay.one()
        assert len({address.split("@")[1].lower() for address in message.recipients}) == 1
        seen += message.recipients
        sizes.append(len(message.recipients))
    assert sorted(seen) == sorted([*names, "x@near.example"])
    assert sorted(sizes) == [1, 50, 100, 100]
    queue.wait_for_counts(0)


def test_a_record_is_never_too_long(queue):
    relay = queue.relay()
    names = [f"{'l' * 60}{i:03}@far.example" for i in range(200)]
    queue.submission.accept_foreign(names, orcpt="rfc822;" + "o" * 500, body=bytes(65000),
                                    prefix=bytes(16000))
    seen = []
    while len(seen) < 200:
        seen += relay.one().recipients
    assert sorted(seen) == names
    queue.wait_for_counts(0)


def test_the_case_of_a_domain_makes_no_other_recipient(queue):
    """RFC 5321 2.4: that of what stands before the '@' may."""
    relay = queue.relay()
    queue.submission.accept_foreign(["a@far.example", "a@FAR.example", "A@far.example", '"a@X"@far.example'])
    assert relay.one().recipients == ["a@far.example", "A@far.example", '"a@X"@far.example']
    queue.wait_for_counts(0)


def test_a_forwarder_signs_for_its_own_domain(tmp_path):
    """SRS: in the name of the alias's domain where that is ours, and in one transaction only with its like."""
    queue = Queue(tmp_path, CONFIG + " domain second.example { }")
    relay = queue.relay()
    for orcpt, domain in (("rfc822;alias@Second.example", "second.example"), ("rfc822;x@far.example", "test.example")):
        queue.submission.accept_foreign(["y@far.example"], sender="bob@b.example", orcpt=orcpt, forwarded=1)
        assert relay.one().sender.endswith("=b.example=bob@" + domain)
    queue.wait_for_counts(0)
    queue.end()


def test_the_window_opens_with_success(queue):
    relay = queue.relay()
    for _ in range(20):
        queue.submission.accept_foreign(["x@far.example"])
    first = relay.next()
    relay.nothing_more()  # the first goes alone
    relay.answer(first, window=3)
    three = [relay.next() for _ in range(3)]
    relay.nothing_more()
    relay.answer(three[0], window=2)
    relay.nothing_more()  # it shut again
    relay.answer(three[1], window=1000)
    rest = [relay.next() for _ in range(16)]
    relay.answer(three[2])
    for message in rest:
        relay.answer(message)
    queue.wait_for_counts(0)


def test_destinations_do_not_wait_for_each_other(queue):
    relay = queue.relay()
    queue.submission.accept_foreign(["x@slow.example"])
    queue.submission.accept_foreign(["y@slow.example"])
    slow = relay.next()
    for number in range(5):
        queue.submission.accept_foreign([f"x@d{number}.example"])
        assert relay.one().destination == f"d{number}.example"
    relay.answer(slow)
    assert relay.one().recipients == ["y@slow.example"]
    queue.wait_for_counts(0)


def test_bulk_delays_no_other_message(tmp_path):
    """Not to another destination, not to the same, not of the same sender."""
    queue = Queue(tmp_path, CONFIG + " relay { connections = 10 }")
    relay = queue.relay()
    queue.submission.accept_foreign([f"u{i}@d{i % 500}.example" for i in range(3000)])
    under_way = [relay.next() for _ in range(8)]
    relay.nothing_more()  # of ten, two are kept for those that are known to take mail
    queue.submission.accept_foreign(["single@d499.example"], account="bob@test.example")
    queue.submission.accept_foreign(["own@d498.example"])
    queue.submission.accept_foreign(["other@elsewhere.example"], account="carol@test.example")
    place = {}
    for number in range(100):
        relay.answer(under_way.pop(0))
        under_way.append(relay.next())
        place.update(dict.fromkeys(under_way[-1].recipients, number))
    assert place["single@d499.example"] < 10 and place["other@elsewhere.example"] < 10
    assert place["own@d498.example"] < 70
    queue.end()


def private_memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_a_long_queue_of_which_a_tenth_is_dead(tmp_path):
    """It loads in seconds with bounded memory, costs nothing while it waits, and the living ones are
    served though the dead never answer."""
    messages, domains = (100000, 10000) if TORTURE else (3000, 300)
    queue = Queue(tmp_path, CONFIG)
    for number in range(messages):
        queue.submission.send_foreign([f"u{number}@d{number % domains}.example"])
        if number % 100 == 99:
            for _ in range(100):
                queue.submission.expect(QUEUE_COMMITTED)
    queue.end()
    start = time.monotonic()
    second = Queue(tmp_path, CONFIG + " relay { connections = 2000 }")  # the dead never give theirs back
    assert second.role.counts()[1] == messages
    assert time.monotonic() - start < 10
    if not is_sanitized():
        assert private_memory(second.role.pid) < (20 << 20) + 1024 * messages
    before = cpu_seconds(second.role.pid)
    time.sleep(1)
    assert cpu_seconds(second.role.pid) - before < 0.2
    relay = second.relay()
    done, dead = 0, set()
    while done < messages - messages // 10:
        message = relay.next()
        if int(message.destination[1:].partition(".")[0]) % 10 == 0:
            assert message.destination not in dead  # one place each
            dead.add(message.destination)
        else:
            relay.answer(message, window=5)
            done += 1
    assert len(dead) <= domains // 10
    second.end()


def test_a_destination_has_one_process(queue):
    relays = [queue.relay() for _ in range(3)]
    homes = {}
    for turn in range(2):
        for number in range(30):
            name = f"d{number}.example"
            queue.submission.accept_foreign([f"x@{name}"])
            ready = []
            while not ready:
                ready = [relay for relay in relays if select.select([relay.channel.sock], [], [], 0)[0]]
            assert ready[0].one().destination == name
            assert homes.setdefault(name, ready[0]) is ready[0]
    assert set(homes.values()) == set(relays)
    relays[0].channel.close()  # those of the others stay where they are
    queue.relays.remove(relays[0])
    for name, home in homes.items():
        if home is not relays[0]:
            queue.submission.accept_foreign([f"x@{name}"])
            assert home.one().destination == name


def test_a_route_of_a_sender_gathers(tmp_path):
    queue = Queue(tmp_path, CONFIG + """
        route "*" { sender = "test.example" host = "192.0.2.7" }
        route "own.example" { host = "192.0.2.8" }""")
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example", "y@near.example"])
    message = relay.one()
    assert message.destination == "=*/test.example" and len(message.recipients) == 2
    queue.submission.accept_foreign(["x@own.example"], sender="")
    assert relay.one().destination == "own.example"
    queue.end()


def test_routes_of_senders_are_apart(tmp_path):
    """What one of them takes says nothing about the other, though both are for all domains."""
    queue = Queue(tmp_path, CONFIG + """
        route "*" { sender = "news.example" host = "192.0.2.7" }
        route "*" { sender = "bulk@test.example" host = "192.0.2.8" }""")
    relay = queue.relay()
    for sender in ("a@news.example", "bulk@test.example"):  # the first waits for nobody
        queue.submission.accept_foreign(["x@far.example"], sender=sender)
    assert {relay.one().destination for _ in range(2)} == {"=*/news.example", "=*/bulk@test.example"}
    queue.end()


def test_tls_that_is_optional_has_its_own_destination(queue):
    """RFC 8689 5: what others wait for, since the receiver's TLS is broken, must not hold it up."""
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"])
    queue.submission.accept_foreign(["x@far.example"], flags=TLS_OPTIONAL)
    assert {relay.one().destination for _ in range(2)} == {"far.example", "~far.example"}


def test_requiretls_has_its_own_destination_and_binds_reports(queue):
    """Servers that do not do for it hold up nobody else; RFC 8689 5: what is told of it is not less safe."""
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"])
    queue.submission.accept_foreign(["x@far.example"], flags=REQUIRETLS, sender="a@b.example")
    first, second = sorted((relay.next() for _ in range(2)), key=lambda message: message.flags & REQUIRETLS)
    assert (first.destination, second.destination) == ("far.example", "!far.example")
    relay.answer(first)
    relay.answer(second, RELAY_PERMANENT, REFUSAL)
    queue.answer_address(verdict=VERDICT_FOREIGN)
    report = relay.one()
    assert report.sender == "" and report.recipients == ["a@b.example"] and report.flags & REQUIRETLS
    queue.wait_for_counts(0)


@pytest.mark.parametrize("large", [False, True])
def test_with_requiretls_nothing_comes_back_but_the_header(queue, large):
    """RFC 8689 5: "the RET=FULL MUST be disregarded"."""
    flags = RET_FULL | REQUIRETLS
    if large:
        send_large(queue, ["x@far.example"], flags=flags)
    else:
        queue.submission.accept_foreign(["x@far.example"], flags=flags)
    queue.relay().one(RELAY_PERMANENT, REFUSAL)
    assert report_to_alice(queue)[3].get_content_type() == "text/rfc822-headers"
    queue.wait_for_counts(0)


def test_without_a_relay_it_waits(queue):
    queue.submission.accept_foreign(["x@far.example"])
    time.sleep(0.2)
    assert queue.relay().one().recipients == ["x@far.example"]
    queue.wait_for_counts(0)


# --- what becomes of it


def test_deferred_and_tried_again(queue):
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example", "y@far.example"])
    message = relay.next()
    relay.result(message, (RELAY_DONE, ""), (RELAY_TEMPORARY, "4.2.2 full\n450 4.2.2 full\nmx"))
    start = time.monotonic()
    assert relay.one().recipients == ["y@far.example"]
    assert 0.8 < time.monotonic() - start < 5
    queue.wait_for_counts(0)


def test_a_destination_that_fails_rests(tmp_path):
    """Those who wait for it are neither tried nor written to; each time it rests for longer."""
    queue = Queue(tmp_path, 'queue { retry = {1s, 3s} } limits { free-space = 0 }')
    relay = queue.relay()
    for number in range(5):
        queue.submission.accept_foreign([f"u{number}@dead.example"])
    relay.one(RELAY_TEMPORARY, "4.4.1 no answer", wait_ms=100)
    failed = time.monotonic()
    queue.submission.accept_foreign(["x@living.example"])
    relay.one()
    second = relay.next()
    assert 0.8 < time.monotonic() - failed < 2.5
    relay.nothing_more()  # one at a time
    relay.answer(second, RELAY_TEMPORARY, "4.4.1 no answer", wait_ms=100)
    failed = time.monotonic()
    relay.nothing_more(2)
    message = relay.next()
    assert time.monotonic() - failed > 2.6
    relay.answer(message, window=10)
    for _ in range(4):
        relay.one(window=10)
    queue.wait_for_counts(0)
    queue.end()


def test_optional_tls_is_not_held_up_by_what_fails(tmp_path):
    """The destination rests, since its TLS cannot be had; what says TLS-Required: No goes all the same."""
    queue = Queue(tmp_path, CONFIG)
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"])
    relay.one(RELAY_TEMPORARY, "4.7.4 no TLS", wait_ms=600000)
    queue.wait_for_counts(1)
    queue.submission.accept_foreign(["x@far.example"], flags=TLS_OPTIONAL)
    assert relay.one().destination == "~far.example"
    queue.end()


def test_a_destination_that_asks_for_a_pause_gets_it(queue):
    relay = queue.relay()
    for number in range(3):
        queue.submission.accept_foreign([f"u{number}@far.example"])
    relay.one(window=5, wait_ms=400)  # it took the message: no failure
    start = time.monotonic()
    relay.one(window=5)
    assert 0.3 < time.monotonic() - start < 2
    relay.one()
    queue.wait_for_counts(0)


def read_report(message):
    assert message.sender == ""
    report = email.message_from_bytes(message.body, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report" and not report.defects
    words, status, original = report.iter_parts()
    fields = [dict(part.items()) for part in status.get_payload()]
    return report, words.get_content(), fields, original


def report_to_alice(queue):
    assert queue.answer_address([ALICE]) == ALICE
    queue.answer_target(ALICE)
    return read_report(queue.deliver_one())


REFUSAL = ("5.1.1 far.example does not know this address\n"
           "550-5.1.1 <x>: who?\r550 5.1.1 ask postmaster\nmx.far.example [192.0.2.1]")


def test_failure_is_returned_with_the_reply(queue):
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"], envid="QQ", orcpt="rfc822;list@test.example")
    message = relay.one(RELAY_PERMANENT, REFUSAL, PEER_SAID)
    report, words, fields, _ = report_to_alice(queue)
    assert report["Subject"] == "Your message could not be delivered"
    assert "far.example does not know this address (5.1.1)" in words
    assert "mx.far.example [192.0.2.1] said:\r\n      550-5.1.1 <x>: who?\r\n" in words
    assert "550 5.1.1 ask postmaster" in words and message.id_text in words
    assert fields[0]["Original-Envelope-Id"] == "QQ"
    assert fields[1]["Original-Recipient"] == "rfc822;list@test.example"
    assert fields[1]["Final-Recipient"] == "rfc822;x@far.example"
    assert (fields[1]["Action"], fields[1]["Status"]) == ("failed", "5.1.1")
    assert fields[1]["Remote-MTA"] == "dns; mx.far.example"
    assert fields[1]["Diagnostic-Code"] == "smtp; 550-5.1.1 <x>: who? 550 5.1.1 ask postmaster"
    assert fields[1]["Final-Log-ID"] == message.id_text
    queue.wait_for_counts(0)


def send_large(queue, names, **options):
    submission = queue.submission
    submission.request += 1
    request, identity = submission.request, submission.next_id()
    write_fd, read_fd = submission.lend_file(request)
    os.write(write_fd, LARGE)
    os.close(write_fd)
    os.close(read_fd)
    for name in names:
        submission.recipient(request, "", name)
    flags = IN_SPOOL | SUBMITTED | options.pop("flags", 0)
    submission.submit(request, identity, len(names), b"", flags, sender=ALICE, account=ALICE,
                      session=9, token=make_token(9, ALICE), body_octets=len(LARGE), **options)
    submission.expect(QUEUE_COMMITTED)
    return identity


def test_a_large_message_comes_back_whole(queue, tmp_path):
    """RET=FULL beyond what a record holds; once, in one piece, and over a restart."""
    relay = queue.relay()
    send_large(queue, ["x@far.example", "y@far.example", "z@near.example"], flags=RET_FULL,
               cuts=[(0, 16)])
    for _ in range(2):
        message = relay.next()
        if message.destination == "far.example":
            relay.answer(message, RELAY_PERMANENT, REFUSAL)
        else:
            relay.answer(message)
    assert queue.answer_address([ALICE]) == ALICE
    queue.wait_for_spool(tmp_path, 1)  # the report's: the message is gone
    queue.end()
    second = Queue(tmp_path)
    (delivery,) = second.deliveries_to(ALICE, 1)
    octets = delivery.prefix + delivery.body
    report = email.message_from_bytes(octets, policy=email.policy.default)
    words, status, original = report.iter_parts()
    assert "The message is attached" in words.get_content() and not report.defects
    assert [dict(part.items()).get("Final-Recipient") for part in status.get_payload()][1:] == [
        "rfc822;x@far.example", "rfc822;y@far.example"]
    boundary = report.get_boundary().encode()
    whole = octets.split(b"Content-Type: message/rfc822\r\n")[1].split(b"\r\n\r\n", 1)[1]
    assert whole == b"Received: r\r\n" + LARGE[16:] + b"\r\n--" + boundary + b"--\r\n"
    assert original.get_content_type() == "message/rfc822"
    second.wait_for_counts(0)
    second.wait_for_spool(tmp_path, 0)
    second.end()


def test_a_large_message_without_ret_full_comes_back_as_its_header(queue, tmp_path):
    send_large(queue, ["x@far.example"])
    queue.relay().one(RELAY_PERMANENT, REFUSAL)
    _, words, _, original = report_to_alice(queue)
    assert "Its header is attached" in words
    assert original.get_content_type() == "text/rfc822-headers"
    queue.wait_for_counts(0)
    queue.wait_for_spool(tmp_path, 0)


def test_success_is_told_unless_the_peer_does(queue):
    relay = queue.relay()
    options = {"notify": NOTIFY_SUCCESS}
    queue.submission.accept_foreign(["x@far.example"], **options)
    relay.one(flags=KEEPS_DSN)
    queue.wait_for_counts(0)
    queue.submission.accept_foreign(["x@far.example"], **options)
    relay.one()
    _, _, fields, _ = report_to_alice(queue)
    assert (fields[1]["Action"], fields[1]["Status"]) == ("relayed", "2.0.0")
    assert fields[1]["Remote-MTA"] == "dns; mx.x"
    queue.submission.accept_foreign(["x@far.example"])
    relay.one()
    queue.wait_for_counts(0)


@pytest.mark.parametrize("flags, peer, notify, told", [
    (0, 0, 0, True),                          # the next server knows nothing of the time
    (0, 0, NOTIFY_FAILURE, True),
    (0, 0, NOTIFY_NEVER, False),
    (0, KEEPS_TIME, 0, False),
    (BY_TRACE, KEEPS_TIME | KEEPS_DSN, 0, True),
    (BY_TRACE, KEEPS_TIME, NOTIFY_SUCCESS, True),
    (BY_TRACE, KEEPS_TIME, NOTIFY_FAILURE, False),
    (BY_RETURN, KEEPS_TIME, 0, False),
])
def test_deliver_by_is_told_of_where_it_ends(queue, flags, peer, notify, told):
    """RFC 2852 4: "relayed", though nobody asked to be told of success."""
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"], flags=flags, notify=notify, deliver_by=int(time.time()) + 1000)
    relay.one(flags=peer)
    if told:
        _, _, fields, _ = report_to_alice(queue)
        assert fields[1]["Action"] == "relayed"
    queue.wait_for_counts(0)


@pytest.mark.parametrize("options", [{"notify": NOTIFY_NEVER}, {"notify": NOTIFY_SUCCESS},
                                     {"notify": NOTIFY_DELAY}, {"sender": ""}])
def test_nobody_is_told_of_a_failure_who_did_not_ask(queue, options):
    queue.submission.accept_foreign(["x@far.example"], **options)
    queue.relay().one(RELAY_PERMANENT, REFUSAL)
    queue.wait_for_counts(0)


def test_a_report_that_cannot_be_delivered_goes_to_postmaster_once(queue):
    relay = queue.relay()
    queue.session.accept([BOB], sender="a@far.example")
    queue.answer_target()
    queue.deliver_one(PERMANENT, "5.2.1 closed")
    queue.answer_address(verdict=VERDICT_FOREIGN)
    bounced = relay.one(RELAY_PERMANENT, REFUSAL)
    assert bounced.sender == "" and bounced.recipients == ["a@far.example"]
    assert queue.answer_address([ALICE]) == "postmaster@test.example"
    queue.answer_target(ALICE)
    delivery = queue.next_delivery()
    report, words, fields, _ = read_report(delivery)
    assert report["To"] == "postmaster@test.example" and "550 5.1.1 ask postmaster" in words
    assert fields[1]["Final-Recipient"] == "rfc822;a@far.example"
    queue.result(delivery, (PERMANENT, "5.2.1 closed too"))
    queue.wait_for_counts(0)  # and nobody is told of that


# --- time


LATE = 'limits { free-space = 0 } queue { retry = "20s" '


def test_delay_is_told_once(tmp_path):
    queue = Queue(tmp_path, LATE + "delay-warning = 500ms }")
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"])
    queue.submission.accept_foreign(["y@far.example"], notify=NOTIFY_DELAY)
    for notify in (NOTIFY_NEVER, NOTIFY_FAILURE):
        queue.submission.accept_foreign(["z@far.example"], notify=notify)
    queue.submission.accept_foreign(["n@far.example"], sender="")
    relay.one(RELAY_TEMPORARY, "4.4.1 no answer\n421 busy\nmx.far.example", wait_ms=1)
    told = set()
    for delivery in queue.deliveries_to(ALICE, 2):  # one was tried, one waits for its destination
        report, words, fields, _ = read_report(delivery)
        assert report["Subject"] == "Your message is delayed" and "need not send it again" in words
        assert (fields[1]["Action"], fields[1]["Status"]) == ("delayed", "4.4.1")
        assert fields[1]["Diagnostic-Code"] == "smtp; 421 busy" and fields[1]["Will-Retry-Until"]
        told.add(fields[1]["Final-Recipient"])
    assert told == {"rfc822;x@far.example", "rfc822;y@far.example"}
    queue.wait_for_counts(5)
    time.sleep(1.5)
    assert queue.role.counts()[1] == 5
    queue.end()
    second = Queue(tmp_path, LATE + "delay-warning = 500ms }")
    time.sleep(1)
    assert second.role.counts()[1] == 5  # the warnings are remembered
    second.end()


def test_a_delay_says_how_long_is_tried(tmp_path):
    """RFC 3464 2.3.9: until the time that the sender gave, where that is sooner than our own."""
    queue = Queue(tmp_path, LATE + "delay-warning = 500ms }")
    by = int(time.time()) + 100
    queue.submission.accept_foreign(["x@far.example"], flags=BY_RETURN, deliver_by=by)
    queue.relay().one(RELAY_TEMPORARY, "4.4.1 no answer\n421 busy\r\r421 now\nmx.far.example", wait_ms=1)
    _, _, fields, _ = report_to_alice(queue)
    assert abs(email.utils.parsedate_to_datetime(fields[1]["Will-Retry-Until"]).timestamp() - by) <= 1
    assert fields[1]["Diagnostic-Code"].split() == ["smtp;", "421", "busy", "421", "now"] and fields[1]["Final-Log-ID"]
    queue.end()


def test_expired_behind_a_destination_that_does_not_answer(tmp_path):
    """It was never tried itself, and is returned with what its destination said."""
    queue = Queue(tmp_path, LATE + "lifetime = 1500ms delay-warning = never }")
    relay = queue.relay()
    for name in ("x", "y"):
        queue.submission.accept_foreign([f"{name}@dead.example"])
    relay.one(RELAY_TEMPORARY, "4.4.1 no answer\n\nmx.dead.example", wait_ms=10)
    report, words, fields, _ = report_to_alice(queue)
    tried, arrived = (email.utils.parsedate_to_datetime(text) for text in (fields[1]["Last-Attempt-Date"],
                                                                           fields[0]["Arrival-Date"]))
    assert arrived <= tried < report["Date"].datetime  # when its destination was, not when we gave up
    assert fields[1]["Status"] == "5.4.7" and fields[1]["Final-Recipient"] == "rfc822;y@dead.example"
    assert "given up after trying for too long; the last answer was: 4.4.1 no answer" in words
    assert fields[1]["Remote-MTA"] == "dns; mx.dead.example"
    queue.end()


def test_an_old_message_is_not_returned_before_it_was_tried_for_a_while(tmp_path):
    """As after a clock that was set forth."""
    queue = Queue(tmp_path)
    queue.submission.accept_foreign(["x@far.example"], arrival=int(time.time()) - 30 * 86400)
    queue.end()
    second = Queue(tmp_path)
    relay = second.relay()
    for _ in range(2):
        relay.one(RELAY_TEMPORARY, "4.2.2 full")
    assert second.role.counts()[1] == 1
    second.end()


def test_a_message_of_the_future_is_tried_now(tmp_path):
    """As after a clock that was set back."""
    queue = Queue(tmp_path)
    queue.submission.accept_foreign(["x@far.example"], arrival=int(time.time()) + 300 * 86400)
    queue.end()
    second = Queue(tmp_path)
    second.relay().one(seconds=5)
    second.end()


def test_held_until_its_time(tmp_path):
    queue = Queue(tmp_path)
    queue.submission.accept_foreign(["x@far.example"], hold_until=int(time.time()) + 4)
    released = time.time() + 3
    queue.relay().nothing_more(0.5)
    queue.end()
    second = Queue(tmp_path)
    second.relay().one()
    assert time.time() > released - 0.1
    second.wait_for_counts(0)
    second.end()


@pytest.mark.parametrize("flags,action", [(BY_RETURN, "failed"), (0, "delayed")])
def test_deliver_by(tmp_path, flags, action):
    queue = Queue(tmp_path, LATE + "}")
    queue.submission.accept_foreign(["x@far.example"], flags=flags, notify=NOTIFY_FAILURE,
                                    deliver_by=int(time.time()) + 2)
    relay = queue.relay()
    relay.one(RELAY_TEMPORARY, "4.2.2 full")
    if flags:
        relay.one(RELAY_TEMPORARY, "4.2.2 full")  # the last try
    _, _, fields, _ = report_to_alice(queue)
    assert fields[1]["Action"] == action
    queue.wait_for_counts(0 if flags else 1)
    queue.end()


# --- deaths


def test_killed_queue_sends_again(queue, tmp_path):
    queue.submission.accept_foreign(["x@far.example"])
    queue.relay().next()
    queue.end()
    second = Queue(tmp_path)
    second.relay().one()
    second.wait_for_counts(0)
    second.end()


def kill(queue, relay):
    relay.channel.close()
    queue.relays.remove(relay)
    return queue.relay()


def test_what_a_relay_said_before_its_death_counts(queue):
    """Though more lay unread before it: then the kernel tells of the death first (common/role/ipc.c)."""
    relay = queue.relay()
    queue.submission.accept_foreign(["x@done.example"])
    message = relay.next()
    queue.submission.accept_foreign(["x@unread.example"])
    assert select.select([relay.channel.sock], [], [], 10)[0]
    os.kill(queue.role.pid, signal.SIGSTOP)
    relay.answer(message)
    relay.channel.close()
    os.kill(queue.role.pid, signal.SIGCONT)
    relay = kill(queue, relay)
    assert relay.one().destination == "unread.example"
    relay.nothing_more()
    queue.wait_for_counts(0)


def test_relay_dies_with_many(queue):
    """Nothing is lost, and nobody is blamed for one death."""
    relay = queue.relay()
    for number in range(40):
        queue.submission.accept_foreign([f"x@d{number}.example"])
    for _ in range(40):
        relay.next()
    relay = kill(queue, relay)
    seen = {relay.one().destination for _ in range(40)}
    assert len(seen) == 40
    queue.wait_for_counts(0)


def test_the_message_that_kills_is_held_alone(queue):
    """Among others: they go out, it is held, and postmaster is told."""
    relay = queue.relay()
    for number in range(20):
        queue.submission.accept_foreign([f"x@d{number}.example"])
    killer = queue.submission.accept_foreign(["x@killer.example"])
    for _ in range(21):
        relay.next()
    deaths, seen = 0, set()
    relay = kill(queue, relay)
    while queue.role.counts()[2] == 0:
        try:
            message = relay.next(0.5)
        except AssertionError:
            continue
        if message.id == killer:
            deaths += 1
            relay = kill(queue, relay)
        else:
            relay.answer(message)
            seen.add(message.destination)
    assert len(seen) == 20 and deaths <= 3
    assert queue.answer_address([ALICE]) == "postmaster@test.example"
    queue.answer_target(ALICE)
    report, words, fields, _ = read_report(queue.deliver_one())
    assert report["Subject"] == "A message is held in quarantine"
    assert fields[1]["Final-Recipient"] == "rfc822;x@killer.example"
    queue.wait_for_counts(1, 1)


def test_a_message_alone_is_held_after_two_deaths(queue):
    relay = queue.relay()
    queue.submission.accept_foreign(["x@killer.example"])
    for _ in range(2):
        relay.next()
        relay = kill(queue, relay)
    queue.wait_for_counts(2, 1)  # it, and what tells postmaster


@pytest.mark.parametrize("spoil", [
    lambda relay, message: relay.result(message, (RELAY_DONE, ""), (RELAY_DONE, "")),
    lambda relay, message: relay.result(message, (RELAY_DONE, ""), window=0),
    lambda relay, message: relay.result(message, (RELAY_DONE, ""), window=1001),
    lambda relay, message: relay.result(message, (4, "")),
    lambda relay, message: relay.result(message, (0, "")),
    lambda relay, message: relay.result(message, (RELAY_DONE, "x" * 1025)),
    lambda relay, message: relay.result(message),
])
def test_hostile_relay_is_ended_and_its_messages_are_not_lost(queue, spoil):
    relay = queue.relay()
    queue.submission.accept_foreign(["x@far.example"])
    spoil(relay, relay.next())
    assert relay.channel.receive() is None
    queue.relays.remove(relay)
    queue.relay().one()
    queue.wait_for_counts(0)
    assert len(queue.role.hostile) == 1


def test_texts_cannot_forge_a_report(queue):
    queue.submission.accept_foreign(["x@far.example"])
    queue.relay().one(RELAY_PERMANENT, "5.0.0 a\rAction: delivered\n550 b\r\rAction: relayed\nmx\r\v")
    _, _, fields, _ = report_to_alice(queue)
    assert fields[1]["Action"] == "failed" and len(fields) == 2
