"""Limits of SMTP, each with the reply that names it, and clients that mean ill."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import socket
import time

import pytest
from house import is_sanitized

PORTS = ("smtp", "submission", "submissions")


def hello(conversation):
    conversation.talk("C: EHLO client.example\nS: ...\nS: 250 *")


def begin_data(conversation, recipient):
    hello(conversation)
    conversation.talk(r"""
        C: MAIL FROM:<>
        S: 250 *
        C: RCPT TO:<{recipient}>
        S: 250 *
        C: DATA
        S: 354 *""", recipient=recipient)


def memory_of(house, role):
    """Of all processes of that role, resident private octets at their highest."""
    total = 0
    for pid in house.pids(role):
        status = pathlib.Path("/proc", str(pid), "status").read_text()
        total += int(status.split("VmHWM:")[1].split()[0]) * 1024
    return total


@pytest.fixture(scope="module")
def shared(make_module_house):
    house = make_module_house(services=PORTS)
    house.deaths_expected, house.present = True, {}
    return house


@pytest.fixture
def configured(shared):
    """A house that is reloaded with the settings that a test wants."""
    def configure(settings):
        if settings != shared.present:
            shared.write_config(settings)
            shared.command("reload")
            shared.present = settings
        return shared
    return configure


def test_each_limit_has_a_name(configured):
    house = configured({"limits": {
        "recipients": 100, "messages": 2, "message-size": "64K", "header-size": "32K",
        "text-line": 1000, "command-line": "1K", "bad-commands": 5}})
    account = house.new_account()
    with house.connect("smtp") as smtp:
        hello(smtp)
        smtp.send(b"NOOP " + b"x" * 2000 + b"\r\n")
        smtp.talk("S: 500 5.5.2 *limits.command-line*")
        smtp.talk("C: MAIL FROM:<>\nS: 250 *\n")
        for _ in range(100):
            smtp.talk(f"C: RCPT TO:<{account}>\nS: 250 *")
        smtp.talk(f"C: RCPT TO:<{account}>\nS: 452 4.5.3 *limits.recipients*")
        smtp.talk("C: DATA\nS: 354 *")
        smtp.send(b"x" * 999 + b"\r\n.\r\n")
        smtp.talk("S: 554 5.6.0 *limits.text-line*")
    for body, reply in [(b"x" * 998 + b"\r\n", "250 *"),
                        ((b"x" * 70 + b"\r\n") * 1000, "552 5.3.4 *limits.message-size*"),
                        (b"Subject: x\r\n" * 3000, "55* *limits.header-size*")]:
        with house.connect("smtp") as smtp:
            begin_data(smtp, account)
            smtp.send((b"" if body.startswith(b"Sub") else b"Subject: x\r\n\r\n") + body + b".\r\n")
            smtp.talk(f"S: {reply}")
    with house.connect("smtp") as smtp:
        for _ in range(2):
            begin_data(smtp, account)
            smtp.talk("C: Subject: x\nC:\nC: .\nS: 250 *")
        smtp.talk("C: MAIL FROM:<>\nS: 421 4.7.0 *limits.messages*\nS: (closed)")
    with house.connect("smtp") as smtp:
        for _ in range(4):
            smtp.talk("C: FROB\nS: 500 *")
        smtp.talk("C: FROB\nS: 500 *\nS: 421 4.7.0 *limits.bad-commands*\nS: (closed)")


def test_too_many_received_fields_are_a_loop(configured):
    house = configured({"limits": {"received": 10}})
    account = house.new_account()
    for count, reply in [(10, "250 *"), (11, "554 5.4.6 *limits.received*")]:
        with house.connect("smtp") as smtp:
            begin_data(smtp, account)
            smtp.send(b"Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n" * count
                      + b"\r\nhi\r\n.\r\n")
            smtp.talk(f"S: {reply}")


def test_timeouts(configured):
    house = configured({"timeouts": {
        "smtp-command": "300ms", "smtp-data": "400ms", "smtp-message": "1s"}})
    account = house.new_account()
    with house.connect("smtp") as smtp:
        smtp.talk("S: 421 4.4.2 *timeouts.smtp-command*\nS: (closed)")
    with house.connect("smtp") as smtp:
        begin_data(smtp, account)
        smtp.talk("C: half a line\nS: 421 4.4.2 *timeouts.smtp-data*\nS: (closed)")
    with house.connect("smtp") as smtp:
        begin_data(smtp, account)
        for _ in range(100):
            time.sleep(0.05)
            try:
                smtp.send(b"x")
            except OSError:
                break
        smtp.talk("S: 421 4.4.2 *timeouts.smtp-message*")


def test_one_network_does_not_shut_out_the_others(configured):
    house = configured({"limits": {
        "unauthenticated-connections": 50, "unauthenticated-per-network": 5}})
    account = house.new_account()
    held = [house.connect("smtp") for _ in range(5)]
    with house.connect("smtp") as refused:
        assert refused.greeting.startswith(b"421 ")
        assert b"limits.unauthenticated-per-network" in refused.greeting
        refused.talk("S: (closed)")
    with house.connect("smtp", source="127.0.1.1") as other:
        assert other.greeting.startswith(b"220 ")
    begin_data(held[0], account)
    held[0].talk("C: Subject: x\nC:\nC: .\nS: 250 *")
    with house.connect("smtp") as again:
        assert again.greeting.startswith(b"220 "), "who has sent a message is no stranger"
    house.wait_for_event("connection_refused", limit="limits.unauthenticated-per-network")
    for conversation in held:
        conversation.close()


@pytest.fixture
def many_descriptors():
    """More than the usual 1024, for us; the roles see to themselves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip(f"no more than {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_idle_connections_disturb_nobody(make_house, many_descriptors):
    house = make_house(services=PORTS, settings={"limits": {
        "unauthenticated-connections": 4000, "unauthenticated-per-network": 400}})
    account = house.new_account()
    before = memory_of(house, "smtpd-session")
    count = 1200
    idle = [house.connect("smtp", source=f"127.0.{number % 10}.1") for number in range(count)]
    took = []
    for _ in range(40):
        start = time.monotonic()
        with house.connect("smtp", source="127.0.77.1") as smtp:
            begin_data(smtp, account)
            smtp.talk("C: Subject: x\nC:\nC: .\nS: 250 *")
        took.append(time.monotonic() - start)
    grown = memory_of(house, "smtpd-session") - before
    for conversation in idle:
        conversation.close()
    if not is_sanitized():
        assert sorted(took)[-2] < 0.25, took
        assert grown < count * 8192, f"{grown / count:.0f} octets per idle connection"


def test_replies_that_nobody_reads(make_house):
    house = make_house(services=PORTS)
    house.new_account()
    before = memory_of(house, "smtpd-session")
    with house.connect("smtp") as smtp:
        smtp.socket.setblocking(False)
        piece, sent, until = b"NOOP\r\n" * 10000, 0, time.monotonic() + 3
        while time.monotonic() < until and sent < (64 << 20):
            try:
                sent += smtp.socket.send(piece)
                until = time.monotonic() + 0.5
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < (32 << 20), "it should have stopped reading"
    grown = memory_of(house, "smtpd-session") - before
    assert is_sanitized() or grown < (4 << 20), grown


def test_a_killed_queue_is_a_temporary_error(make_house):
    house = make_house(services=PORTS)
    account = house.new_account()
    house.deaths_expected = True
    with house.connect("smtp") as bystander:
        hello(bystander)
        for _ in range(3):
            with house.connect("smtp") as smtp:
                begin_data(smtp, account)
                os.kill(house.pids("smtpd-queue")[0], signal.SIGKILL)
                smtp.talk("C: Subject: x\nC:\nC: .")
                # No line at all where queue died with the message in its hands.
                assert (smtp.read_line() or b"451")[:3] in (b"250", b"451")
            # From the second death in ten seconds on it is started with a delay.
            bystander.talk("C: MAIL FROM:<>")
            assert re.match(rb"250|451 4\.3\.0", bystander.read_line())
            bystander.talk("C: RSET\nS: 250 *")
    house.send(account, "Subject: after\n\nhi\n")


@contextlib.contextmanager
def role_away(house, role):
    """Kills a role, and keeps the master from starting another meanwhile."""
    os.kill(house.process.pid, signal.SIGSTOP)
    try:
        os.kill(house.pids(role)[0], signal.SIGKILL)
        time.sleep(0.3)
        yield
    finally:
        os.kill(house.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("role", ["smtpd-queue", "auth", "smtpd-filter"])
def test_mail_waits_for_a_role_that_is_started_again(make_house, role):
    house = make_house(services=PORTS)
    account = house.new_account()
    house.deaths_expected = True
    with house.connect("smtp") as smtp:
        hello(smtp)
        with role_away(house, role):
            smtp.talk(r"""
                C: MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n
                S: (quiet 0.1)""", to=account)
        smtp.talk(r"""
            S: 250 2.1.0 *
            S: 250 2.1.5 *
            S: 354 *
            C: Subject: x
            C:
            C: .
            S: 250 2.0.0 *""")


def test_mail_does_not_wait_for_ever(make_house):
    house = make_house(services=PORTS)
    house.deaths_expected = True
    with house.connect("smtp") as smtp:
        hello(smtp)
        with role_away(house, "smtpd-queue"):
            smtp.talk(r"""
                C: MAIL FROM:<>\r\nNOOP\r\n
                S: 451 4.3.0 *
                S: 250 2.0.0 *""")


def test_a_stop_is_said(configured):
    house = configured({})
    account = house.new_account()
    with house.connect("smtp") as idle, house.connect("smtp") as busy:
        hello(idle)
        begin_data(busy, account)
        house.process.send_signal(signal.SIGTERM)
        idle.talk("S: 421 4.3.2 *\nS: (closed)")
        busy.talk("C: Subject: last\nC:\nC: .\nS: 250 2.0.0 *\nS: 421 4.3.2 *\nS: (closed)")
    house.stop()
    house.start()
    house.wait_for_messages(account, 1)


def test_a_half_closed_connection_gets_its_answers(configured):
    house = configured({})
    account = house.new_account()
    with house.connect("smtp") as smtp:
        smtp.send(b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<" + account.encode()
                  + b">\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n")
        smtp.socket.shutdown(socket.SHUT_WR)
        smtp.talk("S: 250 *\nS: 250 *\nS: 250 *\nS: 354 *\nS: 250 *\nS: 221 *\nS: (closed)")
    house.wait_for_messages(account, 1)


def test_bare_line_ends_may_be_kept(configured):
    house = configured({"smtp": {"bare-line-ends": "keep"}})
    account = house.new_account()
    with house.connect("smtp") as smtp:
        begin_data(smtp, account)
        smtp.send(b"Subject: x\r\n\r\na\n.\nb\r\n.\nc\rd\r\n.\r\n")
        smtp.talk("S: 250 2.0.0 *\nS: (quiet 0.1)")
    text = house.wait_for_messages(account, 1)[0].read_bytes()
    assert text.endswith(b"\r\n\r\na\n.\nb\r\n\nc\rd\r\n")


def test_a_reload_lets_a_message_finish(configured):
    house = configured({})
    account = house.new_account()
    with house.connect("smtp") as idle, house.connect("smtp") as busy:
        hello(idle)
        begin_data(busy, account)
        configured({"limits": {"message-size": "3M"}})
        idle.talk("S: 421 4.3.2 *\nS: (closed)")
        with house.connect("smtp") as fresh:
            fresh.talk("C: EHLO c\nS: ...\nS: 250-SIZE 3145728\nS: ...\nS: 250 *")
        busy.talk("C: Subject: x\nC:\nC: .\nS: 250 2.0.0 *\nS: 421 4.3.2 *\nS: (closed)")
    house.wait_for_messages(account, 1)
