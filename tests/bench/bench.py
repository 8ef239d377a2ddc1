"""`make bench`: staffetta, and Postfix with Dovecot where Debian's packages are installed, measured in
turn on loopback in one run; one table of rates and ratios. Figures of one run compare with each
other and with nothing else. BENCH_ONLY=smtp,pop3,imap,heavy,dead,… chooses; BENCH_SCALE=0.1 makes it shorter."""

import os
import pathlib
import ssl
import socket
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from house import BUILD, House, children_of  # noqa: E402
import imap_heavy  # noqa: E402
import imap_lines  # noqa: E402
from rivals import SINK_DOMAIN, Rivals, Sink, available  # noqa: E402

LOAD = pathlib.Path(os.environ.get("STAFFETTA_LOAD", BUILD / "bench" / "load"))
IMAP_LOAD = LOAD.with_name("imap_load")
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
ONLY = set(filter(None, os.environ.get("BENCH_ONLY", "").split(",")))
PASSWORD = "staffetta"
ACCOUNTS = [f"user{number}@bench.example" for number in range(40)]
DELIVERY_SECONDS = 300
DEAD_DOMAIN = "dead.example"

# name, sessions, messages, octets, messages of a connection (0: all), goal as ratio to Postfix
SMTP_CASES = [
    ("SMTP to mailbox, 1 session, 4 KiB", 1, 1500, 4096, 0, 2),
    ("SMTP to mailbox, 10 sessions, 4 KiB", 10, 6000, 4096, 0, 5),
    ("SMTP to mailbox, 40 sessions, 4 KiB", 40, 6000, 4096, 0, 5),
    ("SMTP to mailbox, 10 sessions, 100 KiB", 10, 2000, 102400, 0, 5),
    ("same, 1 session, a connection each", 1, 800, 4096, 1, 2),
    ("same, 10 sessions, a connection each", 10, 3000, 4096, 1, 5),
]

# The same to a server elsewhere: name, sessions, messages, recipients of each
RELAY_CASES = [
    ("SMTP to a sink, 1 session, 4 KiB", 1, 1500, 1),
    ("same, 10 sessions", 10, 5000, 1),
    ("same, 40 sessions", 40, 5000, 1),
    ("same, 10 sessions, 10 recipients", 10, 2000, 10),
]


class Staffetta(House):
    """The server itself, without a sanitizer, with the durability it always has."""

    DOMAIN = "bench.example"

    def __init__(self, sink, dead_port=9):
        super().__init__(
            extra=f"""
route "{SINK_DOMAIN}" {{ host = "127.0.0.1"  port = {sink.port}  tls = never }}
route ".{SINK_DOMAIN}" {{ host = "127.0.0.1"  port = {sink.port}  tls = never }}
route ".{DEAD_DOMAIN}" {{ host = "127.0.0.1"  port = {dead_port}  tls = never }}
relay {{ networks = {{ 127.0.0.0/8 }}  private-targets = yes }}
""",
            services=("smtp", "imap", "imaps", "pop3"),
            settings={"limits": {"free-space": "1M", "connections-per-network": "5000",
                                 "unauthenticated-per-network": "1000",
                                 "unauthenticated-connections": "10000",
                                 "connections": "10000", "account-sessions": "1000",
                                 "messages": "1000000", "message-size": "300M"}})

    def write_config(self, settings=None):
        super().write_config(settings)
        self.config.write_text(self.config.read_text().replace("test.example {", "bench.example {"))

    def start(self):
        for account in ACCOUNTS:
            self.add_account(account)
        super().start()
        self.wait_for_event("ready")

    def roots(self):
        return [self.process.pid]

    def stop(self):
        super().stop()
        self.remove()


# --- What is measured


def count_messages(maildir):
    return sum(len(os.listdir(maildir / part)) for part in ("new", "cur")
               if (maildir / part).is_dir())


def load(*arguments):
    done = subprocess.run([LOAD, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"load {arguments[:5]}: {done.stderr}")
    return float(done.stdout)


def cpu_seconds(server):
    """User and system time of all processes of the server, those that ended among them."""
    ticks = 0
    for root in server.roots():
        for pid in [root, *children_of(root)]:
            try:
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def smtp_rate(server, sessions, messages, octets, per_connection):
    """Messages a second from the first connection until the last file is in its Maildir."""
    messages = max(sessions, int(messages * SCALE))
    before = sum(count_messages(server.maildir(account)) for account in ACCOUNTS)
    cpu = cpu_seconds(server)
    start = time.monotonic()
    load("smtp", server.ports["smtp"], sessions, messages, octets, per_connection, *ACCOUNTS)
    while sum(count_messages(server.maildir(a)) for a in ACCOUNTS) < before + messages:
        if time.monotonic() - start > DELIVERY_SECONDS:
            raise RuntimeError("not all messages were delivered")
        time.sleep(0.01)
    seconds = time.monotonic() - start
    return messages / seconds, (cpu_seconds(server) - cpu) * 1000 / messages


def relay_rate(server, sink, sessions, messages, recipients):
    """Messages a second from the first connection until the last one has arrived elsewhere."""
    messages = max(sessions, int(messages * SCALE))
    before = sink.messages()
    cpu = cpu_seconds(server)
    start = time.monotonic()
    words = [",".join(f"user{word}-{number}@{SINK_DOMAIN}" for number in range(recipients))
             for word in range(40)]
    load("smtp", server.ports["smtp"], sessions, messages, 4096, 0, *words)
    while sink.messages() < before + messages:
        if time.monotonic() - start > DELIVERY_SECONDS:
            raise RuntimeError("not all messages were sent")
        time.sleep(0.01)
    seconds = time.monotonic() - start
    return messages / seconds, (cpu_seconds(server) - cpu) * 1000 / messages


# --- Many domains, a tenth of them dead


def living_rate(server, sink, messages):
    """Messages a second to domains of which each gets ten."""
    before = sink.messages()
    start = time.monotonic()
    load("smtp", server.ports["smtp"], 36, messages, 4096, 0,
         *(f"u@d{word}-#{max(1, messages // 360)}.{SINK_DOMAIN}" for word in range(36)))
    while sink.messages() < before + messages:
        if time.monotonic() - start > DELIVERY_SECONDS:
            raise RuntimeError("not all messages were sent")
        time.sleep(0.01)
    return messages / (time.monotonic() - start)


def measure_dead(sink):
    """In turn: a house where nothing else waits, and one where messages do for 1 000 domains whose server takes
    connections and never says a word."""
    dead, living = int(10000 * SCALE), int(9000 * SCALE)
    silent = socket.create_server(("127.0.0.1", 0), backlog=4096)
    houses = [Staffetta(sink), Staffetta(sink, silent.getsockname()[1])]
    rates = [[], []]
    try:
        for house in houses:
            house.start()
        load("smtp", houses[1].ports["smtp"], 40, dead, 4096, 0,
             *(f"u@d{word}-#25.{DEAD_DOMAIN}" for word in range(40)))
        time.sleep(2)  # until the relay has tried them and waits, as it will all along
        for _ in range(5):
            for house, found in zip(houses, rates):
                found.append(living_rate(house, sink, living))
    finally:
        for house in houses:
            house.stop()
        silent.close()
    alone, beside = map(statistics.median, rates)
    print(f"{living} messages to {living // 10} domains, alone: {alone:.0f}/s; while {dead} wait for 1000 dead ones: "
          f"{beside:.0f}/s, {beside / alone:.2f} times {[[round(rate) for rate in found] for found in rates]}", flush=True)


def fill(server, account, messages):
    load("smtp", server.ports["smtp"], 4, messages, 4096, 0, account)
    while count_messages(server.maildir(account)) < messages:
        time.sleep(0.01)


def pop3_rate(server):
    account = ACCOUNTS[-1]
    messages = int(2000 * SCALE)
    held = count_messages(server.maildir(account))
    if held < messages:
        fill(server, account, messages)
    return load("pop3", server.ports["pop3"], account, PASSWORD, messages)


def bound_rate(server):
    """What the same client gets from a process that answers out of its memory."""
    return None if isinstance(server, Rivals) else load("bound", int(20000 * SCALE))


def login_rate(server, tls):
    port = f"tls:{server.ports['imaps']}" if tls else server.ports["imap"]
    logins = int((1500 if tls else 4000) * SCALE)
    return load("imap", port, 8, logins, PASSWORD, *ACCOUNTS[:20])


class Idler:
    """An IMAP client that waits for mail."""

    def __init__(self, server, account, tls=False):
        self.socket = socket.create_connection(
            ("127.0.0.1", server.ports["imaps" if tls else "imap"]))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.input = b""
        self.read_until(b"\r\n")
        self.say(f'a LOGIN "{account}" "{PASSWORD}"', b"a OK")
        self.say("b SELECT INBOX", b"b OK")
        self.say("c IDLE", b"+ ")

    def read_until(self, what):
        while what not in self.input:
            got = self.socket.recv(65536)
            if not got:
                raise RuntimeError(f"closed: {self.input[-200:]}")
            self.input += got
        self.input = self.input[self.input.index(what) + len(what):]

    def say(self, text, answer):
        self.socket.sendall(text.encode() + b"\r\n")
        self.read_until(answer)

    def close(self):
        self.socket.close()


def notice_ms(server):
    """From the 250 of SMTP to `EXISTS` at an idling client: median of 20."""
    account = ACCOUNTS[0]
    idler = Idler(server, account)
    waits = []
    for _ in range(20):
        time.sleep(0.1)
        load("smtp", server.ports["smtp"], 1, 1, 1024, 0, account)
        start = time.monotonic()
        idler.read_until(b"EXISTS\r\n")
        waits.append((time.monotonic() - start) * 1000)
    idler.close()
    return statistics.median(waits)


def memory_kib(server):
    """Proportional set size of all processes."""
    total = 0
    for root in server.roots():
        for pid in [root, *children_of(root)]:
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines()
                         if line.startswith("Pss:"))
    return total


def have_users_gone(server, seconds):
    """Whether no user has a process any more, once that is so or that time is over."""
    deadline = time.monotonic() + seconds
    while any(name in ("imap", "imapd-mailbox") for root in server.roots()
              for name in children_of(root).values()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def memory_per_idler_kib(server, tls, asleep=False):
    """`asleep`: after timeouts.hibernate; a server without hibernation has the idlers' processes still."""
    if not have_users_gone(server, 90):  # both keep them for a while after the last connection
        raise RuntimeError("processes of users do not end")
    before = memory_kib(server)
    idlers = [Idler(server, ACCOUNTS[number % 20], tls) for number in range(200)]
    if asleep:
        have_users_gone(server, 45)
    time.sleep(1)  # until both have given back what the logins took
    per_client = (memory_kib(server) - before) / len(idlers)
    for idler in idlers:
        idler.close()
    return per_client


# --- The table


def measures(sink):
    """(group, name, unit, function of a server, goal, whether less is better)"""
    rows = [("memory", "memory at rest", "KiB", memory_kib, 1, True)]
    for name, sessions, messages, octets, per_connection, goal in SMTP_CASES:
        rows.append(("smtp", name, "msg/s", lambda server, s=sessions, m=messages, o=octets,
                     p=per_connection: smtp_rate(server, s, m, o, p), goal, False))
    for name, sessions, messages, recipients in RELAY_CASES if sink.process else []:
        rows.append(("relay", name, "msg/s", lambda server, s=sessions, m=messages, r=recipients:
                     relay_rate(server, sink, s, m, r), 3 if sessions > 1 else 1, False))
    rows += [
        ("pop3", "POP3 RETR + DELE", "msg/s", pop3_rate, 2, False),
        ("pop3", "same, where a server only answers", "msg/s", bound_rate, 2, False),
        ("login", "IMAP login", "1/s", lambda server: login_rate(server, False), 2, False),
        ("login", "IMAP login, TLS", "1/s", lambda server: login_rate(server, True), 2, False),
        ("idle", "IDLE notice after 250", "ms", notice_ms, 1, True),
        ("memory", "per idle connection", "KiB",
         lambda server: memory_per_idler_kib(server, False), 10, True),
        ("memory", "per idle connection, TLS", "KiB",
         lambda server: memory_per_idler_kib(server, True), 10, True),
        ("memory", "per connection asleep", "KiB",
         lambda server: memory_per_idler_kib(server, False, asleep=True), 30, True),
        ("memory", "per connection asleep, TLS", "KiB",
         lambda server: memory_per_idler_kib(server, True, asleep=True), 30, True),
    ]
    return [row for row in rows if not ONLY or row[0] in ONLY]


def show(value):
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return f"{value[0]:.0f} ({value[1]:.2f} ms CPU)"
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio(ours, theirs, less_is_better):
    if theirs is None:
        return "-"
    ours, theirs = (v[0] if isinstance(v, tuple) else v for v in (ours, theirs))
    better = theirs / ours if less_is_better else ours / theirs
    return f"{better:.1f} times"


def measure_rival(rivals, measure):
    """None where they do not get through it: that costs them their figure, not us the table."""
    try:
        return measure(rivals)
    except (OSError, RuntimeError) as error:
        print(f"Postfix, Dovecot: {error}", file=sys.stderr)
        return None


def print_line(name, unit, values, goal, less_is_better):
    print(f"{name + ' [' + unit + ']':42} {show(values[0]):>22} {show(values[1]):>22} "
          f"{ratio(values[0], values[1], less_is_better):>11} {goal:>5}", flush=True)


def measure_imap(servers):
    for name, unit, values, goal, less_is_better in imap_lines.measure(
            servers, IMAP_LOAD, ACCOUNTS[25:35], PASSWORD, SCALE):
        print_line(name, unit, [*values, None][:2], goal, less_is_better)


def measure_heavy(server):
    print(f"{'what is heavy for imapd':42} {'time':>9} {'memory':>9} {'same account':>14} {'another':>14} (ms: p99 / longest)")
    for name, took, memory, same, other in imap_heavy.measure(server, ACCOUNTS[36:38], PASSWORD):
        print(f"{name:42} {took:>9} {memory:>9} {same:>14} {other:>14}", flush=True)


def main():
    sink = Sink()
    rivals = Rivals(ACCOUNTS, sink) if available() else None
    if not rivals:
        print("Postfix and Dovecot are not both installed, or this is not root: staffetta alone.")
    staffetta = Staffetta(sink)
    servers = [staffetta] + ([rivals] if rivals else [])
    try:
        for server in servers:
            server.start()
        time.sleep(1)  # what a start costs is not measured
        print(f"{'':42} {'staffetta':>22} {'Postfix, Dovecot':>22} {'better':>11} {'goal':>5}")
        for _, name, unit, measure, goal, less_is_better in measures(sink):
            values = [measure(staffetta), measure_rival(rivals, measure) if rivals else None]
            print_line(name, unit, values, goal, less_is_better)
        if not ONLY or "imap" in ONLY:
            measure_imap(servers)
        if not ONLY or "heavy" in ONLY:
            measure_heavy(staffetta)
        if sink.process and (not ONLY or "dead" in ONLY):
            measure_dead(sink)
    finally:
        for server in servers:
            server.stop()
        sink.stop()


if __name__ == "__main__":
    main()
