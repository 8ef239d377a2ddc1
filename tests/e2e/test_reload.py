"""staffetta reload takes each key of the configuration, without dropping a connection.

Two files are taken one after the other, in which all keys that can change differ. EFFECTS: what is seen of a key from
outside, under the first and under the second. TAKEN: no effect is watched, but each process of the roles that read it works
with the newest configuration by its own word (`staffetta status`). FIXED: refused by name. A key that stands in none fails."""

import contextlib
import imaplib
import inspect
import json
import poplib
import re
import smtplib
import socket
import ssl
import time

import pytest

import test_introspection
from house import DOMAIN, PASSWORD, ROOT, cheap_verifier, free_ports, make_certificate
from sink import Sink
from talk import client_context

LOGINS = ("imapd-login", "pop3d-login")
SESSIONS = ("smtpd-session", "smtpd-submission")
NETWORK = (*LOGINS, *SESSIONS)
ALICE, BOB, CAROL = (f"{name}@{DOMAIN}" for name in ("alice", "bob", "carol"))

imaplib.Commands.update(SETMETADATA=("AUTH", "SELECTED"), ID=("AUTH", "SELECTED"))


def documented():
    section = None
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:].split()[0]
        elif found := re.match(r"\| `([a-z0-9-]+)` \|", line):
            yield f"{section}.{found[1]}"


# ---- what is seen of a key; `w` is the world below ----


def told(smtp, *commands):
    """The code of the last answer."""
    for command in commands:
        code, _ = smtp.docmd(command)
    return code


def smtp_code(*commands):
    def see(w):
        with w.smtp() as smtp:
            return told(smtp, "EHLO c.example", *commands)
    return see


def ehlo(word, service="smtp"):
    def see(w):
        with w.smtp(service) as smtp:
            smtp.ehlo("c.example")
            return smtp.esmtp_features.get(word.lower())
    return see


def limits(name):
    return lambda w: re.search(rf"{name}=(\d+)", ehlo("limits")(w))[1]


def data_code(*message):
    def see(w):
        with w.smtp() as smtp:
            told(smtp, "EHLO c.example", f"MAIL FROM:<{BOB}>", f"RCPT TO:<{CAROL}>", "DATA")
            smtp.send(b"\r\n".join([*message, b"", b"text", b".", b""]))
            return smtp.getreply()[0]
    return see


def bare_line_end(w):
    with w.smtp() as smtp:
        told(smtp, "EHLO c.example", f"MAIL FROM:<{BOB}>", f"RCPT TO:<{CAROL}>", "DATA")
        smtp.send(b"Subject: s\r\n\r\na\nb\r\n.\r\n")
        return smtp.getreply()[0]


def submitted(*commands):
    def see(w):
        with w.smtp("submissions") as smtp:
            smtp.login(ALICE, PASSWORD)
            return told(smtp, *commands)
    return see


def auth_line(w):
    with w.smtp("submissions") as smtp:
        told(smtp, "EHLO c.example", "AUTH PLAIN")
        return told(smtp, "=" * 13000)


def imap(command, account=CAROL):
    """The last word on a command: what begins its line and what follows."""
    def see(w):
        with w.imap(account) as client:
            return command(client)
    return see


def raw(line, *more):
    def see(client):
        client.send(b"x " + line + b"\r\n")
        answers = []
        for part in (*more, None):
            while True:
                answer = client.readline()
                assert answer
                if answer.startswith((b"+", b"x ")):
                    break
            answers.append(answer)
            if part is None or answer.startswith(b"x "):
                break
            client.send(part + b"\r\n")
        return answers[-1].split()[0 if answers[-1].startswith(b"+") else 1].decode()
    return see


def nested(depth, parts):
    """A message's BODYSTRUCTURE, as how deep and how wide it is seen."""
    text = "".join(f"Content-Type: multipart/mixed; boundary=b{i:02}\r\n\r\n--b{i:02}\r\n" for i in range(depth))
    text += "Content-Type: multipart/mixed; boundary=leaf\r\n\r\n" + "--leaf\r\n\r\nx\r\n" * parts + "--leaf--\r\n"
    text += "".join(f"--b{i:02}--\r\n" for i in reversed(range(depth)))

    def see(client):
        _, (said,) = client.append("INBOX", None, None, text.encode())
        client.select()
        uid = re.search(rb"APPENDUID \d+ (\d+)", said)[1]  # mail of other tests may come behind it
        _, found = client.uid("FETCH", uid, "BODYSTRUCTURE")
        return found[0].count(b'"multipart"' if depth == 0 else b'"mixed"') + found[0].count(b'"plain"')
    return see


def folders(client):
    return [client.create(f"f{i}")[0] for i in range(12)].count("OK") < 12


def annotate(octets, names):
    def see(client):
        return {client._simple_command("SETMETADATA", '""', f'(/private/n{i} "{"x" * octets}")')[0] for i in range(names)}
    return see


def sessions(w):
    with contextlib.ExitStack() as open_ones:
        try:
            for _ in range(3):
                open_ones.enter_context(w.imap(BOB))
        except (imaplib.IMAP4.error, OSError):
            return "refused"
        return "taken"


def id_hides(w):
    with w.imap(CAROL) as client:
        client._simple_command("ID", '("name" "odd" "version" "2.1" "vendor" "acme")')
        _, found = client.capability()
        return [word for word in ("QRESYNC", "SORT", "NOTIFY", "COMPRESS=DEFLATE") if word.encode() in found[-1].split()]


def capability(word):
    def see(w):
        with w.imap(CAROL) as client:
            return word.encode() in client.capability()[1][-1].split()
    return see


def pop3_says(word):
    def see(w):
        with w.pop3() as client:
            return client.capa().get(word)
    return see


def pop3_line(w):
    with w.pop3() as client:
        try:
            return client._shortcmd("USER " + "u" * 300)[:3].decode()
        except poplib.error_proto as refused:
            return "pop3-line" in str(refused)


def retrieved_goes(w):
    account = w.house.new_account()
    w.house.send(account, "Subject: s\n\ntext\n")
    w.house.wait_for_messages(account, 1)
    with w.pop3() as client:
        client.user(account)
        client.pass_(PASSWORD)
        client.retr(1)
        client.quit()
    return len(w.house.messages(account))


def refusal_takes_long(w):
    began = time.monotonic()
    with w.imap(None) as client, contextlib.suppress(imaplib.IMAP4.error):
        client.login(w.house.new_account(), "wrong")
    return time.monotonic() - began >= 0.6


def certificate(w):
    with socket.create_connection(("127.0.0.1", w.house.ports["imaps"]), 20) as sock, \
            client_context().wrap_socket(sock, server_hostname="mail.test.example") as tls:
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True)) == w.certificates[1][0].read_text()


def listens(address, port_name):
    def see(w):
        with contextlib.suppress(OSError), socket.create_connection((address, getattr(w, port_name)), 20):
            return True
        return False
    return see


def logs_in(account):
    def see(w):
        try:
            with w.imap(account):
                return True
        except imaplib.IMAP4.error:
            return False
    return see


def plaintext(w):
    client = imaplib.IMAP4("127.0.0.1", w.house.ports["imap"])
    try:
        return "LOGINDISABLED" in client.capabilities
    finally:
        client.logout()


def quota(client):
    client.select()
    return client.getquotaroot("INBOX")[1][1]


def relayed(local_part, what):
    """The message that a sink gets for a domain with a route of its own."""
    def see(w):
        before = [len(sink.messages) for sink in w.sinks]
        w.house.send(f"u@{local_part}.example", "Subject: s\n\ntext\n", sender=ALICE)
        deadline = time.monotonic() + 20
        while True:
            for number, sink in enumerate(w.sinks):
                if len(sink.messages) > before[number]:
                    return what(number, sink.messages[-1], sink)
            assert time.monotonic() < deadline, w.house.log_text()
            time.sleep(0.01)
    return see


def attempts(w):
    """At a server that says no for now."""
    w.sinks[0].tries = 0
    w.house.send("u@busy.example", "Subject: s\n\ntext\n", sender=ALICE)
    time.sleep(1.5)
    return w.sinks[0].tries > 2


def questions(w):
    """Whom the resolver asks about a new name, which is not in its memory. One that is ending may
    still ask about names of before."""
    w.names += 1
    name = f"n{w.names}"
    w.house.send(f"u@{name}.example.org", "Subject: s\n\ntext\n", sender=ALICE)
    label = bytes([len(name)]) + name.encode()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for number, asked in enumerate(w.dns):
            with contextlib.suppress(BlockingIOError):
                if label in asked.recv(512).lower():
                    return number
        time.sleep(0.01)
    return None


def relays_for(address):
    def see(w):
        with w.smtp(source_address=(address, 0)) as smtp:
            return told(smtp, "EHLO c.example", "MAIL FROM:<x@elsewhere.example>", "RCPT TO:<u@plain.example>")
    return see


def idle_kept(w):
    return relayed("plain", lambda *found: quits(found[2]))(w)


def quits(sink):
    deadline = time.monotonic() + 0.7
    while time.monotonic() < deadline:
        if sink.quit:
            return True
        time.sleep(0.01)
    return False


def processes(name):
    def see(w):
        return len(w.living(name))
    return see


def log_goes_to(w):
    return w.house.log.name


EFFECTS = {  # key: (what is seen, before, after)
    "top.hostname": (lambda w: w.greeting().split()[1], "mail.test.example", "new.test.example"),
    "top.plaintext-passwords": (plaintext, False, True),
    "domain.aliases": (smtp_code(f"MAIL FROM:<{BOB}>", f"RCPT TO:<other@{DOMAIN}>"), 550, 250),
    "domain.catch-all": (smtp_code(f"MAIL FROM:<{BOB}>", "RCPT TO:<nobody@second.example>"), 550, 250),
    "accounts.file": (logs_in(f"dora@{DOMAIN}"), False, True),
    "accounts.quota": (imap(lambda client: b"STORAGE" in (quota(client)[0] or b"")), False, True),
    "certificate.chain": (certificate, False, True),
    "certificate.key": (certificate, False, True),
    "listen.port": (listens("127.0.0.1", "new_port"), False, True),
    "listen.addresses": (listens("127.0.0.4", "new_port"), False, True),
    "limits.message-size": (ehlo("size"), "52428800", "1048576"),
    "limits.recipients": (limits("RCPTMAX"), "1000", "100"),
    "limits.messages": (limits("MAILMAX"), "1000", "500"),
    "limits.command-line": (smtp_code("NOOP " + "x" * 1500), 250, 500),
    "limits.auth-line": (auth_line, 500, 501),
    "limits.text-line": (data_code(b"Subject: s", b"", b"x" * 2000), 250, 554),
    "limits.header-size": (data_code(*[b"X-Filler: " + b"x" * 70] * 250), 250, 552),
    "limits.received": (data_code(*[b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000"] * 12), 250, 554),
    "limits.bad-commands": (smtp_code(*["WHAT"] * 3), 500, 421),
    "limits.mime-depth": (imap(nested(12, 1)), 14, 10),
    "limits.mime-parts": (imap(nested(0, 150)), 150, 99),
    "limits.account-sessions": (sessions, "taken", "refused"),
    "limits.imap-line": (imap(lambda client: client.select() and raw(b"SEARCH SUBJECT " + b"x" * 9000)(client)), "OK", "BAD"),
    "limits.imap-literal": (imap(raw(b"CREATE {3000}")), "+", "BAD"),
    "limits.imap-command": (imap(lambda client: client.select() and raw(
        b"SEARCH SUBJECT {900}", *[b"x" * 900 + b" SUBJECT {900}"] * 12, b"x" * 900)(client)), "OK", "BAD"),
    "limits.pop3-line": (pop3_line, "+OK", True),
    "limits.mailboxes": (imap(folders, BOB), False, True),
    "limits.annotation": (imap(annotate(2000, 1)), {"OK"}, {"NO"}),
    "limits.annotations": (lambda w: imap(annotate(1, 15), w.house.new_account())(w), {"OK"}, {"OK", "NO"}),
    "queue.retry": (attempts, False, True),
    "relay.networks": (relays_for("127.0.0.5"), 550, 250),
    "relay.idle": (idle_kept, False, True),
    "route.host": (relayed("host", lambda number, *_: number), 0, 1),
    "route.port": (relayed("port", lambda number, *_: number), 0, 1),
    "route.sender": (relayed("sender", lambda number, *_: number), 0, 1),
    "route.helo": (relayed("plain", lambda _, message, __: message.hello), "mail.test.example", "helo.example"),
    "route.source": (relayed("plain", lambda _, message, __: message.peer), "127.0.0.1", "127.0.0.3"),
    "route.protocol": (relayed("lmtp", lambda number, *_: number), 0, 2),
    "client.version": (id_hides, ["QRESYNC", "SORT", "NOTIFY", "COMPRESS=DEFLATE"], []),
    "client.vendor": (id_hides, ["QRESYNC", "SORT", "NOTIFY", "COMPRESS=DEFLATE"], []),
    "client.account": (id_hides, ["QRESYNC", "SORT", "NOTIFY", "COMPRESS=DEFLATE"], []),
    "client.without": (id_hides, ["QRESYNC", "SORT", "NOTIFY", "COMPRESS=DEFLATE"], []),
    "resolver.servers": (questions, 0, 1),
    "resolver.port": (questions, 0, 1),
    "throttle.refusal": (refusal_takes_long, False, True),
    "smtp.bare-line-ends": (bare_line_end, 550, 250),
    "imap.uid-only": (capability("UIDONLY"), False, True),
    "imap.message-limit": (capability("MESSAGELIMIT=1000"), False, True),
    "oauth.keys": (lambda w: "OAUTHBEARER" in (ehlo("auth", "submissions")(w) or ""), False, True),
    "submission.sender-map": (submitted(f"MAIL FROM:<{BOB}>"), 553, 250),
    "submission.future-release": (lambda w: (ehlo("futurerelease", "submission")(w) or "").split()[:1], ["2592000"], ["86400"]),
    "pop3.expire": (pop3_says("EXPIRE"), ["NEVER"], ["0"]),
    "pop3.login-delay": (pop3_says("LOGIN-DELAY"), None, ["1"]),
    "pop3.delete-after-retrieval": (retrieved_goes, 1, 0),
    "processes.session": (processes("smtpd-session"), 1, 2),
    "processes.submission": (processes("smtpd-submission"), 1, 2),
    "processes.filter": (processes("smtpd-filter"), 1, 2),
    "processes.relay": (processes("smtpd-relay"), 1, 2),
    "processes.imap-login": (processes("imapd-login"), 1, 2),
    "processes.pop3-login": (processes("pop3d-login"), 1, 2),
    "log.file": (log_goes_to, "log", "new.log"),
}
TAKEN = {  # key: roles that read it; the values are in FIRST and SECOND
    "auth": ("accounts.source", "accounts.mailbox", "accounts.user", "throttle.slow-after", "throttle.pause-after", "throttle.pause", "throttle.forget",
             "limits.network-ipv4", "limits.network-ipv6", "limits.alias-expansion"),
    "auth, check": ("processes.check", "oauth.issuer", "oauth.audience", "oauth.scope", "oauth.claim"),
    "auth, imapd-mailbox": ("accounts.mail",),
    "smtpd-session, smtpd-submission, imapd-login, pop3d-login": (
        "limits.connections", "limits.connections-per-network", "limits.unauthenticated-connections",
        "limits.unauthenticated-per-network", "timeouts.handshake", "timeouts.write", "client-certificates.authorities",
        "client-certificates.name"),
    "smtpd-session, smtpd-submission": ("timeouts.smtp-command", "timeouts.smtp-data", "timeouts.smtp-message"),
    "imapd-login, pop3d-login": ("timeouts.login",),
    "imapd-mailbox": ("imap.progress", "imap.shared-mailboxes", "timeouts.imap", "timeouts.hibernate", "timeouts.linger", "limits.account-annotations", "undo.keep",
                      "undo.quota", "undo.mailbox"),
    "pop3d-login": ("timeouts.pop3", "pop3.keep", "pop3.dovecot-uidl-format"),
    "smtpd-queue, imapd-mailbox": ("submission.sent-copy",),
    "smtpd-queue": ("limits.free-space", "queue.lifetime", "queue.delay-warning", "relay.tls-reports-delay",
                    "relay.tls-report-contact", "relay.tls-reports"),
    "smtpd-relay": ("relay.connections", "relay.per-destination", "relay.connect", "relay.reply", "relay.private-targets",
                    "relay.address-literals", "relay.mta-sts", "relay.authorities", "route.tls", "route.implicit-tls", "route.user",
                    "route.password-file", "route.connections", "route.messages-per-minute"),
    "resolver": ("resolver.trust-anchor",),
    "journal": ("log.history", "log.history-size"),
    "master": ("timeouts.shutdown",),
}
ELSEWHERE = {  # with keys of this file they cannot stand together
    test_introspection.test_a_reload: ("oauth.introspection", "oauth.introspection-credentials", "oauth.introspection-timeout",
                                       "oauth.introspection-cache"),
}
REFUSAL = "{} cannot change while the server runs, and all stays as it was: stop it and start it again"
FIXED = {"top.state": "{directory}/other", "top.role-users": "other-", "top.uid-base": "71000",
         "top.control-socket": "{directory}/other-control"}

# What is not named stands at its default.
SECOND = {
    "": {"hostname": "new.test.example", "plaintext-passwords": "never"},
    "limits": {
        "message-size": "1M", "recipients": 100, "messages": 500, "command-line": "1K", "auth-line": "16K", "text-line": 1000,
        "header-size": "16K", "received": 10, "bad-commands": 2, "alias-expansion": 500, "mime-depth": 10, "mime-parts": 100,
        "account-sessions": 2, "imap-line": "8K", "imap-literal": "1K", "imap-command": "8K", "pop3-line": 255, "mailboxes": 10,
        "annotation": "1K", "annotations": 10, "account-annotations": "64K", "connections": 3000, "connections-per-network": 900,
        "unauthenticated-connections": 900, "unauthenticated-per-network": 90, "network-ipv4": 16, "network-ipv6": 48,
        "free-space": "2M"},
    "timeouts": {"handshake": "20s", "smtp-command": "4m", "smtp-data": "4m", "smtp-message": "30m", "login": "1m", "imap": "29m",
                 "pop3": "9m", "write": "4m", "hibernate": "20s", "linger": "20s", "shutdown": "9s"},
    "queue": {"retry": "200ms", "lifetime": "4d", "delay-warning": "3h"},
    "relay": {"networks": "127.0.0.0/8", "idle": "0", "connections": 900, "per-destination": 10, "connect": "20s", "reply": "4m",
              "private-targets": "yes", "address-literals": "yes", "mta-sts": "no", "tls-reports": "no", "tls-reports-delay": "1h",
              "tls-report-contact": '"tls@test.example"'},
    "imap": {"uid-only": "yes", "message-limit": 1000, "progress": "9s", "shared-mailboxes": "Others"},
    "undo": {"keep": "6d", "quota": "2G", "mailbox": "Gone"},
    "throttle": {"refusal": "600ms", "slow-after": 2, "pause-after": 3, "pause": "2s", "forget": "30m"},
    "smtp": {"bare-line-ends": "keep"},
    "submission": {"future-release": "1d", "sent-copy": "yes"},
    "pop3": {"expire": "0", "login-delay": "1s", "delete-after-retrieval": "yes", "keep": "0", "dovecot-uidl-format": '"%u.%v"'},
    "processes": {"session": 2, "submission": 2, "filter": 2, "relay": 2, "imap-login": 2, "pop3-login": 2, "check": 4},
    "log": {"history": "20d", "history-size": "2G"},
}
FIRST = {"": {"hostname": "mail.test.example"}, "limits": {"free-space": "1M"}, "throttle": {"refusal": "10ms"},
         "relay": {"networks": "127.0.0.1/32", "idle": "5m"}, "queue": {"retry": "1h"}}


class World:
    """A house whose configuration this file writes whole."""

    def __init__(self, make_module_house, directory):
        self.sinks = [Sink(answers={"RCPT": self.on_rcpt, "QUIT": self.on_quit}, lmtp=number == 2, address="0.0.0.0") for number in range(3)]
        for sink in self.sinks:
            sink.tries, sink.quit = 0, False
        self.dns = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for number, asked in enumerate(self.dns):
            asked.bind((f"127.0.0.{number + 1}", 0))
            asked.setblocking(False)
        self.names = 0
        self.new_port, = free_ports(1)
        (directory / "other").mkdir()
        self.certificates = [make_certificate(directory), make_certificate(directory / "other")]
        self.directory = directory
        self.house = make_module_house(certificate=self.certificates[0], start=False)
        self.write_files()

    @staticmethod
    def on_rcpt(connection, line):
        if b"busy.example" not in line:
            return None
        connection.sink.tries += 1
        return b"450 4.2.0 not now"

    @staticmethod
    def on_quit(connection, line):
        connection.sink.quit = True
        return None

    def write_files(self):
        house, etc = self.house, self.house.directory / "etc"
        house.accounts_file.write_text("".join(f"{name}:{cheap_verifier(PASSWORD)}\n" for name in (ALICE, BOB, CAROL)))
        house.aliases_file.write_text(f"many: {ALICE}, {BOB}, {CAROL}\n")
        (etc / "aliases2").write_text(f"many: {ALICE}, {BOB}, {CAROL}\nother: {BOB}\n")
        (etc / "accounts2").write_text(house.accounts_file.read_text() + house.accounts_file.read_text().splitlines()[0].replace(
            "alice@", "dora@") + "\n")
        (etc / "senders").write_text(f"{ALICE}: {BOB}\n")
        (etc / "password").write_text("secret\n")
        (etc / "anchor").write_text(". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
        (etc / "authority.pem").write_text(self.certificates[1][0].read_text())
        (etc / "keys.json").write_text(json.dumps({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}))
        for name in ("authority.pem", "keys.json", "aliases2", "accounts2", "senders", "anchor"):
            (etc / name).chmod(0o644)

    def write(self, settings, second=False, top=()):
        house, etc = self.house, self.house.directory / "etc"
        merged = {section: dict(keys) for section, keys in settings.items()}
        merged[""].update(house.default_settings()[""] | merged[""] | dict(top))
        dns = self.dns[second].getsockname()
        merged["resolver"] = {"servers": dns[0], "port": dns[1]}
        if second:
            merged["resolver"]["trust-anchor"] = f'"{etc}/anchor"'
            merged["relay"]["authorities"] = f'"{self.certificates[1][0]}"'
            merged["submission"]["sender-map"] = f'"{etc}/senders"'
            merged["client-certificates"] = {"name": "common-name", "authorities": f'"{etc}/authority.pem"'}
            merged["oauth"] = {"issuer": '"https://id.example"', "audience": "mail", "scope": "mail", "claim": "sub", "keys": f'"{etc}/keys.json"'}
            merged["log"]["file"] = f'"{house.directory}/new.log"'
        lines = [f'{key} = "{value}"' for key, value in merged.pop("").items()]
        lines += [f"{section} {{ {' '.join(f'{key} = {value}' for key, value in keys.items())} }}" for section, keys in merged.items()]
        chain, key = self.certificates[second]
        lines.append(f'certificate mail.test.example {{ chain = "{chain}" key = "{key}" }}')
        lines += [f"listen {service} {{ port = {port} addresses = 127.0.0.1 }}" for service, port in house.ports.items()]
        lines += self.sections(second, etc)
        house.config.write_text("\n".join(lines) + "\n")

    def sections(self, second, etc):
        house, (a, b, c) = self.house, [sink.port for sink in self.sinks]
        accounts = f'accounts {{ source = file file = "{etc}/accounts{2 if second else ""}" mail = "{house.mail}" '
        yield f'domain {DOMAIN} {{ aliases = "{etc}/aliases{2 if second else ""}" }}'
        yield f"domain second.example {{ {f'catch-all = {chr(34)}{BOB}{chr(34)}' if second else ''} }}"
        if second:
            yield accounts + 'user = nobody quota = 100M }'
            yield f'accounts {{ source = file file = "{etc}/accounts" mail = "{house.directory}/mail2" }}'
            yield "accounts { source = pam mailbox = ~/Other }"
            yield f"listen smtp {{ port = {self.new_port} addresses = {{ 127.0.0.1, 127.0.0.4 }} }}"
            yield f'route sender.example {{ sender = "{ALICE}" host = "127.0.0.1" port = {b} }}'
            yield 'client "odd" { without = {QRESYNC} }'
            yield 'client "odd" { version = "2*" without = {SORT} }'
            yield 'client "odd" { vendor = "ac*" without = {NOTIFY} }'
            yield f'client "odd" {{ account = "{CAROL}" without = {{"COMPRESS=DEFLATE"}} }}'
        else:
            yield accounts + "}"
        yield f'route host.example {{ host = "127.0.0.{2 if second else 1}" port = {b if second else a} }}'
        yield f'route port.example {{ host = "127.0.0.1" port = {b if second else a} }}'
        yield f'route lmtp.example {{ host = "127.0.0.1" port = {c if second else a} protocol = {"lmtp" if second else "smtp"} }}'
        yield (f'route plain.example {{ host = "127.0.0.1" port = {a} '
               + ("helo = helo.example source = 127.0.0.3" if second else "") + " }")
        yield ('route safe.example { host = mx.safe.example '
               + (f'tls = verify implicit-tls = yes user = u password-file = "{etc}/password" connections = 3 messages-per-minute = 9'
                  if second else "tls = may") + " }")
        yield f'route ".example" {{ host = "127.0.0.1" port = {a} }}'

    def smtp(self, service="smtp", **options):
        if service == "submissions":
            return smtplib.SMTP_SSL("127.0.0.1", self.house.ports[service], timeout=20, context=client_context(), **options)
        return smtplib.SMTP("127.0.0.1", self.house.ports[service], timeout=20, **options)

    @contextlib.contextmanager
    def imap(self, account):
        client = imaplib.IMAP4_SSL("127.0.0.1", self.house.ports["imaps"], ssl_context=client_context(), timeout=20)
        try:
            if account:
                client.login(account, PASSWORD)
            yield client
        finally:
            client.shutdown()

    @contextlib.contextmanager
    def pop3(self):
        client = poplib.POP3_SSL("127.0.0.1", self.house.ports["pop3s"], timeout=20, context=client_context())
        try:
            yield client
        finally:
            client.close()

    def greeting(self):
        with self.house.connect("smtp") as smtp:
            return smtp.greeting.decode()

    def rows(self):
        """Of `staffetta status`: (role, its configuration's number, is it ending)."""
        text = self.house.command("status").stdout
        return [(row.split()[0], int(re.search(r" (yes|no) +(\d+) ", row + " ")[2]) if row.split()[0] != "master" else
                 int(row.split()[-1]), "(ending)" in row)
                for row in text.split("\n\n")[0].splitlines() if re.match(r"[a-z0-9-]+ +\d", row)]

    def living(self, name):
        return [row for row in self.rows() if row[0] == name and not row[2]]

    def reload(self):
        done = self.house.command("reload", check=False)
        assert done.returncode == 0, done.stderr
        deadline = time.monotonic() + 20
        while not self.is_taken():
            assert time.monotonic() < deadline, self.house.command("status").stdout
            time.sleep(0.05)

    def is_taken(self):
        rows = [row for row in self.rows() if not row[2]]
        newest = max(number for _, number, _ in rows)
        return all(number == newest for role, number, _ in rows if role not in ("smtpd-deliver", "pop3d-maildrop")) \
            and "(starting)" not in self.house.command("status").stdout

    def see_all(self):
        """What goes wrong is seen, too: its key fails, not all."""
        seen, known = {}, {}
        for key, (see, _, _) in EFFECTS.items():
            if see not in known:
                try:
                    known[see] = see(self)
                except (AssertionError, OSError, imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException, TypeError, KeyError) as error:
                    known[see] = repr(error)[-600:]
            seen[key] = known[see]
        return seen


class Survivors:
    """Three sessions that were there before."""

    def __init__(self, world):
        house = world.house
        house.send(ALICE, "Subject: first\n\ntext\n")
        house.wait_for_messages(ALICE, 1)
        self.house, self.smtp = house, house.connect("smtp")
        self.smtp.talk(f"""
            C: EHLO c.example
            S: ...
            S: 250 *
            C: MAIL FROM:<x@elsewhere.example>
            S: 250 *
            C: RCPT TO:<{ALICE}>
            S: 250 *""")
        self.pop3 = house.connect("pop3")
        self.pop3.talk(f"""
            C: USER {ALICE}
            S: +OK*
            C: PASS {PASSWORD}
            S: +OK *""")
        self.imap = house.connect("imap")
        self.imap.talk(f"""
            C: a LOGIN {ALICE} {PASSWORD}
            S: ...
            S: a OK *
            C: b SELECT INBOX
            S: ...
            S: b OK *
            C: c IDLE
            S: + *""")

    def go_on(self):
        """What SMTP had begun arrives, IMAP hears of it, POP3 has its own view."""
        self.smtp.talk("""
            C: DATA
            S: 354 *
            C: Subject: second
            C:
            C: text
            C: .
            S: 250 *
            S: 421 *
            S: (closed)""")
        self.imap.talk("""
            S: ...
            S: * 2 EXISTS
            C: DONE
            S: ...
            S: c OK *
            C: d NOOP
            S: ...
            S: d OK *""")
        self.pop3.talk("""
            C: STAT
            S: +OK 1 *
            C: QUIT
            S: +OK *""")


@pytest.fixture(scope="module")
def world(make_module_house, tmp_path_factory):
    world = World(make_module_house, tmp_path_factory.mktemp("reload"))
    world.write(FIRST)
    world.house.start()
    world.before = world.see_all()
    survivors = Survivors(world)
    world.write(SECOND, second=True)
    world.reload()
    world.house.log, world.house.accounts_file = world.house.directory / "new.log", world.house.directory / "etc" / "accounts2"
    world.after = world.see_all()
    survivors.go_on()
    yield world
    for one in (*world.sinks, *world.dns):
        one.close()


def test_no_connection_was_dropped(world):
    """Those of the fixture, which fails else; auth alone began anew, for an owner of mail that it did not know."""
    assert "restarts: 1\n  auth: 1\n" in world.house.command("status").stdout
    assert world.house.events("restart_to_reload", error="a new owner of mail")


def test_every_key_has_its_place():
    known = [*EFFECTS, *FIXED, *(key for keys in (*TAKEN.values(), *ELSEWHERE.values()) for key in keys)]
    assert sorted(known) == sorted(documented())
    for test, keys in ELSEWHERE.items():
        assert all(key.split(".")[1].replace("-", "_") + "=" in inspect.getsource(test) for key in keys)


@pytest.mark.parametrize("key", EFFECTS)
def test_effect(world, key):
    _, before, after = EFFECTS[key]
    assert (world.before[key], world.after[key]) == (before, after)
    assert before != after


@pytest.mark.parametrize("roles", TAKEN)
def test_taken(world, roles):
    """All of the roles that read the keys say that they work with the second configuration."""
    for role in roles.split(", "):
        with world.imap(CAROL):
            numbers = {number for _, number, _ in world.living(role)}
        assert numbers == {2}, (role, numbers)


@pytest.mark.parametrize("key", FIXED)
def test_fixed(world, key):
    """All stays as it was; what would have had to change is named."""
    name = key.removeprefix("top.")
    world.write(SECOND, second=True, top={name: FIXED[key].format(directory=world.house.directory)})
    if name == "control-socket":  # the command looks for the new one
        world.house.process.send_signal(1)
        said = world.house.wait_for_event("reload_refused", error=REFUSAL.format("control-socket"))["error"]
    else:
        said = world.house.command("reload", check=False).stderr
    world.write(SECOND, second=True)
    assert REFUSAL.format(name) in said
    assert world.living("master")[0][1] == 2
    assert world.greeting().split()[1] == "new.test.example"
