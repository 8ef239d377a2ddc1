"""Mail to other domains through the whole house: what arrives there, what its sender is told, what the
administrator sees. Single replies are the affair of test_relay_process.py, records of test_queue_relay.py."""

import email
import email.policy
import json
import re
import smtplib
import time

import pytest

from house import DOMAIN
from sink import CLOSE, PLAIN, STALL, Raw, Sink

ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
BODY = b"From: alice@test.example\r\nSubject: hello\r\n\r\nhello\r\n"
TLS = (*PLAIN, "STARTTLS")


def by_local_part(connection, line):
    """Of the recipients of `mixed`: who is unknown, who is full, who is welcome the second time."""
    seen = connection.sink.seen = getattr(connection.sink, "seen", set())
    if b"<unknown@" in line:
        return b"550-5.1.1 Nobody here has that name.\r\n550 5.1.1 See https://mixed.example/"
    if b"<later@" in line and line not in seen:
        seen.add(line)
        return b"450 4.2.0 greylisted"
    return None


def one_a_connection(connection, line):
    connection.mails = getattr(connection, "mails", 0) + 1
    return b"421 4.7.0 one message a connection" if connection.mails > 1 else None


SINKS = {  # domain below .example -> how it behaves
    "good": {"extensions": (*PLAIN, "DSN", "SMTPUTF8")},
    "mixed": {"answers": {"RCPT": by_local_part}},
    "refuses": {"answers": {"DOT": b"554 5.7.1 no such mail, please"}},
    "choosy": {"answers": {"DOT": b"554 5.7.1 no such mail, please"}},
    "single": {"answers": {"MAIL": one_a_connection}},
    "breaks": {"answers": {"DOT": [CLOSE, None]}},
    "stalls": {"answers": {"BANNER": STALL}},
    "babbles": {"answers": {"MAIL": Raw(b"hello?\r\n\0\r\n" * 1000)}},
    "lmtp": {"lmtp": True, "answers": {"DOT": [None, b"552 5.2.2 full", None]}},
    "may": {"extensions": TLS, "answers": {"STARTTLS": Raw(b"220 go\r\n")}},
    "encrypt": {"extensions": TLS, "answers": {"STARTTLS": b"454 4.7.0 not now"}},
    "busy": {"answers": {"RCPT": b"450 4.2.1 busy"}},
    "smarthost": {"extensions": (*TLS, "AUTH PLAIN"), "answers": {"RCPT": by_local_part}},
}
SETTINGS = {"relay": {"networks": "{ 127.0.0.0/8 }", "reply": "1s", "connect": "1s", "idle": "200ms"},
            "queue": {"retry": "300ms"}}


class World:
    """A house and the servers around it."""

    def __init__(self, house, sinks):
        self.house, self.sinks = house, sinks

    def send(self, recipients, body=BODY, sender=ALICE, mail=(), rcpt=()):
        """From this host, over port 25. The queue id."""
        recipients = [recipients] if isinstance(recipients, str) else recipients
        with smtplib.SMTP("127.0.0.1", self.house.ports["smtp"], timeout=20) as client:
            client.ehlo("client.example")
            assert client.mail(sender, list(mail))[0] == 250
            for recipient in recipients:
                assert client.rcpt(recipient, list(rcpt))[0] == 250
            assert client.docmd("DATA")[0] == 354
            client.send(re.sub(rb"(?m)^\.", b"..", body) + b".\r\n")
            code, text = client.getreply()
        assert code == 250
        return text.decode().rsplit(" ", 1)[1]

    def reports(self, account, count, seconds=15):
        """The newest ones, parsed; those of earlier tests are gone."""
        files = self.house.wait_for_messages(account, count, seconds=seconds)
        found = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
        for file in files:
            file.unlink()
        return found

    def story(self, queue_id, words, seconds=10):
        deadline = time.monotonic() + seconds
        while words not in (found := self.house.command("why", queue_id, check=False).stdout):
            assert time.monotonic() < deadline, f"no {words!r} in:\n{found}"
            time.sleep(0.05)
        return found

    def queue(self, *words):
        return self.house.command("queue", *words).stdout

    def waits(self, queue_id, words, seconds=10):
        """Until the queue shows the message with those words."""
        deadline = time.monotonic() + seconds
        while words not in (found := self.queue("show", queue_id)):
            assert time.monotonic() < deadline, f"no {words!r} in:\n{found}"
            time.sleep(0.05)


def furnish(make, certificate, directory, sinks, settings=None):
    (directory / "password").write_text("secret\n")
    more = {"lmtp": "protocol = lmtp", "encrypt": "tls = encrypt",
            "smarthost": f'tls = encrypt user = "me" password-file = "{directory}/password"'}
    routes = [f"route {name}.example {{ host = 127.0.0.1 port = {sink.port} {more.get(name, '')} }}"
              for name, sink in sinks.items()]
    house = make(settings=settings or SETTINGS, extra="\n".join(routes),
                 services=("smtp", "submission"), certificate=certificate)
    for account in (ALICE, BOB):
        house.add_account(account)
    house.command("alias", "add", f"postmaster@{DOMAIN}", BOB)
    return World(house, sinks)


@pytest.fixture(scope="module")
def world(make_module_house, certificate, tmp_path_factory):
    sinks = {name: Sink(certificate=certificate, stall_seconds=5, **how) for name, how in SINKS.items()}
    yield furnish(make_module_house, certificate, tmp_path_factory.mktemp("relay"), sinks)
    for sink in sinks.values():
        sink.close()


def parts(report):
    """Of a multipart/report: text, fields of the message, fields of each recipient, what is sent back."""
    assert report.get_content_type() == "multipart/report" and report["Auto-Submitted"] == "auto-replied"
    text, status, original = report.iter_parts()
    fields, *recipients = status.get_payload()
    return text.get_content().replace("\r\n", "\n"), fields, recipients, original


def test_envelope_and_octets_arrive(world):
    """One copy for all recipients of a destination; RFC 3461 6.1: what was asked goes on."""
    body = (b"Subject: octets\r\n\r\n" + b"..\r\n.\r\n.x\r\n" + b"l" * 998 + b"\r\n"
            + "é".encode() * 300 + b"\r\n") * 60  # more than a record holds, so by way of the spool
    world.send(["a@good.example", "b@good.example"], body, rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;x+2By@z.example"],
               mail=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1", f"SIZE={len(body)}"])
    message, = world.sinks["good"].wait(1)
    prefix, own = message.data[: -len(body)], message.data[-len(body) :]
    assert own == body and prefix.startswith(b"Received: from client.example ([127.0.0.1])\r\n\tby mail.test.example")
    assert message.mail == (f"MAIL FROM:<{ALICE}> SIZE={len(message.data)} BODY=8BITMIME RET=HDRS ENVID=QQ+2B1")
    assert message.rcpts == [f"RCPT TO:<{who}@good.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z.example"
                             for who in "ab"]


def test_each_recipient_has_its_own_outcome(world):
    """One is taken, one is refused and told of, one is taken the second time."""
    sink = world.sinks["mixed"]
    queue_id = world.send([f"{who}@mixed.example" for who in ("here", "unknown", "later")],
                          mail=["RET=FULL", "ENVID=e1"])
    first, second = sink.wait(2)
    assert first.rcpts == ["RCPT TO:<here@mixed.example>"] and second.rcpts == ["RCPT TO:<later@mixed.example>"]
    report, = world.reports(ALICE, 1)
    text, message, (recipient,), original = parts(report)
    assert ("  <unknown@mixed.example>\n    the server refused the recipient (5.1.1)\n    127.0.0.1 [127.0.0.1] said:\n"
            "      550-5.1.1 Nobody here has that name.\n      550 5.1.1 See https://mixed.example/\n") in text
    assert queue_id in text and "later@" not in text and "here@" not in text
    assert (message["Reporting-MTA"], message["Original-Envelope-Id"]) == ("dns; mail.test.example", "e1")
    assert recipient["Final-Recipient"] == "rfc822;unknown@mixed.example"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert "550-5.1.1 Nobody here has that name." in recipient["Diagnostic-Code"]
    assert original.get_content_type() == "message/rfc822"
    assert original.get_content()["Subject"] == "hello" and original.get_content().get_content().split() == ["hello"]
    story = world.story(queue_id, "sent to 127.0.0.1 [127.0.0.1] for <later@mixed.example>")
    for words in ("sent to 127.0.0.1 [127.0.0.1] for <here@mixed.example>",
                  "not sent to 127.0.0.1 [127.0.0.1] for <unknown@mixed.example>: 5.1.1",
                  "550-5.1.1 Nobody here has that name. / 550 5.1.1 See",
                  "not sent to 127.0.0.1 [127.0.0.1] for <later@mixed.example>: 4.2.0",
                  f"<{ALICE}> is told, by message "):
        assert words in story
    assert story.index("given up for <unknown@mixed.example>") < story.index("is told, by message")


def test_lmtp_answers_for_each(world):
    world.send([f"{who}@lmtp.example" for who in "abc"])
    message, = world.sinks["lmtp"].wait(1)
    assert message.rcpts == ["RCPT TO:<a@lmtp.example>", "RCPT TO:<c@lmtp.example>"]
    _, _, (recipient,), original = parts(world.reports(ALICE, 1)[0])
    assert recipient["Final-Recipient"] == "rfc822;b@lmtp.example" and recipient["Status"] == "5.2.2"
    assert original.get_content_type() == "text/rfc822-headers"


def test_one_message_a_connection(world):
    for i in range(6):
        world.send(f"u{i}@single.example")
    messages = world.sinks["single"].wait(6)
    assert len({message.connection for message in messages}) == 6


def test_what_may_have_arrived_is_sent_again(world):
    """The server dies behind the dot: nobody knows, so nothing bounces."""
    queue_id = world.send("u@breaks.example")
    world.story(queue_id, "whether it was taken is not known")
    world.house.command("queue", "retry", queue_id, check=False)  # or its time has come already
    message, = world.sinks["breaks"].wait(1)
    assert message.data.endswith(BODY)
    world.story(queue_id, "sent to 127.0.0.1 [127.0.0.1] for <u@breaks.example>")
    assert not world.house.messages(ALICE)


def test_bad_servers_delay_nobody(world):
    before = len(world.sinks["good"].messages)
    ids = [world.send(f"u@{name}.example") for name in ("stalls", "babbles")]
    began = time.monotonic()
    world.send("u@good.example")
    world.sinks["good"].wait(before + 1)
    assert time.monotonic() - began < 0.9  # they have a second for each answer
    world.waits(ids[0], "4.4.2 timed out while the greeting was awaited")
    world.waits(ids[1], "4.5.0 the server's answer is no SMTP reply")
    world.queue("remove", *ids)


def attempts(world, queue_id, count, seconds=10):
    """What was said in the first ones, as `queue show` has it for programs and for people."""
    deadline = time.monotonic() + seconds
    while True:
        message, = json.loads(world.queue("show", queue_id, "--json"))
        if len(message["attempts"]) >= count:
            break
        assert time.monotonic() < deadline, message
        time.sleep(0.05)
    text = world.queue("show", queue_id.lower())
    for attempt in message["attempts"][:count]:
        assert "".join(f"    {line}\n" for line in attempt["transcript"]) in text
    return message["attempts"]


def test_each_attempt_is_kept_whole(world):
    queue_id = world.send("one@busy.example")
    first, second = attempts(world, queue_id, 2)[:2]
    port, host = world.sinks["busy"].port, "mail.test.example"
    for attempt in (first, second):
        said = attempt["transcript"]
        assert said[:3] == [f"= connecting to 127.0.0.1 [127.0.0.1], port {port}", "= connected",
                            "< 220 sink.example ESMTP"]
        assert said[3] == f"> EHLO {host}" and said[4].startswith("< 250-")
        mail = next(i for i, line in enumerate(said) if line.startswith(f"> MAIL FROM:<{ALICE}> "))
        assert said[mail + 1:mail + 3] == ["> RCPT TO:<one@busy.example>", "> DATA"]
        assert said.count("< 450 4.2.1 busy") == 1
        assert not [line for line in said if "before, on this connection" in line]  # it is the first one
        assert attempt["tls"] == "" and attempt["destination"] == "busy.example"
        assert attempt["result"].startswith("4.2.1 ") and attempt["host"] == "127.0.0.1 [127.0.0.1]"
    assert second["ended_ms"] > first["ended_ms"]
    assert "    < 450 4.2.1 busy\n" in world.story(queue_id, "attempt at busy.example")
    assert not world.house.events("attempt"), "it is for the history, not for the log"
    world.queue("remove", queue_id)


def test_nonsense_is_kept_too(world):
    queue_id = world.send("u@babbles.example")
    said = attempts(world, queue_id, 1)[0]["transcript"]
    assert said[said.index("< hello?"):][:2] == ["< hello?", "< \\x00"]
    assert said[-1] == "= the server's answer is no SMTP reply, or endless"
    world.queue("remove", queue_id)


def test_a_message_is_told_by_its_size(world):
    queue_id = world.send("u@choosy.example")
    story = world.story(queue_id, "attempt at choosy.example")
    octets, = re.findall(r"= the message, (\d+) octets", story)
    assert int(octets) > len(BODY) and "    < 554 5.7.1 no such mail, please\n" in story
    assert "Subject: hello" not in story
    world.reports(ALICE, 1)


def test_no_secret_is_kept(world):
    with smtplib.SMTP("127.0.0.1", world.house.ports["submission"], timeout=20) as client:
        client.starttls()
        client.login(ALICE, "staffetta")
        client.sendmail(ALICE, ["later@smarthost.example"], BODY)
    queue_id = world.house.wait_for_event("not_relayed", to="later@smarthost.example")["queue_id"]
    story = world.story(queue_id, "attempt at smarthost.example")
    assert "    > AUTH PLAIN (not shown)\n    < 235" in story and "AG1lAHNlY3JldA" not in story
    assert re.search(r"attempt at smarthost.example by .*, TLSv1.3, .*, certificate verified: no, TLS "
                     r"demanded by route: 4.2.0", story)
    assert "    = TLSv1.3, " in story
    world.sinks["smarthost"].wait(1)


def test_starttls_that_does_not_work(world):
    """RFC 3207 4.1: without, where anything is better than nothing; not where it is asked for."""
    world.send("u@may.example")
    queue_id = world.send("u@encrypt.example")
    message, = world.sinks["may"].wait(1)
    assert message.tls is None and message.connection == 2
    world.waits(queue_id, "4.7.0 the server refused STARTTLS, which is required here")
    assert not world.sinks["encrypt"].messages
    world.queue("remove", queue_id)


def test_submission_to_a_smarthost(world):
    with smtplib.SMTP("127.0.0.1", world.house.ports["submission"], timeout=20) as client:
        client.starttls()
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail(ALICE, ["u@smarthost.example"], BODY)
        client.login(ALICE, "staffetta")
        client.sendmail(ALICE, ["u@smarthost.example"], BODY)
    message = world.sinks["smarthost"].wait(1)[-1]
    assert message.user == "AUTH PLAIN AG1lAHNlY3JldA==" and message.tls
    assert b"Message-ID:" in message.data and b"Date:" in message.data


def test_reports_about_reports(world):
    """A null reverse-path gets none; a report that cannot be delivered goes to postmaster, once."""
    nobody = world.send("u@refuses.example", sender="")
    world.story(nobody, "given up")
    world.send("u@refuses.example", sender="other@refuses.example")
    report, = world.reports(BOB, 1)
    text, _, (recipient,), original = parts(report)
    assert "A report of this system" in text and report["Subject"] == "A report could not be delivered"
    assert recipient["Final-Recipient"] == "rfc822;other@refuses.example"
    assert "Mail Delivery System" in original.get_content()
    assert not world.house.messages(ALICE) and not world.sinks["refuses"].messages
    assert len(world.house.events("failed", destination="refuses.example")) == 3


def test_the_administrators_hands(world):
    """hold, release, bounce, remove."""
    held, bounced, removed = (world.send(f"{who}@busy.example") for who in ("held", "bounced", "removed"))
    for queue_id in (held, bounced, removed):
        world.waits(queue_id, "450 4.2.1 busy")
    world.queue("hold", held)
    world.waits(held, "<held@busy.example>  held")
    world.queue("bounce", bounced)
    _, _, (recipient,), _ = parts(world.reports(ALICE, 1)[0])
    assert recipient["Final-Recipient"] == "rfc822;bounced@busy.example" and recipient["Action"] == "failed"
    world.queue("remove", removed)
    world.sinks["busy"].answers.clear()
    time.sleep(0.7)  # two waits
    assert not world.sinks["busy"].messages
    world.queue("release", held)
    message, = world.sinks["busy"].wait(1)
    assert message.rcpts == ["RCPT TO:<held@busy.example>"]
    domain = " (busy.example)"
    for queue_id, words in ((held, "held until an administrator releases it, for <held@busy.example>" + domain),
                            (held, "released by an administrator for <held@busy.example>" + domain),
                            (bounced, "given up for <bounced@busy.example>" + domain),
                            (removed, "removed by an administrator for <removed@busy.example>" + domain),
                            (removed, "next attempt for <removed@busy.example>" + domain)):
        world.story(queue_id, words)
    assert {event["to"] for event in world.house.events("deferred", destination="busy.example")} >= {
        f"{who}@busy.example" for who in ("held", "bounced", "removed")}


def test_each_decision_names_its_recipient(world):
    """Also where nobody is told of it, and of many in one message each its own (docs/log.md)."""
    names = [f"u{number}@refuses.example" for number in range(30)]
    queue_id = world.send(names, rcpt=("NOTIFY=NEVER",))
    world.story(queue_id, "given up for <u29@refuses.example> (refuses.example): 5.7.1")
    failed = {event["recipient"]: event["to"] for event in world.house.events("failed", queue_id=queue_id)}
    assert sorted(failed.values()) == sorted(names) and len(failed) == 30


def test_delayed_then_expired(make_house, certificate, tmp_path):
    settings = {**SETTINGS, "queue": {"retry": "100ms", "delay-warning": "300ms", "lifetime": "2500ms"}}
    with Sink(answers={"RCPT": b"450 4.2.0 not yet"}) as sink:
        world = furnish(make_house, certificate, tmp_path, {"late": sink}, settings)
        queue_id = world.send("u@late.example")
        delayed, failed = world.reports(ALICE, 2)
        for words in ("not there yet, which its sender is told, for <u@late.example>", "given up for <u@late.example>"):
            world.story(queue_id, words)
    if delayed["Subject"] != "Your message is delayed":
        delayed, failed = failed, delayed
    text, _, (recipient,), _ = parts(delayed)
    assert "You need not send it again" in text and "450 4.2.0 not yet" in text
    assert (recipient["Action"], recipient["Status"]) == ("delayed", "4.2.0") and recipient["Will-Retry-Until"]
    text, _, (recipient,), _ = parts(failed)
    assert "will not be tried again" in text and "450 4.2.0 not yet" in text
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.4.7")


def test_a_loop_ends(make_house):
    """A route that leads back to us: the message is returned when it has passed us too often."""
    house = make_house(start=False, settings={**SETTINGS, "limits": {"received": "10"}}, services=("smtp",))
    house.extra = f"route loop.example {{ host = 127.0.0.1 port = {house.ports['smtp']} }}"
    house.write_config()
    house.add_account(ALICE)
    house.start()
    world = World(house, {})
    world.send("u@loop.example")
    text, _, (recipient,), _ = parts(world.reports(ALICE, 1)[0])
    assert recipient["Status"] == "5.4.6" and "554 5.4.6 Mail loop" in text
