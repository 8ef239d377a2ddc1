"""smtpd-queue alone; this process is its master, a session, auth and deliver (the *_protocol.h)."""

import hashlib
import os
import select
import struct
import time

from one_role import DESCRIPTOR_DIRECTORY, KINDS, Role

QUEUE_RECIPIENT, QUEUE_SUBMIT, QUEUE_SPOOL, QUEUE_FORGET, QUEUE_MORE_IDS = 1, 2, 3, 4, 5
QUEUE_IDS, QUEUE_SPOOLED, QUEUE_COMMITTED, QUEUE_REFUSED, QUEUE_SPACE = 101, 102, 103, 104, 105
IN_SPOOL, SUBMITTED, UTF8, EIGHTBIT, RET_FULL, RET_HDRS = 1, 2, 4, 8, 16, 32
REQUIRETLS, BY_RETURN, BY_TRACE, TLS_OPTIONAL = 64, 128, 256, 512
NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_DELAY, NOTIFY_NEVER = 1, 2, 4, 8
AUTH_RECIPIENT, AUTH_TARGET, AUTH_FULL = 1, 4, 5
AUTH_RECIPIENT_ANSWER, AUTH_NO_TARGET = 101, 104
VERDICT_TARGETS, VERDICT_UNKNOWN, VERDICT_FOREIGN = 1, 2, 3
ROLE_TARGET, ROLE_NO_TARGET, ROLE_CONTROL = 13, 14, 18
DELIVER_MESSAGE, DELIVER_MESSAGE_FILE, DELIVER_RESULT, DELIVER_SYNC = 1, 2, 101, 102
DONE, GONE, TEMPORARY, PERMANENT = 1, 2, 3, 4
RELAY_MESSAGE, RELAY_MESSAGE_FILE, RELAY_RESULT = 1, 2, 101
RELAY_DONE, RELAY_TEMPORARY, RELAY_PERMANENT = 1, 2, 3
PEER_SAID, KEEPS_DSN, KEEPS_TIME = 1, 2, 4
BODY = b"From: a@b.example\r\nSubject: s\r\n\r\nhello\r\n"
CONFIG = 'queue { retry = "1s" lifetime = 1h } limits { free-space = 0 }'


class Refused(Exception):
    """QUEUE_REFUSED came instead of a file."""


class Session:
    """A session process with ids to give."""

    def __init__(self, role, kind="smtpd-session"):
        self.channel, self.kind = role.peer(kind), kind
        self.first_session = KINDS[kind] << 56 | role.peers << 32
        self.ids, self.request, self.enough_space = [], 0, True
        self.answers = []  # received while waiting for something else

    def receive(self):
        """The next record, but for those that come unasked: ids and space."""
        while True:
            got = self.channel.receive()
            if got is None or not self.take(got[0], got[2]):
                return got

    def take(self, kind, body):
        if kind == QUEUE_IDS:
            first, count, _ = struct.unpack("=QII", body)
            self.ids += range(first, first + count)
        elif kind == QUEUE_SPACE:
            self.enough_space = body[0] == 1
        else:
            return False
        return True

    def expect(self, kind):
        got = self.answers.pop(0) if self.answers else self.receive()
        assert got is not None, "the role is gone"
        assert got[0] == kind, f"record {got[0]} instead of {kind}: {got}"
        return got[1:]

    def take_ids(self):
        while not self.ids:
            got = self.channel.receive()
            assert got is not None, "the role is gone"
            if not self.take(got[0], got[2]):
                self.answers.append(got)

    def next_id(self):
        self.take_ids()
        if len(self.ids) == 1:
            self.channel.send(QUEUE_MORE_IDS)
        self.last_id = self.ids.pop(0)
        return self.last_id

    def send_foreign(self, addresses, orcpt="", notify=0, **options):
        """As send, to other domains, for an account; on the submission side."""
        account, number = options.pop("account", "alice@test.example"), 9
        forwarded = options.pop("forwarded", 0)
        self.request += 1
        identity = self.next_id()
        for address in addresses:
            self.recipient(self.request, "", address, orcpt=orcpt, notify=notify, flags=forwarded)
        options["flags"] = options.get("flags", 0) | SUBMITTED
        options.setdefault("sender", account)
        self.submit(self.request, identity, len(addresses), account=account, session=number,
                    token=make_token(number, account), **options)
        return self.request, identity

    def accept_foreign(self, addresses, **options):
        """The id of a message that was committed."""
        request, identity = self.send_foreign(addresses, **options)
        assert self.expect(QUEUE_COMMITTED)[0] == request
        return identity

    def forget(self):
        self.channel.send(QUEUE_FORGET, request=self.request)

    @staticmethod
    def recipient_of(account, address=None, orcpt="", notify=0, permit=bytes(48), flags=0):
        texts = [account.encode(), (address or account).encode(), orcpt.encode()]
        return struct.pack("=HHHH48sII", *map(len, texts), notify, permit, flags, 0) + b"".join(texts)

    def recipient(self, request, account, address=None, **options):
        self.channel.send(QUEUE_RECIPIENT, self.recipient_of(account, address, **options), request)

    def submit(self, request, identity, recipients, body=BODY, flags=0, sender="x@y.example",
               envid="", account="", token=bytes(48), session=77, arrival=None, cuts=(),
               prefix=b"Received: r\r\n", body_octets=None, deliver_by=0, hold_until=0, last=b""):
        """`last`: a recipient_of that comes along."""
        last = last and bytes(16) + last  # the header, of which nothing is taken
        texts = [sender.encode(), envid.encode(), account.encode()]
        fixed = struct.pack("=QQq48sIIHHHHIIQqq", identity, session,
                            int(time.time()) if arrival is None else arrival, token, recipients,
                            flags, *map(len, texts), len(cuts), len(prefix), len(last),
                            len(body) if body_octets is None else body_octets, deliver_by,
                            hold_until)
        cut_structs = b"".join(struct.pack("=II", *cut) for cut in cuts)
        self.channel.send(QUEUE_SUBMIT, fixed + last + b"".join(texts) + prefix + cut_structs + body,
                          request)

    def send(self, accounts, notify=0, **options):
        """Submits and returns (request, id), without waiting for the answer."""
        self.request += 1
        identity = self.next_id()
        for account in accounts:
            self.recipient(self.request, account, notify=notify)
        self.submit(self.request, identity, len(accounts), **options)
        return self.request, identity

    def accept(self, accounts, **options):
        """The id of a message that was committed."""
        request, identity = self.send(accounts, **options)
        assert self.expect(QUEUE_COMMITTED)[0] == request
        return identity

    def lend_file(self, request):
        """Two descriptors; raises Refused. Answers to others meanwhile are kept."""
        self.channel.send(QUEUE_SPOOL, request=request)
        while True:
            got = self.receive()
            assert got is not None, "the role is gone"
            if got[1] == request:
                break
            self.answers.append(got)
        if got[0] == QUEUE_REFUSED:
            raise Refused
        assert got[0] == QUEUE_SPOOLED and len(got[3]) == 2
        return got[3]

    def send_large(self, accounts, body, keep_open=False, **options):
        self.request += 1
        identity = self.next_id()
        write_fd, read_fd = self.lend_file(self.request)
        try:
            at = 0
            while at < len(body):
                at += os.write(write_fd, body[at:])
        finally:
            os.close(read_fd)
            if not keep_open:
                os.close(write_fd)
        for account in accounts:
            self.recipient(self.request, account)
        self.submit(self.request, identity, len(accounts), b"", IN_SPOOL, body_octets=len(body),
                    **options)
        return self.request, identity


def make_token(session, account, key=bytes(32), seconds=60):
    expires_ms = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000000 + seconds * 1000
    numbers = struct.pack("=QQ", session, expires_ms)
    mac = hashlib.blake2b(b"submission token" + numbers + account.encode(), key=key, digest_size=32)
    return numbers + mac.digest()


class Delivery:
    """One DELIVER_MESSAGE as deliver sees it."""

    def __init__(self, kind, request, body, fds):
        self.request = request
        (self.id, self.arrival, count, sender, id_text, cuts, prefix, _,
         self.octets) = struct.unpack_from("=QqHHHHIIQ", body)
        at = struct.calcsize("=QqHHHHIIQ")
        self.recipients = []
        lengths = []
        for _ in range(count):
            handle, number, address, again = struct.unpack_from("=QIHH", body, at)
            self.recipients.append([handle, number, None, again])
            lengths.append(address)
            at += 16
        for recipient, length in zip(self.recipients, lengths):
            recipient[2] = body[at : at + length].decode()
            at += length
        parts = []
        for length in (sender, id_text, prefix, 8 * cuts):
            parts.append(body[at : at + length])
            at += length
        self.sender, self.id_text, self.prefix, cut_octets = parts
        self.sender = self.sender.decode()
        self.cuts = list(struct.iter_unpack("=II", cut_octets))
        self.body = body[at:]
        if kind == DELIVER_MESSAGE_FILE:
            assert self.body == b""
            with os.fdopen(fds[0], "rb") as file:
                self.body = file.read(self.octets)
        assert len(self.body) == self.octets

    @property
    def again(self):
        return [again for _, _, _, again in self.recipients]


class Relayed:
    """One RELAY_MESSAGE as relay sees it."""

    FIXED = struct.Struct("=QqIHHHHHHIIQ")

    def __init__(self, kind, request, body, fds):
        self.request = request
        (self.id, self.deliver_by, self.flags, count, destination, sender, envid, id_text, cuts,
         prefix, _, self.octets) = self.FIXED.unpack_from(body)
        at = self.FIXED.size
        structs = [struct.unpack_from("=HHHH", body, at + 8 * i) for i in range(count)]
        at += 8 * count
        self.recipients, self.orcpts, self.notify = [], [], [notify for _, _, notify, _ in structs]
        parts = []
        for address, orcpt, _, _ in structs:
            self.recipients.append(body[at : at + address].decode())
            self.orcpts.append(body[at + address : at + address + orcpt].decode())
            at += address + orcpt
        for length in (destination, sender, envid, id_text, prefix, 8 * cuts):
            parts.append(body[at : at + length])
            at += length
        texts = [part.decode() for part in parts[:4]]
        self.destination, self.sender, self.envid, self.id_text = texts
        self.prefix, self.cuts = parts[4], list(struct.iter_unpack("=II", parts[5]))
        self.body = body[at:]
        if kind == RELAY_MESSAGE_FILE:
            assert self.body == b""
            with os.fdopen(fds[0], "rb") as file:
                self.body = file.read(self.octets)
        assert len(self.body) == self.octets


class Relay:
    """A relay process."""

    def __init__(self, role):
        self.channel = role.peer("smtpd-relay")
        self.number = role.peers

    def next(self, seconds=20):
        got = self.channel.receive(seconds)
        assert got is not None, "the role is gone"
        kind, request, body, fds = got
        assert kind in (RELAY_MESSAGE, RELAY_MESSAGE_FILE)
        return Relayed(kind, request, body, fds)

    def nothing_more(self, seconds=0.3):
        try:
            got = self.next(seconds)
        except AssertionError as error:
            assert "no record" in str(error)
        else:
            raise AssertionError(f"{got.destination} {got.recipients}")

    def result(self, message, *outcomes, window=1, wait_ms=0):
        """outcomes: (status, text) or (status, text, flags), one for each recipient."""
        structs, texts = b"", b""
        for status, text, *flags in outcomes:
            structs += struct.pack("=HHHH", status, flags[0] if flags else 0, len(text.encode()), 0)
            texts += text.encode()
        self.channel.send(RELAY_RESULT,
                          struct.pack("=QIIII", message.id, len(outcomes), window, wait_ms, 0)
                          + structs + texts, message.request)

    def answer(self, message, status=RELAY_DONE, text="2.0.0 sent\n250 ok\nmx.x [192.0.2.1]",
               flags=0, **options):
        """That outcome for all."""
        self.result(message, *[(status, text, flags)] * len(message.recipients), **options)
        return message

    def one(self, *outcome, seconds=20, **options):
        return self.answer(self.next(seconds), *outcome, **options)


class Queue:
    """The role with a session, auth and, once asked for, deliver."""

    def __init__(self, directory, config=CONFIG, **options):
        self.role = Role("smtpd-queue", directory, config, purpose=DESCRIPTOR_DIRECTORY, **options)
        self.auth = self.role.peer("auth")
        self.session = Session(self.role)
        self.role.go()
        self.lazy_submission = None
        self.deliver = None
        self.relays = []
        self.handles = {}

    def deliver_up(self, trusted=1, sync_fd=None):
        self.deliver = self.role.peer("smtpd-deliver")
        self.deliver_number = self.role.peers
        fd = os.open("/tmp", os.O_RDONLY) if sync_fd is None else sync_fd
        self.deliver.send(DELIVER_SYNC, struct.pack("=II", trusted, 0), fds=[fd])
        os.close(fd)

    @property
    def submission(self):
        if not self.lazy_submission:
            self.lazy_submission = Session(self.role, "smtpd-submission")
        return self.lazy_submission

    def relay(self):
        """Another relay process."""
        self.relays.append(Relay(self.role))
        return self.relays[-1]

    def answer_target(self, account=None):
        """auth is asked where an account's mail goes, and the master answers."""
        request, body, _ = self.auth.expect(AUTH_TARGET)
        asked = body[8:].decode()
        assert account in (None, asked)
        self.send_target(request, asked)
        return asked

    def send_target(self, request, account):
        if not self.deliver:
            self.deliver_up()
        handle = self.handles.setdefault(account, len(self.handles) + 1)
        self.role.master.send(ROLE_TARGET, struct.pack("=QII", handle, self.deliver_number, 0),
                              request)

    def refuse_target(self, permanent):
        request, _, _ = self.auth.expect(AUTH_TARGET)
        self.auth.send(AUTH_NO_TARGET, struct.pack("=II", permanent, 0), request)

    def answer_address(self, accounts=(), verdict=VERDICT_TARGETS, addresses=()):
        """auth is asked who is behind an address."""
        request, body, _ = self.auth.expect(AUTH_RECIPIENT)
        session, client, octets = struct.unpack_from("=Q17s3xI", body)
        assert (session, client, octets) == (0, bytes(17), len(body) - 32)
        self.send_targets(request, accounts, verdict, addresses)
        return body[32:].decode()

    def send_targets(self, request, accounts=(), verdict=VERDICT_TARGETS, addresses=()):
        targets = [struct.pack("=HH", 1, len(name)) + name.encode() for name in accounts]
        targets += [struct.pack("=HH48x", 2, len(name)) + name.encode() for name in addresses]
        self.auth.send(AUTH_RECIPIENT_ANSWER,
                       struct.pack("=IIII", verdict, len(targets), 0, 0) + b"".join(targets),
                       request)

    def deliveries_to(self, account, count):
        """So many, each done; whatever auth is asked meanwhile, it says: that account."""
        found = []
        while len(found) < count:
            channels = [self.auth.sock] + ([self.deliver.sock] if self.deliver else [])
            ready, _, _ = select.select(channels, [], [], 20)
            assert ready, f"{len(found)} deliveries"
            if ready[0] is not self.auth.sock:
                found.append(self.deliver_one())
                continue
            kind, request, _, _ = self.auth.receive()
            if kind == AUTH_RECIPIENT:
                self.send_targets(request, [account])
            elif kind == AUTH_TARGET:
                self.send_target(request, account)
        return found

    def next_delivery(self, seconds=20):
        got = self.deliver.receive(seconds)
        assert got is not None, "the role is gone"
        kind, request, body, fds = got
        assert kind in (DELIVER_MESSAGE, DELIVER_MESSAGE_FILE)
        return Delivery(kind, request, body, fds)

    def result(self, delivery, *outcomes):
        """outcomes: (status, text) or (status, text, flushed, full), one for each recipient."""
        structs, texts = b"", b""
        for status, text, *rest in outcomes:
            flushed, full = rest or (1, 0)
            structs += struct.pack("=HHHH", status, flushed, full, len(text.encode()))
            texts += text.encode()
        self.deliver.send(DELIVER_RESULT,
                          struct.pack("=QII", delivery.id, len(outcomes), 0) + structs + texts,
                          delivery.request)

    def deliver_one(self, status=DONE, text="2.1.5 done", flushed=1):
        """The next delivery, with that outcome for all."""
        delivery = self.next_delivery()
        self.result(delivery, *[(status, text, flushed, 0)] * len(delivery.recipients))
        return delivery

    def wait_for_counts(self, queued, held=0, seconds=10):
        deadline = time.monotonic() + seconds
        while (counts := self.role.counts()[1:]) != (queued, held):
            assert time.monotonic() < deadline, f"{counts} instead of {(queued, held)}"
            time.sleep(0.01)

    @staticmethod
    def wait_for_spool(directory, count, seconds=10):
        """Until so many files are in it: what nobody needs goes by the second thread."""
        deadline = time.monotonic() + seconds
        while len(files := os.listdir(directory / "spool")) != count:
            assert time.monotonic() < deadline, f"{files} are left"
            time.sleep(0.01)

    def is_ended(self, channel):
        """The role closed this channel, as it does with whoever breaks the protocol."""
        while (got := channel.receive()) is not None:
            assert got[0] != QUEUE_COMMITTED
        return True

    def stop(self):
        """A stop as the master asks for it, once no session is left."""
        self.session.channel.close()
        if self.lazy_submission:
            self.lazy_submission.channel.close()
        self.role.stop()

    def end(self):
        channels = [self.auth, self.session.channel, self.deliver]
        channels += [self.lazy_submission.channel] if self.lazy_submission else []
        for channel in channels + [relay.channel for relay in self.relays]:
            if channel:
                channel.close()
        self.role.kill()
