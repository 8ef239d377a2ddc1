"""Submission on 587 and 465: passwords, TLS, whose mail may be sent."""

import base64
import re
import smtplib
import ssl

import pytest

from house import PASSWORD

PORTS = ("smtp", "submission", "submissions")


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    return make_module_house(services=PORTS)


@pytest.fixture(scope="module")
def alice(mail_house):
    return mail_house.new_account()


@pytest.fixture(scope="module")
def bob(mail_house):
    return mail_house.new_account()


@pytest.fixture
def submission(mail_house):
    with mail_house.connect("submission") as conversation:
        yield conversation


@pytest.fixture
def submissions(mail_house):
    with mail_house.connect("submissions") as conversation:
        yield conversation


def plain(name, password=PASSWORD, as_whom=""):
    return base64.b64encode(f"{as_whom}\0{name}\0{password}".encode()).decode()


def base64_of(text):
    return base64.b64encode(text.encode()).decode()


def log_in(conversation, account):
    conversation.talk(r"""
        C: EHLO client.example
        S: ...
        S: 250 AUTH PLAIN LOGIN
        C: AUTH PLAIN {secret}
        S: 235 2.7.0 *""", secret=plain(account))


def send(conversation, sender, recipient, text, reply="250 2.0.0 *"):
    conversation.talk(r"""
        C: MAIL FROM:<{sender}>
        S: 250 2.1.0 *
        C: RCPT TO:<{recipient}>
        S: 250 2.1.5 *
        C: DATA
        S: 354 *""", sender=sender, recipient=recipient)
    conversation.send(text.replace("\n", "\r\n").encode() + b".\r\n")
    conversation.talk(f"S: {reply}")


def newest(house, account, subject):
    """The message with that subject, once it is there."""
    for count in range(1, 100):
        for file in house.wait_for_messages(account, count):
            text = file.read_bytes()
            if b"Subject: " + subject.encode() + b"\r\n" in text:
                return text
    raise AssertionError(subject)


def header_of(text):
    return text.split(b"\r\n\r\n", 1)[0] + b"\r\n"


def test_nothing_without_a_password(submission, alice):
    submission.talk(r"""
        C: MAIL FROM:<x@y.example>
        S: 503 5.5.1 *
        C: EHLO client.example
        S: ...
        S: 250 AUTH PLAIN LOGIN
        C: MAIL FROM:<{alice}>
        S: 530 5.7.0 *
        C: AUTH PLAIN
        S: 334*
        C: {wrong}
        S: 535 5.7.8 *
        C: MAIL FROM:<{alice}>
        S: 530 5.7.0 *""", alice=alice, wrong=plain(alice, "wrong"))


@pytest.mark.parametrize("script", [
    "C: AUTH PLAIN {plain}",
    "C: AUTH PLAIN\nS: 334 *\nC: {plain}",
    "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {name}\nS: 334 UGFzc3dvcmQ6\nC: {password}",
    "C: AUTH LOGIN {name}\nS: 334 UGFzc3dvcmQ6\nC: {password}",  # Outlook for Mac
    "C: auth login {name}\nS: 334 *\nC: {password}",
])
def test_ways_to_log_in(submission, alice, script):
    submission.talk("C: EHLO c\nS: ...\nS: 250 *\n" + script + "\nS: 235 2.7.0 *\nC: AUTH PLAIN\n"
                    "S: 503 5.5.1 *\n", plain=plain(alice), name=base64_of(alice),
                    password=base64_of(PASSWORD))


@pytest.mark.parametrize("script", [
    "C: AUTH PLAIN !\nS: 501 5.5.4 *",
    "C: AUTH PLAIN AA=\nS: 501 5.5.2 *",
    "C: AUTH PLAIN =\nS: 501 5.5.2 *",
    "C: AUTH PLAIN\nS: 334 *\nC: *\nS: 501 5.7.0 *",
    "C: AUTH LOGIN\nS: 334 *\nC: *\nS: 501 5.7.0 *",
    "C: AUTH CRAM-MD5\nS: 504 5.5.4 *",
    "C: AUTH\nS: 501 5.5.4 *",
    "C: AUTH PLAIN {other}\nS: 535 5.7.8 *",
    "C: AUTH PLAIN {unknown}\nS: 535 5.7.8 *",
])
def test_ways_not_to_log_in(submission, alice, script):
    submission.talk("C: EHLO c\nS: ...\nS: 250 *\n" + script + "\nC: NOOP\nS: 250 *",
                    other=plain(alice, as_whom="somebody@test.example"),
                    unknown=plain("nobody@test.example"))


def test_tls_by_command(mail_house, submission, alice):
    submission.talk(r"""
        C: EHLO client.example
        S: ...
        S: 250-STARTTLS
        S: 250 AUTH PLAIN LOGIN
        C: STARTTLS
        S: 220 2.0.0 *
        C: (tls)
        C: MAIL FROM:<{alice}>
        S: 503 5.5.1 *
        C: EHLO client.example
        S: ...
        S: 250 AUTH PLAIN LOGIN
        C: STARTTLS
        S: 503 5.5.1 *""", alice=alice)
    log_in(submission, alice)
    send(submission, alice, alice, f"From: {alice}\nSubject: starttls\n\nhi\n")
    header = header_of(newest(mail_house, alice, "starttls"))
    assert b"ESMTPSA" in header and b"TLS_" in header


def test_tls_from_the_first_octet(mail_house, submissions, alice):
    log_in(submissions, alice)
    send(submissions, alice, alice, f"From: {alice}\nSubject: implicit\n\nhi\n")
    header = header_of(newest(mail_house, alice, "implicit"))
    assert b"ESMTPSA" in header and b"TLS_" in header


def test_octets_behind_starttls_are_thrown_away(mail_house, submission):
    submission.send(b"EHLO c\r\nSTARTTLS\r\nEHLO injected\r\nNOOP\r\n")
    submission.talk(r"""
        S: ...
        S: 250 AUTH PLAIN LOGIN
        S: 220 2.0.0 *
        C: (tls)
        S: (quiet 0.2)
        C: NOOP
        S: 250 2.0.0 *""")
    assert mail_house.wait_for_event("starttls_injection")["octets"] == "21"


def test_port_25_takes_no_password(mail_house):
    with mail_house.connect("smtp") as smtp:
        smtp.talk(r"""
            C: EHLO c
            S: ...
            S: 250 STARTTLS
            C: AUTH PLAIN {secret}
            S: 502 5.5.1 *""", secret=plain("x", "y"))


def test_no_password_in_the_clear(make_house):
    house = make_house(services=PORTS, settings={"": {"plaintext-passwords": "never"}})
    account = house.new_account()
    with house.connect("submission") as submission:
        submission.talk(r"""
            C: EHLO c
            S: ...
            S: 250 STARTTLS
            C: AUTH PLAIN {secret}
            S: 538 5.7.11 *
            C: MAIL FROM:<{account}>
            S: 530 5.7.0 *STARTTLS*
            C: STARTTLS
            S: 220 *
            C: (tls)""", secret=plain(account), account=account)
        log_in(submission, account)


def test_one_sends_as_oneself(submission, alice, bob):
    log_in(submission, alice)
    submission.talk(r"""
        C: MAIL FROM:<{bob}>
        S: 553 5.7.1 *
        C: MAIL FROM:<x@elsewhere.example>
        S: 553 5.7.1 *""", bob=bob)
    send(submission, alice, bob, f"From: {bob}\nSubject: forged\n\nhi\n", "553 5.7.1 *{bob}*")
    send(submission, alice, bob, f"From: {alice}, {bob}\nSubject: forged\n\nhi\n", "55* 5.*")
    send(submission, "", bob, f"From: {bob}\nSubject: forged\n\nhi\n", "553 5.7.1 *")
    send(submission, alice, bob, f"From: a\nFrom: b\nSubject: two\n\nhi\n", "5* 5.*")
    send(submission, alice, bob, f"From: {alice}\nSubject: fine\n\nhi\n")


def test_what_clients_leave_out_is_completed(mail_house, submission, alice, bob):
    log_in(submission, alice)
    send(submission, alice, bob,
         f"From: {alice}\nTo: {bob}\nBcc: secret@test.example\nSubject: bare\n\nhi\n")
    header = header_of(newest(mail_house, bob, "bare"))
    assert re.search(rb"^Date: \w{3}, ", header, re.M)
    assert re.search(rb"^Message-ID: <[^>]+>", header, re.M | re.I)
    assert b"secret@" not in header


def test_tls_may_be_required(mail_house, submissions, alice):
    """RFC 8689 2: offered over TLS alone, taken there."""
    submissions.talk(r"""
        C: EHLO client.example
        S: ...
        S: 250-REQUIRETLS
        S: 250 AUTH PLAIN LOGIN
        C: AUTH PLAIN {secret}
        S: 235 2.7.0 *
        C: MAIL FROM:<{alice}> REQUIRETLS BY=600;N
        S: 250 2.1.0 *
        C: RCPT TO:<{alice}>
        S: 250 2.1.5 *
        C: DATA
        S: 354 *
        C: From: {alice}
        C: Subject: required
        C:
        C: hi
        C: .
        S: 250 2.0.0 *""", alice=alice, secret=plain(alice))
    newest(mail_house, alice, "required")


def test_an_account_may_send_elsewhere(submission, alice):
    log_in(submission, alice)
    send(submission, alice, "x@elsewhere.example", f"From: {alice}\nSubject: out\n\nhi\n")


def test_smtplib(mail_house, alice, bob):
    context = ssl._create_unverified_context()
    with smtplib.SMTP("127.0.0.1", mail_house.ports["submission"]) as client:
        client.starttls(context=context)
        client.login(alice, PASSWORD)
        assert not client.sendmail(alice, [bob], f"From: {alice}\r\nSubject: smtplib\r\n\r\nhi\r\n")
    with smtplib.SMTP_SSL("127.0.0.1", mail_house.ports["submissions"], context=context) as client:
        client.login(alice.upper(), PASSWORD)
        assert not client.sendmail(alice, [bob], f"From: {alice}\r\nSubject: smtps\r\n\r\nhi\r\n")
    newest(mail_house, bob, "smtplib")
    newest(mail_house, bob, "smtps")


def test_guessing_gets_slower_and_pauses(make_house):
    house = make_house(services=PORTS, settings={
        "throttle": {"slow-after": 2, "pause-after": 4, "pause": "1h"},
        "limits": {"bad-commands": 100}})
    account = house.new_account()
    with house.connect("submissions") as submissions:
        submissions.talk("C: EHLO c\nS: ...\nS: 250 AUTH *")
        for number in range(12):
            submissions.send(b"AUTH PLAIN " + plain(account, f"wrong{number}").encode() + b"\r\n")
            line = submissions.read_line()
            if line.startswith(b"454 4.7.0"):
                break
            assert line.startswith(b"535 5.7.8")
        assert line.startswith(b"454 4.7.0")


def test_too_many_failures_end_the_connection(make_house):
    house = make_house(services=PORTS, settings={"limits": {"bad-commands": 3}})
    with house.connect("submissions") as submissions:
        submissions.talk(r"""
            C: EHLO c
            S: ...
            S: 250 AUTH *
            C: AUTH PLAIN =
            S: 501 *
            C: AUTH PLAIN =
            S: 501 *
            C: AUTH PLAIN =
            S: 501 *
            S: 421 4.7.0 *limits.bad-commands*
            S: (closed)""")
