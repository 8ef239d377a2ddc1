"""One role alone: this process plays its master and its peers, record by record, as written in
common/role/master_protocol.h. For what no whole house shows: results of single records, deaths between
them, speed without neighbours. The role is confined as in a house (Landlock, seccomp), not chrooted.
"""

import array
import fcntl
import os
import select
import socket
import struct
import time

from house import BUILD, ENVIRONMENT, one_authority

RECORD_MAX = 131072
HEADER = struct.Struct("=HHIQ")  # type, version, length, request
WAIT_SECONDS = 20

ROLE_START, ROLE_DESCRIPTOR, ROLE_PEER, ROLE_GO = 1, 2, 3, 4
ROLE_STOP, ROLE_COUNT, ROLE_HOME, ROLE_SESSION, ROLE_WATCHED = 7, 8, 9, 10, 16
MASTER_READY, MASTER_HOSTILE, MASTER_COUNTS, MASTER_IDLE, MASTER_CHANGED = 101, 103, 104, 105, 109
MASTER_WANTED, MASTER_SHARES = 110, 117
DESCRIPTOR_DIRECTORY, DESCRIPTOR_PLACE = 4, 5
PLACE_FILESYSTEM = 0xFFFF  # a place: "/", for the homes of system users
KINDS = {"auth": 2, "smtpd-session": 5, "smtpd-submission": 6, "smtpd-filter": 7, "smtpd-queue": 8,
         "smtpd-deliver": 9, "imapd-mailbox": 11, "pop3d-maildrop": 13, "resolver": 14,
         "smtpd-relay": 15, "fetch": 16}

CONFIG = """
hostname = mail.test.example
domain test.example {{ }}
accounts {{ source = file file = "/nowhere" mail = "/nowhere" }}
listen smtp {{ port = 25 addresses = 127.0.0.1 }}
{extra}
"""


def with_authorities(config):
    """For a relay, where a test names none."""
    if "authorities" in config:
        return config
    named = f'relay {{ authorities = "{one_authority()}" '
    return config.replace("relay {", named, 1) if "relay {" in config else config + named + "}\n"


def record(kind, body=b"", request=0):
    return HEADER.pack(kind, 1, HEADER.size + len(body), request) + body


def session_body(number, asleep=0):
    """ROLE_SESSION: of a client on this machine; so many others of the account are asleep."""
    client = struct.pack("=QB16sBHI", number, 4, b"\x7f\0\0\x01", 0, 143, 0)
    return client + struct.pack("=II16sII", 1, 0, b"", asleep, 0)


class Channel:
    """One SOCK_SEQPACKET socket of records."""

    def __init__(self, sock):
        self.sock = sock

    def send(self, kind, body=b"", request=0, fds=()):
        self.send_raw(record(kind, body, request), fds)

    def send_raw(self, octets, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([octets], ancillary)

    def receive(self, seconds=WAIT_SECONDS):
        """(type, request, body, descriptors); None where the other side is gone."""
        if not select.select([self.sock], [], [], seconds)[0]:
            raise AssertionError(f"no record in {seconds} s")
        fds = array.array("i")
        try:
            octets, ancillary, _, _ = self.sock.recvmsg(RECORD_MAX, socket.CMSG_LEN(4 * 4))
        except ConnectionResetError:
            return None
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if not octets:
            return None
        kind, version, length, request = HEADER.unpack_from(octets)
        assert version == 1 and length == len(octets)
        return kind, request, octets[HEADER.size :], list(fds)

    def has_spoken(self, seconds):
        """Whether a record is there to be received."""
        return bool(select.select([self.sock], [], [], seconds)[0])

    def expect(self, kind, seconds=WAIT_SECONDS):
        got = self.receive(seconds)
        assert got is not None, "the role is gone"
        assert got[0] == kind, f"record {got[0]} instead of {kind}: {got}"
        return got[1:]

    def close(self):
        self.sock.close()


def pair():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Role:
    """A running role. place: the directory it gets as its place, or what `purpose` says."""

    def __init__(self, name, place, config="", place_index=0, purpose=DESCRIPTOR_PLACE, wrap=(),
                 environment=None):
        self.name = name
        master, its_master = pair()
        log, its_log = pair()
        self.master, self.log = Channel(master), log
        # Out of the way first: one of them may be 3 or 4.
        theirs = [fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, 10) for sock in (its_master, its_log)]
        its_master.close()
        its_log.close()
        actions = [(os.POSIX_SPAWN_DUP2, fd, 3 + i) for i, fd in enumerate(theirs)]
        program = BUILD / "libexec" / name
        arguments = [*wrap, program] if wrap else [name]
        self.pid = os.posix_spawn(wrap[0] if wrap else program, arguments,
                                  {**ENVIRONMENT, **(environment or {})}, file_actions=actions)
        for fd in theirs:
            os.close(fd)
        self.status = None
        self.peers = 0
        self.hostile = []  # (kind, number) of peers the role complained of
        if name == "smtpd-relay":
            config = with_authorities(config)
        self.birth(place, CONFIG.format(extra=config), purpose, place_index)

    def birth(self, place, config, purpose, place_index):
        with os.fdopen(os.memfd_create("config"), "w") as file:
            file.write(config)
            file.flush()
            body = struct.pack("=IIII32s32s", KINDS[self.name], 1, 0, 0, b"", b"")
            self.master.send(ROLE_START, body, fds=[file.fileno()])
        directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        self.master.send(ROLE_DESCRIPTOR, struct.pack("=II", purpose, place_index),
                         fds=[directory])
        os.close(directory)

    def home(self, handle, account, path, quota_octets=0, quota_messages=0, place=0):
        """ROLE_HOME: before go(), or for deliver at any time."""
        account, path = account.encode(), path.encode()
        body = struct.pack("=QIIIIIIQQ", handle, place, os.getuid(), os.getgid(), len(account),
                           len(path), 0, quota_octets, quota_messages)
        self.master.send(ROLE_HOME, body + account + path)

    def peer(self, kind):
        """A channel on which this process is a peer of that kind."""
        self.peers += 1
        ours, its = pair()
        self.master.send(ROLE_PEER, struct.pack("=II", KINDS[kind], self.peers),
                         fds=[its.fileno()])
        its.close()
        return Channel(ours)

    def go(self):
        """Once it is ready; a mailbox that may share says before what it does."""
        self.master.send(ROLE_GO)
        answer = self.master.receive()
        if answer and answer[0] == MASTER_SHARES:
            answer = self.master.receive()
        assert answer and answer[0] == MASTER_READY, answer

    def settle(self):
        """All records of the master so far have been handled."""
        self.master.send(ROLE_COUNT)
        self.master.expect(MASTER_COUNTS)

    def events(self):
        """What it logged so far, as raw records."""
        found = []
        while select.select([self.log], [], [], 0)[0]:
            if not (octets := self.log.recv(RECORD_MAX)):
                break
            found.append(octets)
        return found

    def counts(self):
        """(sessions, queued, held). Complaints about peers before the answer go to `hostile`."""
        self.master.send(ROLE_COUNT)
        while (got := self.master.receive()) and got[0] == MASTER_HOSTILE:
            self.hostile.append(struct.unpack("=II", got[2]))
        assert got and got[0] == MASTER_COUNTS, got
        return struct.unpack("=QQQII", got[2])[:3]

    def wait(self, seconds=WAIT_SECONDS):
        """The exit status, negative for a signal."""
        deadline = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not end")
            else:
                time.sleep(0.002)
        return self.status

    def kill(self):
        if self.status is None:
            os.kill(self.pid, 9)
            self.wait()
        self.master.close()
        self.log.close()

    def stop(self):
        self.master.send(ROLE_STOP)
        assert self.wait() == 0
        self.kill()
