"""`staffetta why`: the story of a message, by its id, by whoever it names and by its Message-ID."""

import os
import signal
import subprocess
import time

import pytest

from sink import Sink


@pytest.fixture(scope="module")
def shared(make_module_house):
    made = make_module_house(services=("smtp",))
    made.deaths_expected = True
    return made


def told(house, what, words, seconds=10):
    """The answer, as soon as it has those words."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            text = house.command("why", what).stdout
        except subprocess.CalledProcessError as error:
            text = error.stderr
        if words in text:
            return text
        assert time.monotonic() < deadline, text
        time.sleep(0.1)


def send(house, account, message_id):
    """Its queue id."""
    house.send(account, f"Message-ID: {message_id}\nSubject: s\n\nhello\n")
    return house.wait_for_event("content", message_id=message_id)["queue_id"]


def test_a_story_from_connection_to_maildir(shared):
    account = shared.new_account()
    identity = send(shared, account, "<One.2@Example.Org>")
    lines = told(shared, identity, "delivered to").split("\n\nin the queue now")[0].splitlines()
    times = [line[:24] for line in lines]
    assert times == sorted(times)
    assert {line.split("  ")[-1] for line in lines} == {
        "[smtpd-session]", "[smtpd-filter]", "[smtpd-queue]", "[smtpd-deliver]"}
    story = "\n".join(lines)
    assert f"recipient <{account}> accepted" in story and "taken from 127.0.0.1" in story
    assert "its Message-ID is <One.2@Example.Org>" in story and f"delivered to {account}" in story
    for name in (account, account.upper(), "<one.2@example.org>", "One.2@Example.Org"):
        assert told(shared, name, "delivered to").splitlines()[0] == identity


@pytest.mark.parametrize("written, identity", [
    ("\n <folded@x>", "<folded@x>"), (" \n\t<twice@x>\n ", "twice@x"),
    ("<said@x> (by a mailer)", "<said@x>"), ("(no)\n <behind@x>", "behind@x"), ("\n bare@x", "bare@x"),
    ("<cut\n @x>", "<cut")])
def test_a_message_id_is_found_however_it_is_written(shared, written, identity):
    """RFC 5322 3.6.4: white space, folds and comments may stand around it."""
    account = shared.new_account()
    shared.send(account, f"Message-ID:{written}\nSubject: s\n\nhello\n")
    told(shared, identity, f"delivered to {account}")


def test_the_newest_message_comes_first(shared):
    account = shared.new_account()
    identities = [send(shared, account, f"<{number}@x>") for number in range(3)]
    told(shared, identities[-1], "delivered to")
    text = told(shared, account, identities[0])
    assert [line for line in text.splitlines() if line in identities] == identities[::-1]


def test_long_stories_are_told_whole(shared):
    """In parts, between which the journal hears what else happens."""
    account = shared.new_account()
    recipients = [account.replace("@", f"+{number}@") for number in range(500)]
    shared.send(recipients, "Message-ID: <many@x>\nSubject: s\n\nhello\n")
    identity = shared.wait_for_event("content", message_id="<many@x>")["queue_id"]
    for what in (identity.lower(), "many@x"):
        text = told(shared, what, f"delivered to {account}")
        assert [text.count(f"recipient <{name}> accepted") for name in recipients] == [1] * 500
        assert text.index("+0@") < text.index("+499@") < text.index("taken from") < text.index("delivered to")


def test_a_reply_steers_no_terminal(make_house, certificate):
    """Neither by ESC nor by U+009B, and what is no UTF-8 is not shown as it came."""
    reply = "550 5.1.1 gr\u00fc\u00df a\0b \x1b[31m \x9b31m ".encode() + b"\xff\xfe"
    with Sink(answers={"RCPT": reply}) as sink:
        house = make_house(services=("smtp",), settings={"relay": {"networks": "{ 127.0.0.0/8 }"}},
                           extra=f"route far.example {{ host = 127.0.0.1 port = {sink.port} }}")
        house.send("x@far.example", "Message-ID: <far@x>\nSubject: s\n\nhello\n", sender=house.new_account())
        told(house, "far@x", "given up for")
        text = house.command("why", "far@x").stdout
        assert "it said: 550 5.1.1 gr\u00fc\u00df a?b ?[31m ??31m ??" in text and "\x1b" not in text and "\x9b" not in text


def test_what_waits_behind_others(make_house):
    """While a destination rests only one message is tried: of the others the history has nothing, and the queue the reason."""
    house = make_house(services=("smtp",), settings={"relay": {"networks": "{ 127.0.0.0/8 }"}, "queue": {"retry": "1h"}},
                       extra="route far.example { host = 127.0.0.1 port = 9 }")
    house.send("first@far.example", "Subject: s\n\nx\n", sender="a@test.example")
    house.wait_for_event("destination_rests")
    house.send("second@far.example", "Subject: s\n\nx\n", sender="a@test.example")
    text = told(house, "second@far.example", "in the queue now:")
    story, queue = text.split("\nin the queue now:\n")
    assert "Connection refused" not in story and story.splitlines()[0] == queue.split()[0]
    assert "<second@far.example>  ready, next in" in queue and "Connection refused" in queue
    assert "in the queue now" in told(house, queue.split()[0].lower(), "second@far.example")


def test_what_nobody_knows(shared):
    assert "nothing is known" in told(shared, "nobody@nowhere.example", "nothing")
    asked = shared.command("why", check=False)
    assert asked.returncode == 2 and asked.stderr.startswith("usage: staffetta why ")


def test_the_story_outlives_its_processes(shared):
    account = shared.new_account()
    identity = send(shared, account, "<kept@x>")
    told(shared, identity, "delivered to")
    os.kill(shared.pids("journal")[0], signal.SIGTERM)
    told(shared, identity, "delivered to")
    shared.stop()
    shared.start()
    assert "delivered to" in told(shared, "kept@x", identity)
