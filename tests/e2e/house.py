"""A whole staffetta in a directory of its own, on free loopback ports, as whoever runs the tests."""

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import time

import pytest
from talk import Conversation, client_context

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("STAFFETTA_BUILD", ROOT / "build")).resolve()
CORPUS = pathlib.Path(os.environ.get("CORPUS", ROOT.parent / "shared" / "corpus"))
DOMAIN = "test.example"
PASSWORD = "staffetta"
SERVICES = {
    "smtp": False,
    "submission": False,
    "submissions": True,
    "imap": False,
    "imaps": True,
    "pop3": False,
    "pop3s": True,
}  # name: TLS from the first octet; "http" is there only where a test names it
UID_BASE = 70000
START_SECONDS = 30
STOP_SECONDS = 20

# Sanitized roles are chrooted and confined: they cannot run a symbolizer, nor stop to look for
# leaks, which unit tests find. Of where memory came from they keep one frame: all of them take an
# eighth of the page faults of a start. Who looks for an error has them by
# ASAN_OPTIONS=malloc_context_size=30.
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "ASAN_OPTIONS": "detect_leaks=0:symbolize=0:abort_on_error=0:malloc_context_size=1:"
                    + os.environ.get("ASAN_OPTIONS", ""),
    "UBSAN_OPTIONS": "symbolize=0:print_stacktrace=0",
}
SANITIZER_WORDS = ("AddressSanitizer", "runtime error:", "LeakSanitizer")


@functools.cache
def cheap_verifier(password):
    """What libsodium makes of a password with the least work it takes."""
    verifier = ctypes.create_string_buffer(128)
    octets = password.encode()
    sodium = ctypes.CDLL("libsodium.so.23")
    failed = sodium.crypto_pwhash_str(verifier, octets, ctypes.c_ulonglong(len(octets)),
                                      ctypes.c_ulonglong(1), ctypes.c_size_t(8192))
    assert not failed
    return verifier.value.decode()


def replace_file(path, text):
    """As an editor does: nobody reads the half of it, and its owner and mode stay."""
    new, old = path.with_name(path.name + ".new"), path.stat()
    new.write_text(text)
    new.chmod(old.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(new, old.st_uid, old.st_gid)
    new.rename(path)


@functools.cache
def is_sanitized():
    """Then it has more memory, and takes longer."""
    return b"libasan" in (BUILD / "libexec" / "smtpd-session").read_bytes()


@contextlib.contextmanager
def looking_into_a_role():
    """Roles cannot be dumped: an ordinary user may not look at the files of his own."""
    try:
        yield
    except PermissionError:
        pytest.skip("only root may look into a role")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


# Below those that the kernel gives to clients (32768 and up), and a range for each of the processes
# that test at the same time: whoever holds the name of a range has its ports. Such a name stands in
# the network namespace, as ports do, and ends with the process.
PORTS_FIRST, PORTS_EACH, PORTS_RANGES = 10000, 750, 30
_range_held = socket.socket(socket.AF_UNIX)


def _hold_a_range():
    for number in range(PORTS_RANGES):
        with contextlib.suppress(OSError):
            _range_held.bind(f"\0staffetta-tests-ports-{number}")
            return PORTS_FIRST + number * PORTS_EACH
    raise RuntimeError(f"{PORTS_RANGES} processes test already")


def _port_candidates():
    first = _hold_a_range()
    while True:
        yield from range(first, first + PORTS_EACH)


_candidates = _port_candidates()


def can_listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            return True
        except OSError:
            return False


def free_ports(count):
    """Ports that nobody has now, on 127.0.0.1, and that no other house of this process was given
    for a while."""
    found = (port for port in _candidates if can_listen("127.0.0.1", port))
    return list(itertools.islice(found, count))


def make_certificate(directory, name="mail.test.example", key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    """A self-signed certificate; (chain, key). `key`: as `openssl req -newkey` wants it."""
    chain, secret = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", secret, "-out", chain],
        check=True, capture_output=True,
    )
    return chain, secret


@functools.cache
def one_authority():
    """A file for all relays that no test gives authorities: to read those that Debian believes
    takes a relay more time than the rest of its start."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o755)
    return make_certificate(directory, "authority")[0]


class Authority:
    """A certificate authority of our own: `file` is what is to be believed."""

    def __init__(self, directory, name="authority"):
        self.directory, self.file, self.key = directory, directory / f"{name}.pem", directory / f"{name}.key"
        self.serial = 0
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.file)

    def issue(self, *names, common_name="host", days=30, new_key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        """A certificate for those DNS names or IPv4 addresses; (chain, key). days < 0: it is over. `new_key`: as `openssl req -newkey` wants it."""
        self.serial += 1
        chain, key, request, extensions = (self.directory / f"{self.file.stem}-{self.serial}.{suffix}"
                                           for suffix in ("pem", "key", "request", "extensions"))
        openssl("req", "-newkey", *new_key, "-nodes", "-subj", f"/CN={common_name}",
                "-keyout", key, "-out", request)
        extensions.write_text("subjectAltName=" + ",".join(
            f"{'IP' if name.replace('.', '').isdigit() else 'DNS'}:{name}" for name in names) if names else
                              "basicConstraints=CA:FALSE")
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-set_serial", str(self.serial),
                "-days", str(days), "-extfile", extensions, "-out", chain)
        return chain, key


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def children_of(pid):
    """All processes below pid, as {pid: command name}."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            stat = pathlib.Path("/proc", entry, "stat").read_text()
            name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
            parents[int(entry)], names[int(entry)] = int(rest.split()[1]), name
    found, wave = {}, {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found.update((child, names[child]) for child in wave)
    return found


def parse_event(line):
    """'... event=x key=value key="quoted"' as a dictionary; {} where it is no event."""
    start = line.find("event=")
    fields, at = {}, start
    while 0 <= at < len(line):
        equals = line.find("=", at)
        if equals < 0:
            break
        key, at = line[at:equals], equals + 1
        if line[at : at + 1] == '"':
            end = at + 1
            while end < len(line) and line[end] != '"':
                end += 2 if line[end] == "\\" else 1
            fields[key], at = line[at + 1 : end], end + 2
        else:
            end = line.find(" ", at)
            end = len(line) if end < 0 else end
            fields[key], at = line[at:end], end + 1
    return fields


class House:
    """Make one with the `make_house` fixture, or use the shared one, `house`.

    settings: {section: {key: value}}, "" for what stands outside of sections; they are merged with
    the defaults. extra: more text of the configuration. services: which are listened on. below: the command that runs it."""

    def __init__(self, settings=None, extra="", services=tuple(SERVICES), certificate=None, below=()):
        # Not pytest's directory: that is closed to the uids of the roles.
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-"))
        self.directory.chmod(0o755)
        self.ports = dict(zip(services, free_ports(len(services))))
        self.settings = settings or {}
        self.extra = extra
        self.certificate = certificate or make_certificate(self.directory)
        self.config = self.directory / "staffetta.conf"
        self.log = self.directory / "log"
        self.mail = self.directory / "mail"
        self.accounts_file = self.directory / "etc" / "accounts"
        self.aliases_file = self.directory / "etc" / "aliases"
        self.below = list(below)
        self.process = None
        self.deaths_expected = False
        self.may_trap = False  # a test has a role make a forbidden system call
        self.account_number = 0
        (self.directory / "etc").mkdir()
        self.aliases_file.touch()
        self.accounts_file.touch()
        self.write_config()

    # --- configuration

    def default_settings(self):
        top = {
            "hostname": "mail.test.example",
            "state": self.directory / "state",
            "control-socket": self.directory / "control",
        }
        if os.geteuid() == 0:
            top["uid-base"] = UID_BASE
        return {"": top, "limits": {"free-space": "1M"}, "throttle": {"refusal": "10ms"},
                "relay": {"authorities": f'"{one_authority()}"'}}

    def write_config(self, settings=None):
        """Writes the file anew, with the settings of the house and these."""
        merged = self.default_settings()
        for more in (self.settings, settings or {}):
            for section, keys in more.items():
                merged.setdefault(section, {}).update(keys)
        lines = [f'{key} = "{value}"' for key, value in merged.pop("").items()]
        for section, keys in merged.items():
            inside = " ".join(f"{key} = {value}" for key, value in keys.items())
            lines.append(f"{section} {{ {inside} }}")
        lines.append(f'domain {DOMAIN} {{ aliases = "{self.aliases_file}" }}')
        lines.append(f'accounts {{ source = file file = "{self.accounts_file}" '
                     f'mail = "{self.mail}" }}')
        chain, key = self.certificate
        lines.append(f'certificate mail.test.example {{ chain = "{chain}" key = "{key}" }}')
        for service, port in self.ports.items():
            lines.append(f"listen {service} {{ port = {port} addresses = 127.0.0.1 }}")
        self.config.write_text("\n".join(lines) + "\n" + self.extra + "\n")

    # --- life

    def command(self, *arguments, input="", check=True):
        """staffetta -c CONFIG ARGUMENTS..."""
        return subprocess.run(
            [BUILD / "staffetta", "-c", self.config, *arguments],
            input=input, text=True, capture_output=True, check=check, env=ENVIRONMENT,
        )

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.below, BUILD / "staffetta", "-c", self.config, "run"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()

    def wait_for_greeting(self, service):
        if service == "http":  # the client speaks first
            socket.create_connection(("127.0.0.1", self.ports[service]), timeout=20).close()
        else:
            self.connect(service).close()

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        for service in self.ports:
            while True:
                try:
                    self.wait_for_greeting(service)
                    break
                except (OSError, AssertionError) as error:
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(
                            f"{service} does not answer: {error}\n{self.log_text()}"
                        ) from None
                    time.sleep(0.02)
        # A port answers before all behind it are there; without the queue MAIL is a 451.
        if "log" not in self.settings:
            self.wait_for_event("ready")

    def stop(self):
        """Asks the master to stop; all of its processes must end with it."""
        if self.process is None:
            return
        children = children_of(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
            assert status == 0, f"the master ended with {status}\n{self.log_text()}"
            self.wait_until_gone(children)
        finally:
            self.kill_all(children)

    def kill_master(self):
        """SIGKILL to the master; its children must see it and end."""
        children = children_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.process = None
        try:
            self.wait_until_gone(children)
        finally:
            self.kill_all(children)

    def kill_everything(self):
        """SIGKILL to the master and all below it at once, as a crash of the machine would."""
        self.process.send_signal(signal.SIGSTOP)  # a role that it had just begun would be missed
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        children = children_of(self.process.pid)
        for pid in [self.process.pid, *children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.wait_until_gone(children)

    def wait_until_gone(self, children):
        deadline = time.monotonic() + STOP_SECONDS
        while (left := self.alive(children)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"left behind: {left}\n{self.log_text()}"

    def alive(self, children):
        found = {}
        for pid, name in children.items():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = pathlib.Path("/proc", str(pid), "stat").read_text()
                if stat.rsplit(")", 1)[1].split()[0] not in "ZX" and f"({name})" in stat:
                    found[pid] = name
        return found

    def kill_all(self, children):
        for pid in self.alive(children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process = None

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- who runs

    def processes(self):
        """{pid: name} of all below the master; names are those of the executables, cut to 15."""
        return children_of(self.process.pid)

    def pids(self, name):
        """Of the processes of that role, oldest first."""
        return sorted(pid for pid, found in self.processes().items() if found == name[:15])

    # --- accounts

    def add_account(self, name, *options, password=PASSWORD):
        self.command("account", "add", *options, name, input=password + "\n")
        return name

    def new_account(self, prefix="user", fields=""):
        """An account that nobody else uses; its address. Not by the command: most tests want one,
        and its hash takes as long as they do. `fields` stand behind the hash: ":quota=1M"."""
        self.account_number += 1
        name = f"{prefix}{self.account_number}@{DOMAIN}"
        line = f"{name}:{cheap_verifier(PASSWORD)}{fields}\n"
        replace_file(self.accounts_file, self.accounts_file.read_text() + line)
        return name

    def maildir(self, account):
        local_part, domain = account.split("@")
        return self.mail / domain / local_part / "Maildir"

    def messages(self, account, folder=""):
        """Files of messages in new/ and cur/."""
        base = self.maildir(account) / folder
        return sorted(file for part in ("new", "cur") if (base / part).is_dir()
                      for file in (base / part).iterdir())

    def wait_for_messages(self, account, count, folder="", seconds=START_SECONDS):
        deadline = time.monotonic() + seconds
        while len(found := self.messages(account, folder)) < count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(found)} of {count} messages in the Maildir of {account}"
                                     f"\n{self.log_text()}")
            time.sleep(0.01)
        return found

    # --- conversations

    def connect(self, service, **options):
        """A Conversation; TLS from the first octet where the service has it."""
        options.setdefault("server_name", "mail.test.example")
        if SERVICES.get(service):
            options.setdefault("tls", client_context())
        return Conversation("127.0.0.1", self.ports[service], **options)

    def send(self, recipients, message, sender="outside@elsewhere.example"):
        """Over port 25, as from outside; CRLF is made of line ends. The replies are checked."""
        if isinstance(recipients, str):
            recipients = [recipients]
        if isinstance(message, str):
            message = message.encode()
        message = re.sub(rb"\r?\n", b"\r\n", message)
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"], timeout=20) as client:
            refused = client.sendmail(sender, recipients, message)
        assert not refused

    # --- log

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self, event=None, **fields):
        """The events of the log so far with that name and those fields."""
        wanted = {key: str(value) for key, value in fields.items()}
        if event:
            wanted["event"] = event
        parsed = (parse_event(line) for line in self.log_text().splitlines())
        return [found for found in parsed if found and wanted.items() <= found.items()]

    def wait_for_event(self, event, seconds=START_SECONDS, **fields):
        deadline = time.monotonic() + seconds
        while not (found := self.events(event, **fields)):
            if time.monotonic() > deadline:
                raise AssertionError(f"no event {event} {fields}\n{self.log_text()}")
            time.sleep(0.02)
        return found[-1]

    def sanitizer_reports(self):
        return [line for line in self.log_text().splitlines()
                if any(word in line for word in SANITIZER_WORDS)]
