"""A receiving SMTP or LMTP server that behaves as badly as a test wants. Every step can be answered by
something else: `answers` maps a step (BANNER, EHLO, LHLO, HELO, STARTTLS, AUTH, MAIL, RCPT, DATA, DOT, RSET, QUIT) to

    b"450 4.2.0 later"          that reply, each time
    [b"450 later", None]        by turns, then the last for ever; None: as usual
    a function of (connection, line)  what it returns: one of the others, or raises Close

CLOSE, STALL and b"raw octets" with RAW are instructions instead of replies. What arrived whole is in `messages`.
"""

import socket
import ssl
import threading
import time

from house import free_ports

CLOSE = object()  # close the connection, without an answer
STALL = object()  # say nothing more
PLAIN = ("PIPELINING", "8BITMIME", "SIZE 10000000", "ENHANCEDSTATUSCODES")


class Raw(bytes):
    """Octets that are no reply of their own: sent as they are."""


class Close(Exception):
    pass


class Message:
    def __init__(self, mail, rcpts, data, connection):
        self.mail, self.rcpts, self.data = mail, rcpts, data
        self.connection, self.tls = connection.number, connection.tls
        self.hello, self.user = connection.hello, connection.user
        self.peer = connection.peer
        self.when = time.monotonic()


class Connection(threading.Thread):
    def __init__(self, sink, sock, peer, number):
        super().__init__(daemon=True)
        self.sink, self.sock, self.peer, self.number = sink, sock, peer, number
        self.input = b""
        self.tls = self.hello = self.user = None
        self.lines = []  # commands as they came
        self.mail, self.rcpts = None, []

    def run(self):
        try:
            if self.sink.implicit_tls:
                self.secure()
            self.step("BANNER", b"", b"220 sink.example ESMTP")
            while (line := self.line()) is not None:
                self.lines.append(line)
                self.command(line)
        except (Close, OSError):
            pass
        finally:
            self.sock.close()

    def line(self):
        while b"\n" not in self.input:
            octets = self.sock.recv(65536)
            if not octets:
                return None
            self.input += octets
        line, self.input = self.input.split(b"\n", 1)
        if not line.endswith(b"\r"):
            raise Close  # no client of ours ends a line otherwise, save with a TLS handshake in it
        return line[:-1]

    def answer_for(self, step, line):
        answer = self.sink.answers.get(step)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(self, line) if callable(answer) else answer

    def step(self, step, line, usual):
        """Sends the scripted answer, or the usual one; true if it is a yes."""
        answer = self.answer_for(step, line)
        self.give(answer, usual)
        return self.is_yes(answer)

    @staticmethod
    def is_yes(answer):
        return answer is None or (isinstance(answer, bytes) and not isinstance(answer, Raw)
                                  and answer[:1] in b"23")

    def give(self, answer, usual):
        if answer is CLOSE:
            raise Close
        if answer is STALL:
            time.sleep(self.sink.stall_seconds)
            raise Close
        if isinstance(answer, Raw):
            self.sock.sendall(answer)
            return
        self.sock.sendall((answer if answer is not None else usual) + b"\r\n")

    def secure(self):
        self.sock = self.sink.context.wrap_socket(self.sock, server_side=True)
        self.tls = self.sock.version()

    def command(self, line):
        verb = line.split(b" ")[0].upper().decode()
        getattr(self, "on_" + verb.lower(), self.on_unknown)(line)

    def on_unknown(self, line):
        self.sock.sendall(b"500 5.5.1 what?\r\n")

    def on_ehlo(self, line):
        self.hello = line.split(b" ", 1)[1].decode()
        offers = [word for word in self.sink.extensions if word != "STARTTLS" or not self.tls]
        lines = ["sink.example at your service", *offers]
        reply = "\r\n".join(f"250-{text}" for text in lines[:-1]) + "\r\n" if lines[1:] else ""
        self.step(line[:4].decode().upper(), line, (reply + f"250 {lines[-1]}").lstrip().encode())

    on_lhlo = on_ehlo

    def on_helo(self, line):
        self.hello = line.split(b" ", 1)[1].decode()
        self.step("HELO", line, b"250 sink.example")

    def on_starttls(self, line):
        if self.step("STARTTLS", line, b"220 2.0.0 go ahead"):
            self.secure()

    def on_auth(self, line):
        self.user = line.decode()
        if self.sink.scram and line.startswith(b"AUTH SCRAM-"):
            self.sink.scram.serve(self, line)
            return
        if line.upper() == b"AUTH LOGIN":
            for challenge in (b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6"):
                self.sock.sendall(challenge + b"\r\n")
                self.user += " " + self.line().decode()
        self.step("AUTH", line, b"235 2.7.0 welcome")

    def on_mail(self, line):
        if self.step("MAIL", line, b"250 2.1.0 fine"):
            self.mail, self.rcpts = line.decode(), []

    def on_rcpt(self, line):
        if self.mail is None:
            self.sock.sendall(b"503 5.5.1 MAIL first\r\n")
        elif self.step("RCPT", line, b"250 2.1.5 fine"):
            self.rcpts.append(line.decode())

    def on_data(self, line):
        if not self.rcpts:
            self.step("DATA", line, b"554 5.5.1 no valid recipients")
            return
        if not self.step("DATA", line, b"354 go on"):
            return
        data = self.data()
        answers = [self.answer_for("DOT", rcpt.encode())
                   for rcpt in (self.rcpts if self.sink.lmtp else ["all"])]
        taken = [self.is_yes(answer) for answer in answers]
        if any(taken):  # it is there before anybody hears of it
            rcpts = [rcpt for rcpt, yes in zip(self.rcpts, taken) if yes] if self.sink.lmtp \
                else self.rcpts
            with self.sink.changed:
                self.sink.messages.append(Message(self.mail, rcpts, data, self))
                self.sink.changed.notify_all()
        for answer in answers:
            self.give(answer, b"250 2.0.0 taken as 4711")
        self.mail, self.rcpts = None, []

    def data(self):
        """Up to the dot, which is found without looking at anything twice: a body may have 30 MB."""
        held = bytearray(b"\r\n" + self.input)
        seen = 0
        while (end := held.find(b"\r\n.\r\n", max(seen - 4, 0))) < 0:
            seen = len(held)
            octets = self.sock.recv(1 << 20)
            if not octets:
                raise Close
            held += octets
        self.input = bytes(held[end + 5 :])
        data = bytes(held[:end])
        return (data.replace(b"\r\n..", b"\r\n.") + b"\r\n")[2:]

    def on_rset(self, line):
        self.mail, self.rcpts = None, []
        self.step("RSET", line, b"250 2.0.0 forgotten")

    def on_noop(self, line):
        self.sock.sendall(b"250 2.0.0 nothing\r\n")

    def on_quit(self, line):
        self.step("QUIT", line, b"221 2.0.0 bye")
        raise Close


class Sink:
    def __init__(self, extensions=PLAIN, answers=None, certificate=None, lmtp=False,
                 implicit_tls=False, address="127.0.0.1", port=0, stall_seconds=60, scram=None,
                 level=None):
        """certificate: (chain file, key file); level: OpenSSL's, for short keys; scram: who answers AUTH SCRAM-..."""
        self.scram = scram
        self.extensions, self.answers, self.lmtp = list(extensions), dict(answers or {}), lmtp
        self.implicit_tls, self.stall_seconds = implicit_tls, stall_seconds
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if level is not None:
                self.context.set_ciphers(f"DEFAULT:@SECLEVEL={level}")
            self.context.load_cert_chain(*certificate)
            self.chain = certificate[0]
        self.messages, self.connections = [], []
        self.changed = threading.Condition()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # Not one of those that the kernel gives to clients: another address may want it too.
        self.port = port or free_ports(1)[0]
        self.listener = socket.create_server((address, self.port), family=family, backlog=256)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, address = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, address[0], len(self.connections) + 1)
            self.connections.append(connection)
            connection.start()

    def wait(self, count, seconds=20):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.messages) >= count, seconds), \
                f"{len(self.messages)} messages instead of {count}"
        return self.messages

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # the thread in accept() would keep it listening
        self.listener.close()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
