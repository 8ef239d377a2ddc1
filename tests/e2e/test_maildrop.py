"""pop3d-maildrop alone, with this process as master and login role: everything of a POP3 session after
the login, on a Maildir whose files the test makes itself."""

import contextlib
import fcntl
import os
import pathlib
import re
import socket
import struct
import time

import pytest

from house import BUILD
from one_role import MASTER_CHANGED, MASTER_IDLE, ROLE_SESSION, ROLE_STOP, Role, session_body

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "pop3d-maildrop").exists(),
                                reason="pop3d-maildrop is not built")

HANDOFF_MAGIC, HANDOFF_DESCRIPTOR = 0x68616E64, 1
PATH = "test.example/u1/Maildir"
HEADER = b"From: a@b.example\r\nSubject: s\r\n\r\n"


class Maildrop:
    """A session that has logged in. early: what the client had sent behind its password."""

    def __init__(self, place, config="", early=b"", over_login=False, greet=True, wrap=(),
                 environment=None):
        self.maildir = pathlib.Path(place) / PATH
        self.role = Role("pop3d-maildrop", place, config, wrap=wrap, environment=environment)
        self.role.home(1, "u1@test.example", PATH)
        self.role.go()
        login, its_login = socket.socketpair()
        self.role.master.send(ROLE_SESSION, session_body(77),
                              fds=[its_login.fileno()])
        its_login.close()
        if over_login:  # TLS: the login role carries the octets
            self.client = login
            login.sendall(struct.pack("=IIIII", HANDOFF_MAGIC, 0, 0, len(early), 0) + early)
        else:
            self.client, its_client = socket.socketpair()
            socket.send_fds(login, [struct.pack("=IIIII", HANDOFF_MAGIC, HANDOFF_DESCRIPTOR, 0,
                                                len(early), 0) + early], [its_client.fileno()])
            its_client.close()
            login.close()
        self.client.settimeout(20)
        self.received = b""
        self.greeting = self.line() if greet else None

    def more(self):
        octets = self.client.recv(1 << 20)
        assert octets, f"closed after {self.received[-200:]!r}"
        self.received += octets

    def line(self):
        while b"\r\n" not in self.received:
            self.more()
        line, self.received = self.received.split(b"\r\n", 1)
        return line.decode()

    def lines(self):
        """The raw octets up to the line with a single dot, with dots still doubled."""
        while not (self.received.startswith(b".\r\n") or b"\r\n.\r\n" in self.received):
            self.more()
        if self.received.startswith(b".\r\n"):
            self.received = self.received[3:]
            return b""
        body, self.received = self.received.split(b"\r\n.\r\n", 1)
        return body + b"\r\n"

    def send(self, text):
        self.client.sendall(text.encode() if isinstance(text, str) else text)

    def ask(self, command, expected="+OK"):
        self.send(command + "\r\n")
        reply = self.line()
        assert reply.startswith(expected), f"{command}: {reply}"
        return reply

    def ask_lines(self, command):
        self.ask(command)
        return self.lines().decode().splitlines()

    def retrieve(self, number):
        """The message, its doubled dots undone; the count must be exact."""
        octets = int(self.ask(f"RETR {number}").split()[1])
        message = re.sub(rb"(^|\r\n)\.\.", rb"\1.", self.lines())
        assert len(message) == octets
        return message

    def top(self, number, lines):
        self.ask(f"TOP {number} {lines}")
        return re.sub(rb"(^|\r\n)\.\.", rb"\1.", self.lines())

    def sizes(self):
        return [int(line.split()[1]) for line in self.ask_lines("LIST")]

    def uidls(self):
        return [line.split()[1] for line in self.ask_lines("UIDL")]

    def quit(self, expected="+OK"):
        reply = self.ask("QUIT", expected)
        assert self.client.recv(100) == b""
        self.client.close()
        assert self.role.wait() == 0
        return reply

    def is_closed(self):
        with contextlib.suppress(ConnectionResetError):
            return self.client.recv(1000) == b""
        return True

    def end(self):
        self.client.close()
        self.role.kill()


@pytest.fixture
def box(tmp_path):
    maildir = tmp_path / PATH
    for part in ("new", "cur", "tmp"):
        (maildir / part).mkdir(parents=True)
    return maildir


@pytest.fixture
def open_maildrop(tmp_path, box):
    opened = []

    def open_one(*arguments, **options):
        opened.append(Maildrop(tmp_path, *arguments, **options))
        return opened[-1]

    yield open_one
    for maildrop in opened:
        maildrop.end()


def put(box, number, body=b"hello\r\n", place="new", name=None, flags=""):
    """Named as by a delivery, or, without a last line end, as by APPEND."""
    message = HEADER + body
    crlf = len(message) + len(re.findall(rb"(?<!\r)\n", message))
    unique = f"Q3RE00R{number}" if message.endswith(b"\n") else "A0123456789abcdef"
    name = name or f"17000000{number:02}.{unique}.mail,S={len(message)},W={crlf}"
    file = box / place / (name + flags)
    file.write_bytes(message)
    return file


def files(box):
    return sorted(file.name for part in ("new", "cur") for file in (box / part).iterdir())


def test_empty_maildrop(open_maildrop):
    maildrop = open_maildrop()
    assert maildrop.greeting == "+OK 0 messages (0 octets)"
    assert maildrop.ask("STAT") == "+OK 0 0"
    assert maildrop.ask_lines("LIST") == [] and maildrop.ask_lines("UIDL") == []
    maildrop.ask("RETR 1", "-ERR")
    maildrop.quit()


def test_commands(open_maildrop, box):
    put(box, 2, b"two\r\n", "cur", flags=":2,S")
    put(box, 1, b"one\r\n")
    maildrop = open_maildrop()
    size = len(HEADER) + 5
    assert maildrop.greeting == f"+OK 2 messages ({2 * size} octets)"
    assert maildrop.ask("STAT") == f"+OK 2 {2 * size}"
    assert maildrop.ask_lines("LIST") == [f"1 {size}", f"2 {size}"]
    assert maildrop.ask("LIST 2") == f"+OK 2 {size}"
    assert maildrop.ask_lines("uidl") == ["1 1700000001.Q3RE00R1.mail", "2 1700000002.Q3RE00R2.mail"]
    assert maildrop.ask("UIDL 1") == "+OK 1 1700000001.Q3RE00R1.mail"
    assert maildrop.retrieve(1) == HEADER + b"one\r\n"
    assert maildrop.retrieve(2) == HEADER + b"two\r\n"
    maildrop.ask("NOOP")
    maildrop.ask("DELE 1")
    for command in ("DELE 1", "RETR 1", "LIST 1", "UIDL 1", "TOP 1 0"):
        maildrop.ask(command, "-ERR")
    assert maildrop.ask("STAT") == f"+OK 1 {size}"
    assert maildrop.ask_lines("LIST") == [f"2 {size}"]
    assert maildrop.ask("RSET") == f"+OK 2 messages ({2 * size} octets)"
    assert maildrop.ask_lines("LIST") == [f"1 {size}", f"2 {size}"]
    capabilities = maildrop.ask_lines("CAPA")
    for name in ("TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "LANG",
                 "EXPIRE NEVER", "IMPLEMENTATION staffetta"):
        assert name in capabilities
    assert maildrop.ask("LANG en") == "+OK en"
    assert "en English" in maildrop.ask_lines("LANG")
    maildrop.ask("LANG it", "-ERR")
    maildrop.quit()


def test_malformed_commands(open_maildrop, box):
    put(box, 1)
    maildrop = open_maildrop("limits { bad-commands = 100 }")
    for command in ("", "XYZZY", "RETR", "RETR x", "RETR -1", "RETR 1 1", "RETR 0", "RETR 2",
                    "RETR  1", "RETR 18446744073709551617", "TOP 1", "TOP 1 x", "TOP", "DELE",
                    "STAT 1", "NOOP x", "QUIT x", "RSET ", "LIST x", "LIST ", "UIDL 1 2", "USER a",
                    "PASS b", "UTF8", "STLS", "AUTH PLAIN", "APOP a b"):
        maildrop.ask(command, "-ERR")
    maildrop.send(b"NOOP\n")
    maildrop.send(b"NOOP\r\n")
    assert maildrop.line().startswith("-ERR")
    maildrop.send(b"NO\0OP\r\n" + b"x" * 2000 + b"\r\nNOOP\r\n")
    maildrop.send(b"STAT\r\n")
    assert [maildrop.line()[:3] for _ in range(5)] == ["+OK", "-ER", "-ER", "+OK", "+OK"]
    assert maildrop.retrieve(1) == HEADER + b"hello\r\n"
    maildrop.quit()


def test_too_many_bad_commands(open_maildrop):
    maildrop = open_maildrop("limits { bad-commands = 3 }")
    for _ in range(3):
        maildrop.ask("XYZZY", "-ERR Unknown")
    maildrop.ask("XYZZY", "-ERR Unknown")
    assert maildrop.line().startswith("-ERR [SYS/PERM]")
    assert maildrop.is_closed()


BODIES = {
    "dots": b".\r\n..\r\n.a\r\na.\r\n\r\n.\r\n",
    "only a dot": b".",
    "no line end": b"hello",
    "ends with cr": b"hello\r",
    "empty": b"",
    "lf": b"a\nb\n.\n.c\n",
    "lf without end": b"a\nb",
    "mixed": b"a\r\nb\n.\r\n",
    "eight bits": "Grüße\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
    "nul": b"a\0b\r\n",
    "long line": b"x" * 300000 + b"\r\n",
    "large": b"".join(b"line %06d\r\n" % i for i in range(100000)),
    "large with dots": b"".join(b".line %06d\r\n" % i for i in range(50000)),
    "large, few dots": (b"x" * 30000 + b"\r\n.\r\n") * 50,
    "large with lf": b"".join(b".line %06d\n" % i for i in range(50000)),
    "dots at block ends": b"\r\n." * 100000,
}


def as_sent(message):
    message = re.sub(rb"(?<!\r)\n", b"\r\n", message)
    return message if message.endswith(b"\n") else message + b"\r\n"


@pytest.mark.parametrize("over_login", [False, True])
@pytest.mark.parametrize("name", [None, "1600000000.M1P1.elsewhere"])
def test_every_octet_comes_and_is_counted(open_maildrop, box, name, over_login):
    for number, body in enumerate(BODIES.values(), 1):
        put(box, number, body, name=name and f"{name}{number:02}")
    maildrop = open_maildrop(over_login=over_login)
    sizes = maildrop.sizes()
    for number, body in enumerate(BODIES.values(), 1):
        message = maildrop.retrieve(number)
        assert message == as_sent(HEADER + body)
        assert sizes[number - 1] == len(message)
    maildrop.quit()


def test_all_at_once(open_maildrop, box):
    """Pipelined, and read only afterwards: the client decides how fast."""
    for number, body in enumerate(BODIES.values(), 1):
        put(box, number, body, name=f"160000{number:04}.M1.elsewhere")
    early = b"".join(b"RETR %d\r\nTOP %d 1\r\nLIST\r\n" % (number, number)
                     for number in range(1, len(BODIES) + 1)) + b"NO"
    maildrop = open_maildrop(early=early, greet=False)
    maildrop.send(b"OP\r\n" + b"UIDL\r\n" * 500 + b"QUIT\r\n")
    time.sleep(0.2)
    assert maildrop.line().startswith("+OK")
    for number, body in enumerate(BODIES.values(), 1):
        assert maildrop.line().startswith("+OK")
        assert re.sub(rb"(^|\r\n)\.\.", rb"\1.", maildrop.lines()) == as_sent(HEADER + body)
        assert maildrop.line().startswith("+OK")
        assert maildrop.lines().startswith(HEADER)
        assert maildrop.line().startswith("+OK")
        assert len(maildrop.lines().splitlines()) == len(BODIES)
    assert maildrop.line() == "+OK"
    for _ in range(500):
        assert maildrop.line() == "+OK"
        assert len(maildrop.lines().splitlines()) == len(BODIES)
    assert maildrop.line().startswith("+OK Bye")


def test_top(open_maildrop, box):
    put(box, 1, b"one\r\n.two\r\n\r\nthree\r\n")
    put(box, 2, b"one\n.two\n", name="1700000002.M1.elsewhere")
    (box / "new" / "1700000003.M1.elsewhere").write_bytes(b"Subject: no body")
    put(box, 4, b"y" * 200000 + b"\r\nend")
    maildrop = open_maildrop()
    assert maildrop.top(1, 0) == HEADER
    assert maildrop.top(1, 1) == HEADER + b"one\r\n"
    assert maildrop.top(1, 2) == HEADER + b"one\r\n.two\r\n"
    assert maildrop.top(1, 99) == HEADER + b"one\r\n.two\r\n\r\nthree\r\n"
    assert maildrop.top(1, 18446744073709551615) == maildrop.top(1, 99)
    assert maildrop.top(2, 1) == HEADER + b"one\r\n"
    assert maildrop.top(2, 2) == HEADER + b"one\r\n.two\r\n"
    assert maildrop.top(3, 5) == b"Subject: no body\r\n"
    assert maildrop.top(4, 0) == HEADER
    assert maildrop.top(4, 1) == HEADER + b"y" * 200000 + b"\r\n"
    assert maildrop.top(4, 2) == HEADER + b"y" * 200000 + b"\r\nend\r\n"
    maildrop.quit()


def test_nothing_goes_before_quit(open_maildrop, box):
    put(box, 1)
    put(box, 2)
    before = files(box)
    maildrop = open_maildrop()
    maildrop.ask("DELE 1")
    maildrop.retrieve(2)
    maildrop.client.close()
    assert maildrop.role.wait() == 0
    assert files(box) == before
    maildrop = open_maildrop()
    maildrop.ask("DELE 1")
    maildrop.role.kill()
    assert files(box) == before
    maildrop = open_maildrop()
    maildrop.ask("DELE 1")
    assert maildrop.quit() == "+OK Bye, 1 messages removed"
    assert files(box) == before[1:]
    # delivered within the last day: it leaves word for a delivery that is tried again
    assert (box / "tmp" / "1700000001.Q3RE00R1.mail.gone").exists()


def test_quit_is_told(open_maildrop, box):
    put(box, 1)
    put(box, 2, b"x\r\n")
    (box / "maildirsize").write_text("100000S\n5000 9\n")
    maildrop = open_maildrop()
    maildrop.ask("DELE 1")
    maildrop.retrieve(2)
    maildrop.quit()
    assert maildrop.role.master.expect(MASTER_CHANGED)[1] == struct.pack("=Q", 0)
    assert maildrop.role.master.expect(MASTER_IDLE)[0] == 1
    # what was read by POP3 is read
    assert files(box) == [f"1700000002.Q3RE00R2.mail,S={len(HEADER) + 3},W={len(HEADER) + 3}:2,S"]
    assert (box / "maildirsize").read_text() == f"100000S\n5000 9\n-{len(HEADER) + 7} -1\n"


def test_files_renamed_by_others_are_found(open_maildrop, box):
    for number in range(1, 6):
        put(box, number)
    maildrop = open_maildrop()
    for number, suffix in ((1, ",U=1.5:2,S"), (2, ":2,F"), (4, ",U=1.6:2,")):
        old = next((box / "new").glob(f"17000000{number:02}*"))
        old.rename(box / "cur" / (old.name + suffix))
    next((box / "new").glob("1700000003*")).unlink()
    put(box, 0)  # comes too late for this session, and sorts first
    assert maildrop.retrieve(1) == HEADER + b"hello\r\n"
    maildrop.ask("RETR 3", "-ERR [SYS/PERM]")
    assert maildrop.ask("UIDL 3") == "+OK 3 1700000003.Q3RE00R3.mail"
    for number in (1, 2, 3, 5):
        maildrop.ask(f"DELE {number}")
    old = next((box / "cur").glob("1700000002*"))
    old.rename(box / "cur" / old.name.replace(":2,F", ":2,FS"))
    assert maildrop.quit() == "+OK Bye, 3 messages removed"
    assert [name[:10] for name in files(box)] == ["1700000000", "1700000004"]


def test_what_cannot_be_removed_is_said(open_maildrop, box):
    first = put(box, 1, name="1700000001.M1.elsewhere")
    put(box, 2, name="1700000002.M1.elsewhere")
    maildrop = open_maildrop("undo { keep = 0 }\n")
    maildrop.ask("DELE 1")
    maildrop.ask("DELE 2")
    first.unlink()
    first.mkdir()  # nobody's unlink removes that
    reply = maildrop.quit("-ERR [SYS/TEMP]")
    assert reply.startswith("-ERR [SYS/TEMP] 1 messages not removed")
    assert files(box) == [first.name]


def test_uidls_are_stable_and_unique(open_maildrop, box):
    names = ["1.A.h", "1.A.h,S=5", "2.B.h,U=5:2,S", "3.C.h,odd", "3.C.h,other",
             "4." + "x" * 80 + ".h", "5 space.h", "6.é.h", "7.D.h,U=3.9:2,"]
    for name in names:
        (box / "cur" / name).write_bytes(HEADER)
    maildrop = open_maildrop()
    first = maildrop.uidls()
    maildrop.quit()
    assert len(set(first)) == len(names)
    assert all(re.fullmatch(r"[\x21-\x7e]{1,70}", uidl) for uidl in first)
    assert {"1.A.h", "2.B.h", "7.D.h"} <= set(first)
    for name, new_name in (("2.B.h,U=5:2,S", "2.B.h,U=6:2,FS"), ("3.C.h,odd", "3.C.h,odd:2,S"),
                           ("7.D.h,U=3.9:2,", "7.D.h,U=4.1:2,T")):
        (box / "cur" / name).rename(box / "cur" / new_name)
    maildrop = open_maildrop()
    assert maildrop.uidls() == first
    maildrop.quit()


def test_one_session_a_maildrop(open_maildrop, box):
    first = open_maildrop()
    second = open_maildrop()
    assert second.greeting.startswith("-ERR [IN-USE]")
    assert second.is_closed() and second.role.wait() == 0
    first.quit()
    third = open_maildrop()
    assert third.greeting.startswith("+OK")
    with open(box / "staffetta-pop3") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    third.quit()


def test_login_delay(open_maildrop, box):
    config = "pop3 { login-delay = 1h }"
    first = open_maildrop(config)
    assert "LOGIN-DELAY 3600" in first.ask_lines("CAPA")
    first.quit()
    second = open_maildrop(config)
    assert second.greeting.startswith("-ERR [LOGIN-DELAY]") and second.is_closed()
    second.role.wait()
    hour_ago = time.time() - 3601
    os.utime(box / "staffetta-pop3", (hour_ago, hour_ago))
    third = open_maildrop(config)
    assert third.greeting.startswith("+OK")
    third.quit()


def test_delete_after_retrieval(open_maildrop, box):
    put(box, 1)
    put(box, 2)
    now = int(time.time())
    put(box, 3, name=f"{now}.Q3RE00R3.mail,S={len(HEADER) + 7},W={len(HEADER) + 7}")
    maildrop = open_maildrop("pop3 { delete-after-retrieval = yes keep = 7d expire = 7d }")
    maildrop.retrieve(1)
    maildrop.top(2, 100)
    maildrop.retrieve(3)
    assert maildrop.quit() == "+OK Bye, 1 messages removed"
    assert [name.split(".")[0] for name in files(box)] == ["1700000002", str(now)]


def test_silent_client_is_let_go(open_maildrop, box):
    put(box, 1)
    maildrop = open_maildrop("timeouts { pop3 = 300ms }")
    maildrop.ask("DELE 1")
    time.sleep(0.2)
    maildrop.ask("NOOP")
    started = time.monotonic()
    assert maildrop.is_closed()
    assert 0.2 < time.monotonic() - started < 5
    assert maildrop.role.wait() == 0 and len(files(box)) == 1


def test_client_that_does_not_read_is_let_go(open_maildrop, box):
    put(box, 1, b"x" * 20_000_000 + b"\r\n")
    maildrop = open_maildrop("timeouts { write = 300ms pop3 = 100ms }")
    maildrop.send("RETR 1\r\n")
    assert maildrop.role.wait() == 0


def test_memory_is_bounded(open_maildrop, box):
    put(box, 1, b".\r\n" * 7_000_000)
    maildrop = open_maildrop()
    maildrop.send("RETR 1\r\n" * 100)
    time.sleep(0.5)
    status = pathlib.Path(f"/proc/{maildrop.role.pid}/status").read_text()
    assert int(re.search(r"RssAnon:\s+(\d+)", status)[1]) < 12_000  # of 21 MB, a hundred times


def test_stop_lets_go_without_update(open_maildrop, box):
    put(box, 1)
    maildrop = open_maildrop()
    maildrop.ask("DELE 1")
    maildrop.role.master.send(ROLE_STOP)
    assert maildrop.is_closed()
    maildrop.client.close()
    assert maildrop.role.wait() == 0 and len(files(box)) == 1


def test_not_a_handoff(tmp_path, box):
    role = Role("pop3d-maildrop", tmp_path)
    role.home(1, "u1@test.example", PATH)
    role.go()
    login, its_login = socket.socketpair()
    role.master.send(ROLE_SESSION, session_body(77),
                     fds=[its_login.fileno()])
    its_login.close()
    login.sendall(b"STAT\r\n" * 10)
    assert role.wait() == 0
    role.kill()


def test_first_login_makes_the_maildir(tmp_path):
    maildrop = Maildrop(tmp_path)
    assert maildrop.greeting.startswith("+OK 0")
    maildrop.quit()
    maildrop.end()
    assert (tmp_path / PATH / "cur").is_dir()
