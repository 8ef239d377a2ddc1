"""`staffetta statistics`: how much mail came and went, and what was refused."""

import csv
import datetime
import io
import json
import os
import signal
import smtplib
import time

import pytest

from sink import Sink

@pytest.fixture
def alone(make_house):
    made = make_house(services=("smtp",))
    made.deaths_expected = True
    return made


def counted(house, complete, seconds=10):
    """What --json says, as soon as `complete` likes it."""
    deadline = time.monotonic() + seconds
    while not complete(found := json.loads(house.command("statistics", "--json").stdout)):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def by_name(table):
    return {line.pop("name"): line for line in [dict(line) for line in table]}


def delivered(count):
    return lambda found: sum(day["delivered"] for day in found["days"]) == count


def test_mail_is_counted_by_day_domain_and_sender(alone):
    account = alone.new_account()
    for number in range(3):
        alone.send(account, f"Subject: {number}\n\nhello\n", sender=f"S{number % 2}@Out.example")
    found = counted(alone, delivered(3))
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    assert by_name(found["days"]) == {today: dict(
        accepted=3, delivered=3, relayed=0, deferred=0, bounced=0, refused=0)}
    domain = account.split("@")[1]
    assert by_name(found["domains"]) == {domain: dict(
        accepted=3, delivered=3, relayed=0, deferred=0, bounced=0)}
    assert {name: line["delivered"] for name, line in by_name(found["senders"]).items()} == {
        "s0@out.example": 2, "s1@out.example": 1}
    delay = found["delay_ms"]["delivered"]
    assert delay["count"] == 3 and 0 <= delay["p50"] <= delay["p90"] <= delay["p99"] < 60000


def test_refusals_by_class(alone):
    account = alone.new_account()
    with smtplib.SMTP("127.0.0.1", alone.ports["smtp"], timeout=20) as client:
        client.ehlo()
        client.mail("x@out.example")
        assert client.rcpt("nobody@test.example")[0] == 550
        assert client.rcpt("who@elsewhere.example")[0] == 550
        assert client.rcpt(account)[0] == 250
        client.data(b"Subject: ok\r\n\r\nok\r\n")
    found = counted(alone, delivered(1))
    assert by_name(found["refusals"]) == {
        "unknown user": dict(by_us=1, by_others=0), "policy": dict(by_us=1, by_others=0)}
    assert found["days"][0]["refused"] == 2
    assert "nobody" not in json.dumps(found) and "elsewhere" not in json.dumps(found)


def test_what_was_not_taken_does_not_count_as_accepted(alone):
    """A domain's recipients count with the message's 250: not those of RSET, of a message that was refused, of who left."""
    alone.add_account("bob@test.example")
    many = [f"user{number}@test.example" for number in range(3)]
    for address in many:
        alone.add_account(address)
    with smtplib.SMTP("127.0.0.1", alone.ports["smtp"], timeout=20) as client:
        client.ehlo()
        for last in ("RSET", "DATA", ""):
            assert client.mail("x@out.example")[0] == 250 and client.rcpt("bob@test.example")[0] == 250
            if last == "RSET":
                client.rset()
            if last == "DATA":
                assert client.docmd("DATA")[0] == 354
                client.send(b"bare\nline end\r\n.\r\n")
                assert client.getreply()[0] == 550
        client.close()
    with smtplib.SMTP("127.0.0.1", alone.ports["smtp"], timeout=20) as client:
        client.sendmail("x@out.example", [*many, "user0+again@test.example"], "Subject: s\n\nx\n")
    found = counted(alone, delivered(len(many)))
    sums = dict(accepted=len(many), delivered=len(many), relayed=0, deferred=0, bounced=0)
    assert by_name(found["domains"]) == {"test.example": sums}
    assert by_name(found["senders"])["x@out.example"]["accepted"] == 1 and found["days"][0]["refused"] == 1


def test_a_message_to_many_domains(make_house):
    """More than a line of the log takes."""
    domains = [f"{'d' * 50}{number}.example" for number in range(300)]
    house = make_house(services=("smtp",), settings={"relay": {"networks": "{ 127.0.0.0/8 }"}},
                       extra='route "*" { host = 127.0.0.1 port = 9 }')
    house.send([f"x@{domain}" for domain in domains] + ["y@last.example", "z@last.example"], "Subject: s\n\nx\n",
               sender=house.new_account())
    found = counted(house, lambda found: len(found["domains"]) > len(domains))
    accepted = {name: line["accepted"] for name, line in by_name(found["domains"]).items()}
    assert accepted == {**{domain: 1 for domain in domains}, "last.example": 2}
    assert not house.events("queued_domains")


def by_local_part(connection, line):
    """unknown@ is refused, later@ is welcome the second time."""
    if b"<unknown@" in line:
        return b"550 5.1.1 who?"
    if b"<later@" in line and not getattr(connection.sink, "seen", False):
        connection.sink.seen = True
        return b"450 4.2.1 busy"
    return None


def test_what_leaves_is_counted_too(make_house, certificate):
    sink = Sink(["PIPELINING", "STARTTLS"], certificate=certificate, answers={"RCPT": by_local_part})
    plain = Sink(["PIPELINING"])
    house = make_house(services=("smtp",), settings={"relay": {"networks": "{ 127.0.0.0/8 }"}, "queue": {"retry": "300ms"}},
                       extra=f"route far.example {{ host = 127.0.0.1 port = {sink.port} }}\n"
                       f"route strict.example {{ host = 127.0.0.1 port = {plain.port} tls = encrypt }}")
    account = house.new_account()
    try:
        house.send([f"{who}@far.example" for who in ("here", "unknown", "later")], "Subject: s\n\nx\n",
                   sender=account)
        house.send("x@strict.example", "Subject: s\n\nx\n", sender="other@test.example")
        found = counted(house, lambda found: found["days"] and found["days"][0]["relayed"] == 2
                        and found["days"][0]["delivered"] == 1 and found["tls_failures"], seconds=20)
        rows = list(csv.DictReader(io.StringIO(house.command("statistics", "--csv").stdout)))
        text = house.command("statistics").stdout
    finally:
        sink.close()
        plain.close()
    sums = dict(accepted=3, delivered=0, relayed=2, deferred=1, bounced=1)
    assert by_name(found["domains"])["far.example"] == sums
    assert by_name(found["senders"])[account] == {**sums, "accepted": 1}
    assert by_name(found["senders"])["<>"]["delivered"] == 1  # the report
    operator = by_name(found["operators"])["127.0.0.1"]
    assert operator["relayed"] == 2 and operator["refused"] >= 2
    refusals = by_name(found["refusals"])
    assert refusals["unknown user"] == dict(by_us=0, by_others=1)
    assert refusals["rate"]["by_others"] >= 1  # that of later@, and 4.7.4 of strict.example
    assert found["delay_ms"]["relayed"]["count"] == 2
    tls = by_name(found["tls"])
    assert tls["far.example"] == dict(dane=0, mta_sts=0, verified=0, unverified=2, none=0, failed=0)
    assert tls["strict.example"]["failed"] >= 1 and tls["strict.example"]["none"] == 0
    assert list(by_name(found["tls_failures"])) == ["starttls-not-supported"]
    assert ("tls", "far.example", "unverified", "2") in [tuple(row.values())[1:] for row in rows]
    assert "TLS to receiver domain" in text and "starttls-not-supported" in text


def test_for_people_and_as_csv(alone):
    account = alone.new_account()
    alone.send(account, "Subject: s\n\nhello\n")
    counted(alone, delivered(1))
    text = alone.command("statistics").stdout
    assert "receiver domain" in text and "outside@elsewhere.example" in text and "p99" in text
    rows = list(csv.DictReader(io.StringIO(alone.command("statistics", "--csv").stdout)))
    assert {(row["table"], row["name"], row["what"]): row["count"] for row in rows}[
        "senders", "outside@elsewhere.example", "delivered"] == "1"


def test_what_means_nothing_is_said(house):
    for words in (["--days"], ["--days", "0"], ["--days", "4000"], ["yesterday"]):
        answer = house.command("statistics", *words, check=False)
        assert answer.returncode == 2 and answer.stderr.startswith("usage: staffetta statistics ")


def test_counts_outlive_processes(alone):
    account = alone.new_account()
    alone.send(account, "Subject: s\n\nhello\n")
    counted(alone, delivered(1))
    os.kill(alone.pids("journal")[0], signal.SIGTERM)
    deadline = time.monotonic() + 10
    while alone.command("statistics", check=False).returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    alone.send(account, "Subject: s\n\nhello\n")
    counted(alone, delivered(2))
    alone.stop()
    alone.start()
    found = counted(alone, delivered(2))
    assert by_name(found["senders"])["outside@elsewhere.example"]["accepted"] == 2


def test_without_a_history_there_are_none(make_house):
    house = make_house(services=("smtp",), settings={"log": {"history": "0s"}})
    assert "log.history" in house.command("statistics", check=False).stderr
