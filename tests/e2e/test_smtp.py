"""SMTP on port 25, as from outside: conversations, and what lies in the Maildir afterwards."""

import base64
import re

import pytest

PORTS = ("smtp", "submission", "submissions")


@pytest.fixture(scope="module")
def mail_house(make_module_house):
    return make_module_house(services=PORTS, settings={"limits": {"bad-commands": 1000}})


@pytest.fixture
def alice(mail_house):
    return mail_house.new_account()


@pytest.fixture
def smtp(mail_house):
    with mail_house.connect("smtp") as conversation:
        yield conversation


def hello(conversation):
    conversation.talk(r"""
        C: EHLO client.example
        S: ...
        S: 250 *""")


def begin_data(conversation, recipient):
    hello(conversation)
    conversation.talk(r"""
        C: MAIL FROM:<sender@elsewhere.example>
        S: 250 2.1.0 *
        C: RCPT TO:<{recipient}>
        S: 250 2.1.5 *
        C: DATA
        S: 354 *""", recipient=recipient)


def delivered(house, account, count=1):
    """The octets of the newest of `count` messages."""
    files = house.wait_for_messages(account, count)
    return max(files, key=lambda file: file.stat().st_mtime_ns).read_bytes()


def test_a_message_arrives(mail_house, alice, smtp):
    assert re.fullmatch(rb"220 mail\.test\.example ESMTP.*", smtp.greeting)
    values = smtp.talk(r"""
        C: EHLO client.example
        S: 250-mail.test.example
        S: 250-PIPELINING
        S: ...
        S: 250-ENHANCEDSTATUSCODES
        S: ...
        S: 250-LIMITS MAILMAX=* RCPTMAX=*
        S: 250 STARTTLS
        C: MAIL FROM:<sender@elsewhere.example> BODY=8BITMIME SIZE=100
        S: 250 2.1.0 *
        C: RCPT TO:<{recipient}>
        S: 250 2.1.5 *
        C: DATA
        S: 354 *
        C: From: sender@elsewhere.example
        C: Subject: hello
        C:
        C: ..dots and umlauts: \xc3\xbc
        C: .
        S: 250 2.0.0 Ok: queued as {id}
        C: QUIT
        S: 221 2.0.0 *
        S: (closed)""", recipient=alice)
    text = delivered(mail_house, alice)
    assert text.startswith(b"Return-Path: <sender@elsewhere.example>\r\n")
    assert b"Delivered-To: " + alice.encode() in text
    received = re.search(rb"Received: (.*?)\r\n(?![ \t])", text, re.S).group(1)
    assert b"client.example" in received and b"127.0.0.1" in received
    assert values["id"].encode() in received and alice.encode() in received
    assert text.endswith(b"Subject: hello\r\n\r\n.dots and umlauts: \xc3\xbc\r\n")
    assert mail_house.wait_for_event("message", queue_id=values["id"])


@pytest.mark.parametrize("command, reply", [
    ("MAIL FROM:<a@b> SIZE=99999999999", "552 5.3.4 *limits.message-size*"),
    ("MAIL FROM:<a@b> BODY=BINARY", "501 5.5.4 *"),
    ("MAIL FROM:<a@b> REQUIRETLS", "555 5.5.4 *"),
    ("MAIL FROM:a@b", "501 5.1.7 *"),
    ("MAIL FROM:<a@b", "501 5.1.7 *"),
    ("MAIL FROM: <a@b>", "250 2.1.0 *"),
    (r"MAIL FROM:<\xc3\xbc@b>", "553 5.6.7 *"),
    (r"MAIL FROM:<\xc3\xbc@b> SMTPUTF8", "250 2.1.0 *"),
    ("MAIL FROM:<>", "250 2.1.0 *"),
    ("RCPT TO:<a@b>", "503 5.5.1 *"),
    ("DATA", "503 5.5.1 *"),
    ("RSET", "250 2.0.0 *"),
    ("RSET x", "501 5.5.4 *"),
    ("VRFY alice", "252 2.0.0 *"),
    ("EXPN list", "502 5.5.1 *"),
    ("NOOP x y z", "250 2.0.0 *"),
    ("TURN", "502 5.5.1 *"),
    ("FROB", "500 5.5.1 *"),
    (r"NOOP a\rb", "500 5.5.2 *"),
    ("AUTH PLAIN", "502 5.5.1 *"),
    ("HELO", "501 *"),
    ("BDAT", "501 5.5.4 *"),
])
def test_replies(smtp, command, reply):
    hello(smtp)
    smtp.talk(f"C: {command}\\r\\n\nS: {reply}")


@pytest.mark.parametrize("rest", ["", "NOOP\n", "MAIL FROM:<a@b>\n"])
def test_an_lf_alone_is_refused_at_once(smtp, rest):
    """RFC 5321 2.3.8: it ends no line, and what is behind it up to CRLF is no command; who ends lines so does not wait in vain."""
    hello(smtp)
    smtp.send(b"NOOP\n" + rest.encode())
    smtp.talk("S: 500 5.5.2 *")
    smtp.send(b"MAIL FROM:<a@b>\r\nNOOP\r\nRCPT TO:<a@b>\r\n")
    smtp.talk("""
        S: 250 2.0.0 *
        S: 503 5.5.1 *""")


def test_recipients_are_checked(mail_house, alice, smtp):
    mail_house.command("alias", "add", f"friends@test.example", alice)
    hello(smtp)
    smtp.talk(r"""
        C: MAIL FROM:<>
        S: 250 2.1.0 *
        C: DATA
        S: 554 5.5.1 *
        C: RCPT TO:<nobody-at-all@test.example>
        S: 550 5.1.1 *
        C: RCPT TO:<x@elsewhere.example>
        S: 550 5.7.1 *
        C: RCPT TO:<{recipient}>
        S: 250 2.1.5 *
        C: RCPT TO:<friends@test.example>
        S: 250 2.1.5 *
        C: DATA
        S: 354 *
        C: From: a@b.example
        C:
        C: once
        C: .
        S: 250 2.0.0 *
        C: QUIT
        S: 221 *""", recipient=alice)
    assert b"Return-Path: <>" in delivered(mail_house, alice)
    assert len(mail_house.messages(alice)) == 1, "duplicates collapse"


def test_pipelining_in_one_packet(mail_house, alice, smtp):
    smtp.send(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<" + alice.encode()
              + b">\r\nRCPT TO:<no@test.example>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\nQUIT\r\n")
    smtp.talk(r"""
        S: ...
        S: 250 STARTTLS
        S: 250 2.1.0 *
        S: 250 2.1.5 *
        S: 550 5.1.1 *
        S: 354 *
        S: 250 2.0.0 *
        S: 221 *
        S: (closed)""")
    assert delivered(mail_house, alice).endswith(b"\r\n\r\nhi\r\n")


def test_octet_by_octet(mail_house, alice, smtp):
    begin_data(smtp, alice)
    for octet in b"Subject: slow\r\n\r\n..\r\n.a\r\n.\r\n":
        smtp.send(bytes([octet]))
    smtp.talk("S: 250 2.0.0 *")
    assert delivered(mail_house, alice).endswith(b"Subject: slow\r\n\r\n.\r\na\r\n")


# What one server or another once took for the end of a message (SMTP smuggling, 2023).
@pytest.mark.parametrize("end", [
    rb"\n.\n", rb"\n.\r\n", rb"\r\n.\n", rb"\r.\r", rb"\r.\r\n", rb"\r\n.\r", rb"\r\n.\r\r\n",
    rb"\r\n\x00.\r\n", rb"\n\n.\r\n", rb"\r\n.\x00\r\n",
])
def test_nothing_but_crlf_dot_crlf_ends_data(mail_house, alice, smtp, end):
    octets = end.decode("unicode_escape").encode("latin-1")
    begin_data(smtp, alice)
    smtp.send(b"Subject: x\r\n\r\nhello" + octets + b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<"
              + alice.encode() + b">\r\nDATA\r\nsmuggled\r\n.\r\nNOOP\r\n")
    smtp.talk(r"""
        S: 550 5.6.11 *
        S: 250 2.0.0 *
        S: (quiet 0.1)""")
    assert mail_house.messages(alice) == []


def test_chunks(mail_house, alice, smtp):
    hello(smtp)
    smtp.talk(r"""
        C: MAIL FROM:<a@b.example>
        S: 250 *
        C: RCPT TO:<{recipient}>
        S: 250 *
        C: BDAT 16\r\nSubject: x\r\n\r\n.\r
        S: 250 2.0.0 *
        C: BDAT 9 LAST\r\n\n.\r\nhello
        S: 250 2.0.0 Ok: queued as *
        C: BDAT 20 LAST\r\n12345678901234567890
        S: 503 5.5.1 *
        C: NOOP
        S: 250 *""", recipient=alice)
    assert delivered(mail_house, alice).endswith(b"Subject: x\r\n\r\n.\r\n.\r\nhello\r\n")


BINARY = (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
          b"Content-Transfer-Encoding: %s\r\n\r\n%s\r\n--b--\r\n")


def begin_binary(smtp, recipient):
    hello(smtp)
    smtp.talk(r"""
        C: MAIL FROM:<a@b.example> BODY=BINARYMIME
        S: 250 *
        C: RCPT TO:<{recipient}>
        S: 250 *""", recipient=recipient)


@pytest.mark.parametrize("octets, cuts", [
    (b"\n\0\r.\r\n", (7, 70)), (bytes(range(256)) * 2000, (70000,))], ids=["small", "spooled"])
def test_binary(mail_house, alice, smtp, octets, cuts):
    """RFC 3030 3: octets of any kind in BDAT; stored as base64, here or for the next server."""
    begin_binary(smtp, alice)
    message = BINARY % (b"binary", octets)
    for size in cuts:
        smtp.send(b"BDAT %d\r\n%s" % (size, message[:size]))
        assert smtp.read_line().startswith(b"250 2.0.0 Go on")
        message = message[size:]
    smtp.send(b"BDAT %d LAST\r\n%s" % (len(message), message))
    assert smtp.read_line().startswith(b"250 2.0.0 Ok: queued as ")
    stored = delivered(mail_house, alice)
    encoded = re.search(rb"Content-Transfer-Encoding: base64\r\n\r\n(.*?)\r\n--b--\r\n$", stored, re.S)
    assert base64.b64decode(encoded.group(1)) == octets
    assert max(map(len, encoded.group(1).split(b"\r\n"))) <= 76


@pytest.mark.parametrize("encoding, octets, reply", [
    (b"8bit", b"\0", b"550 5.6.11 "), (b"7bit", b"a\nb", b"550 5.6.11 "),
    (b"base64", b"a" * 2_000_000, b"554 5.6.0 ")], ids=["nul", "line end", "line"])
def test_binary_that_cannot_be_kept(mail_house, alice, smtp, encoding, octets, reply):
    begin_binary(smtp, alice)
    message = BINARY % (encoding, octets)
    smtp.send(b"BDAT %d LAST\r\n%sNOOP\r\n" % (len(message), message))
    assert smtp.read_line().startswith(reply)
    assert smtp.read_line().startswith(b"250 ")
    assert mail_house.messages(alice) == []


def test_binary_needs_chunks(alice, smtp):
    """RFC 3030 3: not with DATA."""
    begin_binary(smtp, alice)
    smtp.talk(r"""
        C: DATA
        S: 503 5.5.1 *
        C: BDAT 0 LAST
        S: 250 2.0.0 Ok: queued as *""")


def test_chunks_obey_the_rules_of_lines(smtp, alice):
    hello(smtp)
    smtp.talk(r"""
        C: MAIL FROM:<a@b.example>
        S: 250 *
        C: RCPT TO:<{recipient}>
        S: 250 *
        C: BDAT 7\r\nhel\nlo!BDAT 5 LAST\r\nxxxxx
        S: 550 5.6.11 *
        S: 503 5.5.1 *
        C: NOOP
        S: 250 *""", recipient=alice)


@pytest.mark.parametrize("octets", [65000, 66000, 1 << 20, 20 << 20])
def test_sizes(mail_house, alice, octets):
    body = (b"0123456789" * 7 + b"\r\n") * (octets // 72)
    mail_house.send(alice, b"From: a@b.example\r\nSubject: large\r\n\r\n" + body)
    assert delivered(mail_house, alice).endswith(b"\r\n\r\n" + body)


def test_the_same_connection_takes_many_messages(mail_house, alice, smtp):
    hello(smtp)
    for _ in range(20):
        smtp.talk(r"""
            C: MAIL FROM:<a@b.example>
            S: 250 *
            C: RCPT TO:<{recipient}>
            S: 250 *
            C: DATA
            S: 354 *
            C: Subject: x
            C:
            C: .
            S: 250 2.0.0 *""", recipient=alice)
    mail_house.wait_for_messages(alice, 20)


def test_rset_and_ehlo_end_a_transaction(smtp, alice):
    hello(smtp)
    for command in ("RSET", "HELO again"):
        smtp.talk(f"""
            C: MAIL FROM:<a@b.example>
            S: 250 *
            C: RCPT TO:<{alice}>
            S: 250 *
            C: {command}
            S: 250 *
            C: DATA
            S: 503 5.5.1 *""")
    smtp.talk(r"""
        C: MAIL FROM:<a@b.example>
        S: 250 *""")


def test_a_large_message_from_a_client_that_leaves(mail_house, alice):
    with mail_house.connect("smtp") as smtp:
        begin_data(smtp, alice)
        smtp.send(b"Subject: x\r\n\r\n" + b"half a message\r\n" * 20000)
    mail_house.send(alice, "Subject: whole\n\nwhole\n")
    assert b"Subject: whole" in delivered(mail_house, alice)


def test_a_browser_is_sent_away(smtp):
    smtp.talk(r"""
        C: POST / HTTP/1.1
        S: 421 4.7.0 *
        S: (closed)""")
