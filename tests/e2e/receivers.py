"""Mail servers that are not ours, to send to: Debian's Postfix, Exim and OpenSMTPD as conf/receivers.sh unpacked them.
Each runs in a root directory of its own, with the libraries of this system and users of its own, and with a mount and a
process namespace that end with it: nothing is installed, and nothing is left behind. They deliver into Maildirs.

    with Postfix("203.0.113.25", domains=["d.example"], mailboxes=["u@d.example"], certificate=pair) as postfix:
        postfix.wait("u@d.example", 1)
"""

import contextlib
import ctypes
import email
import email.policy
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from house import ROOT

UNPACKED = ROOT / "build" / "receivers"
LIBRARIES = f"usr/lib/{sys.implementation._multiarch}"
MAIL_ID = 72000
START_SECONDS = 30
# What they do not bring: the system's, seen by them alone.
ENTER = f"""
for part in usr/bin {LIBRARIES} dev; do mount --bind "/$part" "$0/$part"; done
if test -d /usr/lib64; then mount --bind /usr/lib64 "$0/usr/lib64"; fi
mount -t proc proc "$0/proc"
exec chroot "$0" "$@"
"""


def why_not(*kinds):
    """Why they cannot run here; empty: they can."""
    if os.geteuid() != 0:
        return "mail servers are run by root"
    missing = [kind.package for kind in kinds if not (UNPACKED / kind.package).is_dir()]
    if missing:
        return f"{', '.join(missing)} not unpacked: make deps-test"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        return "no mount and process namespaces"
    return ""


def die_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: of `unshare`, which kills what is below it


class Receiver:
    """addresses: where it listens, port 25. mailboxes: addresses that it takes mail for. certificate: (chain, key)."""

    package = None
    users = {}  # name: number
    key_owner = "root"
    command = ()

    def __init__(self, *addresses, domains, mailboxes, certificate, name_server="192.0.2.53"):
        self.addresses, self.domains, self.mailboxes = addresses, domains, mailboxes
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"staffetta-{self.package}-"))
        self.process = None
        try:
            self.furnish(certificate, name_server)
            self.configure()
            self.start()
        except BaseException:
            self.close()
            raise

    def furnish(self, certificate, name_server):
        shutil.copytree(UNPACKED / self.package, self.root, symlinks=True, dirs_exist_ok=True)
        self.root.chmod(0o755)
        for part in ("usr/bin", "usr/lib64", LIBRARIES, "dev", "proc", "etc", "var/mail", "var/log", "tmp"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        for part in ("bin", "sbin", "lib", "lib64"):
            shutil.rmtree(self.root / part, ignore_errors=True)  # units of systemd
            (self.root / part).symlink_to(f"usr/{part}")
        for loader in pathlib.Path("/usr/lib").glob("ld-linux*"):
            shutil.copy(loader, self.root / "usr/lib", follow_symlinks=False)
        users = {"root": 0, "nobody": 65534, "vmail": MAIL_ID, **self.users}
        self.write("etc/passwd", "".join(f"{name}:x:{number}:{number}::/nonexistent:/bin/sh\n" for name, number in users.items()))
        self.write("etc/group", "".join(f"{name}:x:{number}:\n" for name, number in users.items()))
        self.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self.write("etc/resolv.conf", f"nameserver {name_server}\noptions timeout:1 attempts:1\n")
        self.write("etc/services", "smtp 25/tcp\n")
        self.write("etc/mailname", "mx.example\n")
        for source, name in zip(certificate, ("chain.pem", "key.pem")):
            shutil.copy(source, self.root / "etc" / name)
        (self.root / "etc/key.pem").chmod(0o600)
        os.chown(self.root / "etc/key.pem", self.users.get(self.key_owner, 0), 0)
        self.own("var/mail", MAIL_ID)

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o644)

    def own(self, name, user, group=None, mode=None):
        """As the owner of that directory, which is made if need be."""
        (self.root / name).mkdir(parents=True, exist_ok=True)
        os.chown(self.root / name, user, user if group is None else group)
        if mode is not None:
            (self.root / name).chmod(mode)

    def start(self):
        self.output = open(self.root / "output", "wb")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, self.root, *self.command],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, start_new_session=True, preexec_fn=die_with_us,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        deadline = time.monotonic() + START_SECONDS
        for address in self.addresses:
            while not self.greets(address):
                assert self.process.poll() is None and time.monotonic() < deadline, f"{self.package}: {self.log_text()}"
                time.sleep(0.05)

    @staticmethod
    def greets(address):
        with contextlib.suppress(OSError), socket.create_connection((address, 25), 5) as sock:
            return sock.recv(4) == b"220 "
        return False

    def log_text(self):
        return "".join(file.read_text(errors="replace") for file in [self.root / "output", *self.logs()] if file.is_file())

    def logs(self):
        return []

    def files(self, address):
        local_part, domain = address.split("@")
        return sorted((self.root / "var/mail" / domain / local_part / "new").glob("*"))

    def wait(self, address, count=1, seconds=20):
        """What arrived for that address, parsed, oldest first."""
        deadline = time.monotonic() + seconds
        while len(files := self.files(address)) < count:
            assert time.monotonic() < deadline, f"{len(files)} of {count} messages for {address}\n{self.log_text()}"
            time.sleep(0.02)
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]

    def close(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.output.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postfix(Receiver):
    """policy: "HOST:PORT" of a server that is asked about each recipient (Postfix's SMTPD_POLICY_README)."""

    package = "postfix"
    users = {"postfix": 72001, "postdrop": 72002}
    command = ("/usr/lib/postfix/sbin/master", "-i")  # "postfix start-fg" without the ten seconds of its checks

    def __init__(self, *addresses, refuse=None, policy="", **options):
        self.refuse, self.policy = refuse or {}, policy
        super().__init__(*addresses, **options)

    def configure(self):
        settings = {
            "compatibility_level": "3.6", "myhostname": "mx.postfix.example", "mydestination": "", "mynetworks": "127.0.0.0/8",
            "inet_interfaces": ", ".join(self.addresses), "inet_protocols": "all", "alias_maps": "", "maillog_file": "/dev/stdout",
            "virtual_mailbox_domains": ", ".join(self.domains), "virtual_mailbox_maps": "texthash:/etc/postfix/mailboxes",
            "virtual_mailbox_base": "/var/mail", "virtual_uid_maps": f"static:{MAIL_ID}", "virtual_gid_maps": f"static:{MAIL_ID}",
            "virtual_mailbox_limit": "0", "message_size_limit": "60000000", "virtual_minimum_uid": "1000",
            "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": "/etc/chain.pem", "smtpd_tls_key_file": "/etc/key.pem",
            "smtpd_tls_received_header": "yes", "smtpd_tls_loglevel": "1",
            "smtpd_recipient_restrictions": ", ".join([
                "check_recipient_access texthash:/etc/postfix/refuse", "reject_unauth_destination", "reject_unlisted_recipient",
                *([f"check_policy_service inet:{self.policy}"] if self.policy else [])]),
        }
        self.write("etc/postfix/main.cf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.write("etc/postfix/mailboxes", "".join(
            f"{address} {address.split('@')[1]}/{address.split('@')[0]}/\n" for address in self.mailboxes))
        self.write("etc/postfix/refuse", "".join(f"{address} {reply}\n" for address, reply in self.refuse.items()))
        services = [("smtp inet n -", "smtpd"), ("cleanup unix n -", "cleanup"), ("qmgr unix n -", "qmgr"),
                    ("rewrite unix - -", "trivial-rewrite"), ("bounce unix - -", "bounce"), ("defer unix - -", "bounce"),
                    ("trace unix - -", "bounce"), ("virtual unix - n", "virtual"), ("tlsmgr unix - -", "tlsmgr"),
                    ("proxymap unix - -", "proxymap"), ("anvil unix - -", "anvil"), ("error unix - -", "error"),
                    ("retry unix - -", "error"), ("scache unix - -", "scache"), ("postlog unix-dgram n -", "postlogd")]
        intervals = {"qmgr": "300", "tlsmgr": "1000?"}
        processes = {"cleanup": "0", "qmgr": "1", "tlsmgr": "1", "anvil": "1", "scache": "1", "postlogd": "1", "bounce": "0"}
        self.write("etc/postfix/master.cf", "".join(
            f"{service} n {intervals.get(program, '-')} {processes.get(program, '-')} {program}\n" for service, program in services))
        spool, data = "var/spool/postfix", self.users["postfix"]
        self.own("var/lib/postfix", data)
        self.own(spool, 0)
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace", "private"):
            self.own(f"{spool}/{name}", data, 0, 0o700)
        self.own(f"{spool}/public", data, self.users["postdrop"], 0o710)
        self.own(f"{spool}/maildrop", data, self.users["postdrop"], 0o730)
        self.own(f"{spool}/pid", 0)


class Exim(Receiver):
    """quota: address -> octets that its mailbox may hold; it holds twice as many, and that is looked at before a message
    is taken. The names of the mailboxes are in lower case."""

    package = "exim4-daemon-light"
    users = {"Debian-exim": 72003}
    key_owner = "Debian-exim"
    command = ("/usr/sbin/exim4", "-bdf", "-q1h")

    def __init__(self, *addresses, quota=None, **options):
        self.quota = quota or {}
        super().__init__(*addresses, **options)

    def configure(self):
        quota = "".join(f"{address}: {octets}\n" for address, octets in self.quota.items())
        self.write("etc/exim4/quota", quota)
        self.write("etc/exim4/mailboxes", "".join(
            f"{address}: /var/mail/{address.split('@')[1]}/{address.split('@')[0]}\n" for address in self.mailboxes))
        self.write("etc/exim4/exim4.conf", f"""
primary_hostname = mx.exim.example
local_interfaces = <; {' ; '.join(self.addresses)}
domainlist taken = {' : '.join(self.domains)}
tls_advertise_hosts = *
tls_certificate = /etc/chain.pem
tls_privatekey = /etc/key.pem
host_lookup =
rfc1413_hosts =
pipelining_connect_advertise_hosts =
acl_smtp_rcpt = recipient
acl_smtp_data = accept
keep_environment =
add_environment = PATH=/usr/bin
log_selector = +tls_cipher +received_recipients +smtp_connection +deliver_time
log_file_path = /var/log/exim4/%slog
begin acl
recipient:
  deny    domains = !+taken
          message = relay not permitted
  require verify = recipient
  defer   condition = ${{lookup{{$local_part@$domain}}lsearch{{/etc/exim4/quota}}{{yes}}{{no}}}}
          !verify = recipient/quota
          message = 452 4.2.2 The mailbox is full
  accept
begin routers
mailboxes:
  driver = accept
  condition = ${{lookup{{$local_part@$domain}}lsearch{{/etc/exim4/mailboxes}}{{yes}}{{no}}}}
  transport = maildir
begin transports
maildir:
  driver = appendfile
  directory = ${{lookup{{$local_part@$domain}}lsearch{{/etc/exim4/mailboxes}}}}
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
  user = {MAIL_ID}
  group = {MAIL_ID}
  quota = ${{lookup{{$local_part@$domain}}lsearch{{/etc/exim4/quota}}{{$value}}{{0}}}}
  quota_warn_threshold = 0
""")
        for address, octets in self.quota.items():
            local_part, domain = address.split("@")
            for name in ("", *(f"/{local_part}{part}" for part in ("", "/cur", "/new", "/tmp"))):
                self.own(f"var/mail/{domain}{name}", MAIL_ID)
            self.write(f"var/mail/{domain}/{local_part}/cur/1.old.x:2,", "x" * 2 * octets)
        for name in ("var/spool/exim4", "var/log/exim4"):
            self.own(name, self.users["Debian-exim"])

    def logs(self):
        return sorted((self.root / "var/log/exim4").glob("*log"))


class OpenSMTPD(Receiver):
    """messages: so many a connection. Debian 12's version offers STARTTLS, but cannot do a handshake with OpenSSL 3
    (github.com/OpenSMTPD/OpenSMTPD/issues/1171)."""

    package = "opensmtpd"
    users = {"opensmtpd": 72004, "opensmtpq": 72005}
    command = ("/usr/sbin/smtpd", "-d")

    def __init__(self, *addresses, messages=100, **options):
        self.messages = messages
        super().__init__(*addresses, **options)

    def configure(self):
        virtual = ", ".join(f'"{address}" = vmail' for address in self.mailboxes)
        listeners = "".join(f'listen on {address} port 25 hostname mx.opensmtpd.example tls pki "mx"\n' for address in self.addresses)
        self.write("etc/smtpd.conf", f"""
pki "mx" cert "/etc/chain.pem"
pki "mx" key "/etc/key.pem"
table mailboxes {{ {virtual} }}
table domains {{ {', '.join(f'"{domain}"' for domain in self.domains)} }}
smtp limit max-mails {self.messages}
smtp max-message-size 60M
{listeners}
action "store" maildir "/var/mail/%{{dest.domain}}/%{{dest.user}}" virtual <mailboxes>
match from any for domain <domains> action "store"
""")
        (self.root / "etc/chain.pem").chmod(0o644)
        self.own("var/lib/opensmtpd/empty", 0, 0, 0o711)
        self.own("var/spool/smtpd", 0, 0, 0o711)
        self.own("var/run", 0)


class PolicyServer:
    """Postfix's policy protocol, where it is started: the first answer for each recipient is another one."""

    def __init__(self, address, answer="defer 4.2.0 Greylisted, come again"):
        self.answer, self.asked = answer, []
        self.listener = socket.create_server((address, 0))
        self.at = f"{address}:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock, sock.makefile("rw") as file:
            question = {}
            for line in file:
                if line != "\n":
                    name, _, value = line.rstrip("\n").partition("=")
                    question[name] = value
                    continue
                is_new = question["recipient"] not in (known["recipient"] for known in self.asked)
                self.asked.append(question)
                grey = is_new and question["recipient"].startswith("grey")
                file.write(f"action={self.answer if grey else 'dunno'}\n\n")
                file.flush()
                question = {}

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
