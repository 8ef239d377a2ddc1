"""smtpd-relay and a server without 8BITMIME (RFC 6152 3): no octet above 127 ever reaches it, no line is too long,
and what Python's email package reads there is what it reads in the message that was sent."""

import email
import email.errors
import email.header
import email.utils
import re

import pytest

from house import CORPUS
from sink import Raw, Sink
from test_relay_process import DONE, EIGHT_BIT, FAST, PERMANENT, TEMPORARY, UTF8, Relay, pytestmark  # noqa: F401

MIXED = (b"Subject: =?utf-8?q?x?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n"
         b"Content-Transfer-Encoding: 8bit\r\n\r\npreamble\r\n--b1\r\n"
         b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
         + "Grüße, =20 und Leerzeichen \r\n".encode() + b"x" * 200 + "ü\t\r\n\r\n".encode() +
         b"--b1\r\nContent-Type: application/octet-stream\r\n\r\n" + "ÄÖÜ".encode() * 100 +
         b"\r\n--b1\r\nContent-Type: text/plain\r\n\r\nplain = ascii\r\n"
         b"--b1\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
         b"Subject: inner\r\n\r\n" + "inner Text: ß\r\n".encode() + b"--b1--\r\n")


class Line:
    """One relay and one such server for all tests here."""

    def __init__(self, directory):
        self.sink = Sink(["PIPELINING", "SMTPUTF8", "SIZE"])
        route = f'\nroute sink.example {{ host = "127.0.0.1" port = {self.sink.port} }}\n'
        self.relay = Relay(directory, FAST + route)

    def send(self, body, **how):
        """What arrives of it."""
        before = len(self.sink.messages)
        assert self.relay.one(body=body, **how).statuses == [DONE]
        return self.sink.wait(before + 1)[-1].data


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    line = Line(tmp_path_factory.mktemp("relay"))
    yield line
    line.relay.role.kill()


# ---- what a reader gets ----

TEXT_FIELDS = ("subject", "comments", "content-description", "x-text")
ADDRESS_FIELDS = ("from", "to", "cc", "reply-to", "sender")


def decoded(text):
    """The octets of a field with its encoded words undone, white space as one space."""
    octets = b""
    for piece, charset in email.header.decode_header(text):
        piece = piece.encode("latin-1") if isinstance(piece, str) else piece
        if charset not in (None, "utf-8", "unknown-8bit"):
            piece = piece.decode(charset, "replace").encode()
        octets += piece
    return re.sub(rb"\s+", b" ", octets).strip()


def field(part, name):
    value = re.sub(r"\r?\n", "", part.get(name, ""))
    if name in TEXT_FIELDS:
        return decoded(value)
    return [(decoded(who), address) for who, address in email.utils.getaddresses([value])]


def read(octets):
    """All that a reader sees: types, names, texts, addresses and decoded bodies. As latin-1, so that an octet above 127 is
    one character, which the email package then gives back as that octet (but for 85 and A0, white space to it)."""
    seen = []
    for part in email.message_from_string(octets.decode("latin-1")).walk():
        fields = [field(part, name) for name in TEXT_FIELDS + ADDRESS_FIELDS]
        name = re.sub(r"\s+", " ", part.get_filename(""))
        body = None if part.is_multipart() else part.get_payload(decode=True)
        seen.append((part.get_content_type(), name.encode("utf-8" if octets.isascii() else "latin-1"), fields, body))
    return seen


# A line of a header that is no field, which begins the body for Python, is stepped over here (common/mime/README.md). A
# multipart without parts is all text around them, and a body for Python; one without a boundary is text/plain (RFC 2045 5.2).
# What stands in a message/external-body cannot be
# encoded (RFC 2046 5.2.3).
OTHER_READINGS = (email.errors.MissingHeaderBodySeparatorDefect, email.errors.StartBoundaryNotFoundDefect,
                  email.errors.NoBoundaryInMultipartDefect)


def can_be_compared(octets):
    return not any(part.get_content_type() == "message/external-body"
                   or any(isinstance(defect, OTHER_READINGS) for defect in part.defects)
                   for part in email.message_from_bytes(octets).walk())


def check(line, message, **how):
    data = line.send(message, **how)
    message += b"" if message.endswith(b"\r\n") else b"\r\n"
    if message.isascii():
        assert data == message
    else:
        assert data.isascii() and max(map(len, data.split(b"\r\n"))) <= 998
        if can_be_compared(message):
            for got, meant in zip(read(data), read(message), strict=True):
                assert got == meant
    return data


# ---- messages ----


@pytest.mark.parametrize("in_file", [False, True])
def test_mixed(line, in_file):
    data = check(line, MIXED, flags=EIGHT_BIT, in_file=in_file)
    assert max(map(len, data.split(b"\r\n"))) <= 76
    assert data.count(b"plain = ascii") == 1 and b"8bit" not in data.replace(b"unknown-8bit", b"")
    inner = email.message_from_bytes(data).get_payload()[3].get_payload()[0]
    assert inner["MIME-Version"] == "1.0" and inner["Content-Type"] == "text/plain; charset=unknown-8bit"


def test_a_mere_text(line):
    body = "Subject: s\r\n\r\nGrüße \r\n.\r\n".encode() + b"From here\r\n"
    message = email.message_from_bytes(line.send(body, prefix=b"Received: r\r\n"))
    assert message["MIME-Version"] == "1.0" and message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True) == body.split(b"\r\n\r\n", 1)[1]
    assert list(message) == ["Received", "Subject", "Content-Transfer-Encoding", "MIME-Version", "Content-Type"]


@pytest.mark.parametrize("kind", ["text/plain; charset=utf-8", "application/x"])
def test_large(line, kind):
    text = "Zeile mit ä und Leerzeichen am Ende \r\n".encode() * 100000
    head = f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    data = line.send(head.encode() + text, in_file=True)
    assert data.isascii() and email.message_from_bytes(data).get_payload(decode=True) == text


@pytest.mark.parametrize("body", [b"Content-Transfer-Encoding: 8bit\r\n\r\nall = ascii \r\n",
                                  b"X-Long: " + b"x" * 2000 + b"\r\n\r\n" + b"y" * 2000 + b"\r\n"])
def test_what_is_ascii_is_left_alone(line, body):
    assert line.send(body, flags=EIGHT_BIT, in_file=True) == body


def test_header_fields(line):
    """RFC 2047 5, RFC 2231 4: in the message, in its parts, in a message inside; no MIME to begin with."""
    head = ("From: Jörg Müller <j@x.example>\r\nTo: \"Müller, Jörg\" <a@x.example>, b@x.example (Ärger)\r\n"
            "Subject: " + "Grüße aus Köln, " * 20 + "日本" * 40 + "\r\nX-Text: =?utf-8?q?a?= ü =?utf-8?q?b?=\r\n")
    body = ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Description: Größe\r\n"
            "Content-Disposition: attachment; filename=\"Größe der Straße, und noch viel mehr davon, ja, ja.txt\"\r\n\r\n"
            "a\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + head + "\r\nü\r\n--b--\r\n")
    data = check(line, (head + body).encode())
    assert data.count(b"MIME-Version") == 2
    assert max(map(len, data.split(b"\r\n"))) <= 76


def test_around_the_parts(line):
    """RFC 2046 5.1.1: a preamble, an epilogue, and a boundary that is not ASCII."""
    message = ("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"gü\"\r\n\r\nvor ü\r\n--gü\r\n\r\nä\r\n"
               "--gü\r\nContent-Type: multipart/mixed; boundary=\"gö\"\r\n\r\n--gö\r\n\r\nö\r\n--gö--\r\nü\r\n--gü--\r\nü\r\n")
    data = check(line, message.encode())
    assert email.message_from_bytes(data).preamble == "vor =C3=BC"


@pytest.mark.parametrize("encoding, body", [("quoted-printable", "=C3=BC und ü =\r\n weiter\r\n"),
                                            ("base64", "w7zD\r\nüvA==\r\n"), ("7bit", "ü\r\n"), ("x-none", "ü\r\n")])
def test_bodies_that_claim_something_else(line, encoding, body):
    head = f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    check(line, (head + body).encode())


def test_no_size_is_told_that_is_not_so(line):
    """RFC 1870 3: what is encoded becomes longer, how much is known when it was."""
    line.send("Subject: ü\r\n\r\n".encode())
    line.send(b"Subject: u\r\n\r\n")
    assert [message.mail.partition(" ")[2] for message in line.sink.messages[-2:]] == ["FROM:<a@b.example>",
                                                                                      "FROM:<a@b.example> SIZE=14"]


def test_a_prefix_that_is_not_ascii(line):
    data = line.send(b"Subject: s\r\n\r\na\r\n", prefix="Received: from ü\r\n".encode())
    assert data == b"Received: from =C3=BC\r\nSubject: s\r\n\r\na\r\n"


# ---- long ones, which are looked through in steps ----

LONG = b"a line of some length, that is not to be encoded as it is\r\n" * 60000


def test_long_ones_one_after_another(tmp_path):
    """On one connection, ahead of the answers to those before; one that cannot be encoded does not stop the others."""
    head, end = b"Subject: s\r\n\r\n", "ü\r\n".encode()
    bodies = [head + LONG + end, head + LONG, b"Content-Type: message/partial; id=a; number=1\r\n\r\n" + LONG + end,
              head + b"short\r\n", head + LONG + end, head + end]
    with Sink(["PIPELINING"]) as sink:
        relay = Relay(tmp_path, FAST + f'\nroute sink.example {{ host = "127.0.0.1" port = {sink.port} connections = 1 }}\n')
        for body in bodies:
            relay.send(body=body, in_file=len(body) > 65536)
        results = [relay.result() for _ in bodies]
        assert sorted(status for result in results for status in result.statuses) == [DONE] * 5 + [PERMANENT]
        arrived = [email.message_from_bytes(message.data).get_payload(decode=True) for message in sink.wait(5)]
        relay.role.kill()
    assert len(sink.connections) == 1 and all(message.data.isascii() for message in sink.messages)
    assert sorted(arrived) == sorted(body.split(b"\r\n\r\n", 1)[1] for body in bodies if b"partial" not in body)


def test_a_server_that_goes_meanwhile(tmp_path):
    with Sink(answers={"EHLO": Raw(b"250 PIPELINING\r\n421 4.3.2 changed my mind\r\n")}) as sink:
        relay = Relay(tmp_path, FAST + f'\nroute sink.example {{ host = "127.0.0.1" port = {sink.port} }}\n')
        assert relay.one(body=LONG + "ü\r\n".encode(), in_file=True).statuses == [TEMPORARY]
        relay.role.kill()
    assert not sink.messages


# ---- what cannot be ----


def test_what_cannot_be_encoded_is_refused(line):
    """RFC 3463 3.7, 5.6.3: a piece of a message (RFC 2046 5.2.2.1); the connection goes on."""
    body = "Content-Type: message/partial; id=a; number=1\r\n\r\nü\r\n".encode()
    before = len(line.sink.messages)
    result = line.relay.one(body=body, recipients=["x@sink.example", "y@sink.example"])
    assert result.statuses == [PERMANENT] * 2
    assert result.outcomes[0][2].startswith("5.6.3 this server takes no octets above 127 (8BITMIME)")
    assert "message/partial" in result.outcomes[0][2]
    line.send(b"Subject: next\r\n\r\n")
    assert len(line.sink.messages) == before + 1


def test_smtputf8_counts_for_nothing_without_8bitmime(line):
    """RFC 6531 3.1."""
    assert line.relay.one(body="Subject: ü\r\n\r\n".encode(), flags=UTF8).statuses == [PERMANENT]


def test_another_transaction_for_the_rest_of_the_recipients(tmp_path):
    """RFC 5321 4.5.3.1.10: the message is encoded once more from its beginning."""
    with Sink(["PIPELINING"], answers={"RCPT": [None, b"452 4.5.3 too many", None]}) as sink:
        relay = Relay(tmp_path, FAST + f'\nroute sink.example {{ host = "127.0.0.1" port = {sink.port} }}\n')
        try:
            result = relay.one(body=MIXED, recipients=["x@sink.example", "y@sink.example"])
            assert result.statuses == [DONE, DONE]
        finally:
            relay.role.kill()
        first, second = sink.wait(2)
        assert first.data == second.data and first.data.isascii() and first.rcpts != second.rcpts


# ---- other people's messages ----


def spoil(text):
    """Octets above 127 into what people have written: names, subjects, lines of text, names of files."""
    def line_of(match):
        line = match[0]
        if re.match(rb"(?i)(subject|comments|content-description):", line) and b"=?" not in line:
            name, value = line.split(b":", 1)
            return name + b":" + value.replace(b"e", "é".encode())
        if re.match(rb"(?i)(from|to|cc):", line) and b"=?" not in line:
            return re.sub(rb"(?<=[ \"])[A-Za-z]+(?=[\" ][^@]*<)", lambda word: word[0].replace(b"e", "é".encode()), line)
        if b" " in line and not re.match(rb"[ \t]|--|[^ ]*:", line):
            return line.replace(b"a", "ä".encode())
        return line

    text = re.sub(rb"(?m)^.*$", line_of, text)
    return re.sub(rb'(?<=[ \t;]name=")(?=[^"=]*")', "ü ".encode(), text)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus (CORPUS)")
def test_the_corpus(line):
    files = sorted(CORPUS.glob("*.eml"))
    assert files
    for file in files:
        text = file.read_bytes().replace(b"\r", b"")
        for message in (text, spoil(text)):
            try:
                check(line, message.replace(b"\n", b"\r\n"))
            except AssertionError as error:
                raise AssertionError(file.name) from error
