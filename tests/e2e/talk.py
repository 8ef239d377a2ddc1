"""Conversations written down as they go over the wire.

    imap.talk(r'''
        C: a LOGIN {account} staffetta
        S: a OK *
        C: a SELECT INBOX
        S: ...
        S: a OK [READ-WRITE] *
        C: a LOGOUT
        S: ...
        S: (closed)''')

A line of the client (C:) is sent with CRLF behind it, unless it says \\r or \\n itself: then it is
sent as it is. Escapes: \\r \\n \\t \\0 \\\\ \\xNN. A line of the server (S:) is one line without its
CRLF; `*` stands for any run of octets, `\\*` for a star (a star and a space at the beginning are
IMAP's own), `{name}` takes what stands there until the end of the conversation; where the name has
a value already, that is what must stand there, and what is sent. `S: ...` skips lines until the
next one fits. Whole lines in parentheses: `C: (tls)` shakes hands, `C: (close)` closes,
`C: (end)` closes the sending half, `C: (wait 0.2)` lets time pass; `S: (closed)` is the end of the
stream, `S: (quiet 0.2)` no octet for so long.
"""

import re
import select
import socket
import ssl
import time

TIMEOUT = 20  # seconds; generous: sanitizers and two busy cores

_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
_NAMED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}
_NAME = re.compile(rb"\{([a-z_]+)\}")


class TalkError(AssertionError):
    """The conversation went otherwise; the text shows all of it."""


def unescape(text):
    def octet(found):
        code = found.group(1)
        if code[:1] == b"x" and len(code) == 3:
            return bytes([int(code[1:], 16)])
        return _NAMED.get(code, code)

    return _ESCAPE.sub(octet, text)


def _pattern(text, values):
    """A compiled expression for one line of the server."""
    out = b""
    if text.startswith(b"* "):
        out, text = rb"\* ", text[2:]
    position = 0
    for found in re.finditer(rb"\\x[0-9a-fA-F]{2}|\\.|\*|\{[a-z_]+\}", text):
        out += re.escape(text[position : found.start()])
        position = found.end()
        token = found.group()
        if token == b"*":
            out += b"(?:.*)"
        elif token.startswith(b"{"):
            name = token[1:-1]
            if name in values:
                out += re.escape(values[name])
            else:
                out += b"(?P<" + name + b">.+?)"
        else:
            out += re.escape(unescape(token))
    return re.compile(out + re.escape(text[position:]), re.S)


def _steps(script):
    for line in script.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line[:2] not in ("C:", "S:"):
            raise ValueError(f"neither C: nor S: {line!r}")
        yield line[0], line[2:].removeprefix(" ").encode()


class Conversation:
    """One connection. `read_greeting` takes the server's first line, left in `greeting`."""

    def __init__(self, host, port, tls=None, server_name=None, read_greeting=True, source=None):
        self.tls_context = tls or client_context()
        self.server_name = server_name
        self.values = {}
        self.spoken = []
        self.pending = b""
        self.socket = socket.create_connection(
            (host, port), TIMEOUT, source_address=(source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.start_tls()
        self.greeting = self.read_line() if read_greeting else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def start_tls(self):
        if self.pending:
            raise TalkError(self._report(f"octets before the handshake: {self.pending!r}"))
        self.socket = self.tls_context.wrap_socket(self.socket, server_hostname=self.server_name)

    def send(self, octets):
        self.spoken.append(("C", octets))
        self.socket.sendall(octets)

    def read_some(self, timeout=TIMEOUT):
        """Octets, b'' at the end of the stream; socket.timeout after a while."""
        self.socket.settimeout(timeout)
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""
        finally:
            self.socket.settimeout(TIMEOUT)

    def _read_until(self, enough):
        while not enough():
            try:
                octets = self.read_some()
            except socket.timeout:
                raise TalkError(self._report("no answer")) from None
            if not octets:
                return False
            self.pending += octets
        return True

    def read_line(self):
        """One line without CRLF; None at the end of the stream."""
        if not self._read_until(lambda: b"\r\n" in self.pending):
            if self.pending:
                raise TalkError(self._report(f"the stream ends in a line: {self.pending!r}"))
            return None
        line, self.pending = self.pending.split(b"\r\n", 1)
        self.spoken.append(("S", line))
        return line

    def read_octets(self, count):
        """Exactly so many, of a literal for example."""
        if not self._read_until(lambda: len(self.pending) >= count):
            raise TalkError(self._report(f"the stream ends before {count} octets"))
        octets, self.pending = self.pending[:count], self.pending[count:]
        self.spoken.append(("S", octets))
        return octets

    def talk(self, script, **values):
        """Has the conversation; returns the values of its {names}."""
        for name, value in values.items():
            self.values[name.encode()] = value if isinstance(value, bytes) else str(value).encode()
        skipping = False
        for who, text in _steps(script):
            if who == "C":
                self._say(text)
            elif text == b"...":
                skipping = True
                continue
            else:
                self._hear(text, skipping)
            skipping = False
        return {name.decode(): value.decode(errors="replace") for name, value in self.values.items()}

    def _say(self, text):
        special = re.fullmatch(rb"\((tls|close|end|wait ([0-9.]+))\)", text)
        if not special:
            raw = re.search(rb"(?<!\\)(?:\\\\)*\\[rn]", text)
            filled = _NAME.sub(lambda name: self.values.get(name.group(1), name.group()), text)
            self.send(unescape(filled) + (b"" if raw else b"\r\n"))
        elif special.group(1) == b"tls":
            self.start_tls()
        elif special.group(1) == b"close":
            self.close()
        elif special.group(1) == b"end":
            self.socket.shutdown(socket.SHUT_WR)
        else:
            time.sleep(float(special.group(2)))

    def _hear(self, text, skipping):
        quiet = re.fullmatch(rb"\(quiet ([0-9.]+)\)", text)
        if quiet:
            self._hear_nothing(float(quiet.group(1)))
            return
        closed = text == b"(closed)"
        pattern = None if closed else _pattern(text, self.values)
        while True:
            line = self.read_line()
            if line is None and closed:
                return
            if line is None:
                raise TalkError(self._report(f"closed, but wanted: {text!r}"))
            found = pattern.fullmatch(line) if pattern else None
            if found:
                self.values.update((k.encode(), v) for k, v in found.groupdict().items())
                return
            if not skipping:
                raise TalkError(self._report(f"wanted: {text!r}"))

    def _hear_nothing(self, seconds):
        has_octets = bool(self.pending) or bool(
            select.select([self.socket], [], [], seconds)[0]
        )
        if has_octets:
            raise TalkError(self._report(f"wanted silence, heard {self.read_line()!r}"))

    def _report(self, what):
        lines = [f"{who}: {octets[:300]!r}" for who, octets in self.spoken[-40:]]
        return "\n".join(["", *lines, f"==> {what}"])


def client_context():
    """Takes any certificate: tests that look at it make a context of their own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
