"""imapd-mailbox alone: this process plays its master, and the login process that hands clients over
(common/role/handoff.h). One Mailbox is one user; connect() is one logged in client.

Mailbox.maildir is the user's Maildir, `store()` puts a file there as deliver would, and `folder()`
is the directory of a folder. A test module imports the fixtures `mailbox` and `client` from here.
"""

import array
import itertools
import os
import pathlib
import socket
import struct
import time

import pytest

from house import BUILD
from one_role import ROLE_SESSION, Role, session_body
from talk import TIMEOUT, Conversation

ROLE_CHANGED = 15
HANDOFF_MAGIC, HANDOFF_DESCRIPTOR, HANDOFF_RESUMED = 0x68616E64, 1, 2
MESSAGE = (b"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Terry Gray <gray@cac.example>\r\n"
           b"To: imap@cac.example\r\nSubject: IMAP4rev1 WG mtg\r\n"
           b"Message-ID: <B27397-0100000@cac.example>\r\n\r\nHello, world.\r\n")


needs_mailbox = pytest.mark.skipif(not (BUILD / "libexec" / "imapd-mailbox").exists(),
                                   reason="imapd-mailbox is not built")


class Client(Conversation):
    """A Conversation with a socket that is connected already; the login's OK is the greeting."""

    def __init__(self, sock, greeted=True):
        self.values, self.spoken, self.pending = {}, [], b""
        self.socket = sock
        self.socket.settimeout(TIMEOUT)
        self.greeting = self.read_line() if greeted else None

    def command(self, text, tag=b"x"):
        """Sends it, and returns the untagged lines (literals joined to them) and the tagged one."""
        self.send(tag + b" " + (text.encode() if isinstance(text, str) else text) + b"\r\n")
        return self.answer(tag)

    def answer(self, tag=b"x"):
        lines = []
        while True:
            line = self.read_line()
            assert line is not None, self._report("closed")
            while line.endswith(b"}") and b"{" in line:
                count = int(line[line.rindex(b"{") + 1 : -1])
                line += b"\r\n" + self.read_octets(count) + self.read_line()
            if line.startswith(tag + b" "):
                return lines, line[len(tag) + 1 :]
            lines.append(line)

    def append(self, octets, folder="INBOX", arguments=""):
        """APPEND with a literal that does not wait (RFC 7888)."""
        head = f"x APPEND {folder} {arguments}{{{len(octets)}+}}\r\n".encode()
        self.send(head + octets + b"\r\n")
        lines, tagged = self.answer()
        assert tagged.startswith(b"OK"), self._report(f"{tagged!r}")
        return lines, tagged

    def ok(self, text):
        lines, tagged = self.command(text)
        assert tagged.startswith(b"OK"), self._report(f"{text[:100]!r}: {tagged!r}")
        return lines

    def empty_inbox(self):
        """What earlier tests of a shared mailbox left: messages are counted from 1 again."""
        self.ok("SELECT INBOX")
        self.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        self.ok("CLOSE")


class Mailbox:
    numbers = itertools.count(1)

    def __init__(self, directory, config="", wrap=(), environment=None, **home):
        self.place = pathlib.Path(directory)
        self.maildir = self.place / "test.example" / "u" / "Maildir"
        self.config, self.home = config, home
        self.session = 0
        self.start(wrap, environment)

    def start(self, wrap=(), environment=None):
        self.role = Role("imapd-mailbox", self.place, self.config, wrap=wrap,
                         environment=environment)
        self.role.home(1, "u@test.example", "test.example/u/Maildir", **self.home)
        self.role.go()

    def connect(self, pending=b"", carried=False, said=(), asleep=0):
        """A client that has logged in with tag `login`. `carried`: the login process goes on
        carrying its octets, as with TLS; else its own socket comes along. `said`: name, version and
        vendor, as the client told them with ID before. `asleep`: other sessions of the account."""
        self.session += 1
        ours, theirs = socket.socketpair()
        self.role.master.send(ROLE_SESSION, session_body(self.session, asleep), fds=[theirs.fileno()])
        theirs.close()
        tag, client, fds = b"login", ours, []
        if not carried:
            client, its = socket.socketpair()
            fds = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [its.fileno()]))]
        tag += b"".join(b"\0" + word for word in said)
        head = struct.pack("=IIIII", HANDOFF_MAGIC, 0 if carried else HANDOFF_DESCRIPTOR, len(tag),
                           len(pending), 0)
        ours.sendmsg([head + tag + pending], fds)
        if not carried:
            its.close()
            ours.close()
        return Client(client)

    def resume(self, record, said=b""):
        """A client that was asleep: what a login process hands over then, in the clear."""
        self.session += 1
        ours, theirs = socket.socketpair()
        self.role.master.send(ROLE_SESSION, session_body(self.session), fds=[theirs.fileno()])
        client, its = socket.socketpair()
        head = struct.pack("=IIIII", HANDOFF_MAGIC, HANDOFF_DESCRIPTOR | HANDOFF_RESUMED, len(record), len(said), 5000)
        socket.send_fds(ours, [head + record + said], [its.fileno()])
        for sock in (ours, theirs, its):
            sock.close()
        return Client(client, greeted=False)

    def folder(self, name="INBOX"):
        return self.maildir if name == "INBOX" else self.maildir / ("." + name)

    def store(self, octets=MESSAGE, folder="INBOX", place="new", flags=None, name=None):
        """Delivers a message the way another process does; its path."""
        number = next(self.numbers)
        name = name or f"{1700000000 + number}.Q{number}.host,S={len(octets)},W={len(octets)}"
        if flags is not None:
            name += ":2," + flags
        temporary = self.folder(folder) / "tmp" / name
        temporary.write_bytes(octets)
        final = self.folder(folder) / place / name
        temporary.rename(final)
        return final

    def changed(self, folder=b""):
        self.role.master.send(ROLE_CHANGED, folder)

    def files(self, folder="INBOX", place="cur"):
        return sorted(os.listdir(self.folder(folder) / place))

    def restart(self):
        self.role.stop()
        self.start()

    def kill(self):
        self.role.kill()

    def eventually(self, condition, seconds=TIMEOUT):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def stop(self):
        self.role.stop()


@pytest.fixture
def mailbox(tmp_path):
    made = Mailbox(tmp_path)
    yield made
    if made.role.status is None:
        made.stop()


@pytest.fixture
def client(mailbox):
    with mailbox.connect() as connected:
        yield connected


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One for all tests of a file; each makes folders of its own."""
    made = Mailbox(tmp_path_factory.mktemp("mailbox"))
    yield made
    made.stop()


def client_of_shared():
    """A fixture: one of the clients of `shared`, which a test may have several of."""
    @pytest.fixture
    def connected(shared):
        with shared.connect() as client:
            yield client

    return connected
