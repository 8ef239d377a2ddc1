"""Debian's Postfix and Dovecot in directories of their own on free loopback ports, with the
durability they have by default: what `make bench` measures staffetta beside. Root alone.

Dovecot runs as its manual advises where speed counts: login processes serve many clients
(`service_count = 0`), `imap` processes are used again, passwords are compared as they stand."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

from house import children_of, free_ports, make_certificate

MAIL_UID = 70099
SINK_DOMAIN = "sink.example"
MASTER_CF = """
{port} inet n - n - 200 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {here}/spool
data_directory = {here}/data
maillog_file = {here}/log
maillog_file_prefixes = {here}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.bench.example
mydestination =
local_recipient_maps =
alias_maps =
virtual_mailbox_domains = bench.example
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{here}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_minimum_uid = 100
relay_domains = {sink_domain}
transport_maps = texthash:{here}/transport
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""
DOVECOT_CONF = """
base_dir = {here}/run
state_dir = {here}/state
instance_name = bench
log_path = {here}/log
protocols = imap pop3
mail_location = maildir:{mail}/%d/%n/Maildir
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
disable_plaintext_auth = no
first_valid_uid = 100
passdb {{
  driver = static
  args = password=staffetta
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={mail}/%d/%n allow_all_users=yes
}}
mail_max_userip_connections = 1000
default_client_limit = 10000
service imap {{
  service_count = 1000
  idle_kill = 10s
}}
service imap-login {{
  service_count = 0
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
  }}
}}
service pop3-login {{
  service_count = 0
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


class Sink:
    """Postfix's smtp-sink: takes all mail and counts it. Without it `process` is None."""

    def __init__(self):
        self.port = free_ports(1)[0]
        program = shutil.which("smtp-sink")
        self.process = None
        self.counts = tempfile.TemporaryFile()
        if program and os.geteuid() == 0:
            self.process = subprocess.Popen(
                [program, "-c", "-m", "4000", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"],
                stdin=subprocess.DEVNULL, stdout=self.counts)

    def messages(self):
        octets = os.fstat(self.counts.fileno()).st_size
        tail = os.pread(self.counts.fileno(), 200, max(0, octets - 200))
        found = re.findall(rb"mesg=(\d+)", tail)
        return int(found[-1]) if found else 0

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.counts.close()


def available():
    return os.geteuid() == 0 and bool(shutil.which("postfix") and shutil.which("dovecot"))


class Rivals:
    """Postfix takes mail on ports["smtp"] into the Maildirs that Dovecot serves."""

    def __init__(self, accounts, sink):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-rivals-"))
        self.directory.chmod(0o755)
        self.mail = self.directory / "mail"
        self.mail.mkdir()
        os.chown(self.mail, MAIL_UID, MAIL_UID)
        names = ("smtp", "imap", "imaps", "pop3")
        self.ports = dict(zip(names, free_ports(len(names))))
        self.postfix = self.directory / "postfix"
        self.dovecot = self.directory / "dovecot"
        self.write_postfix(accounts, sink)
        self.write_dovecot()

    def write_postfix(self, accounts, sink):
        here = self.postfix
        (here / "spool").mkdir(parents=True)
        (here / "data").mkdir()
        os.chown(here / "data", pwd.getpwnam("postfix").pw_uid, -1)
        (here / "mailboxes").write_text("".join(
            f"{account} {account.split('@')[1]}/{account.split('@')[0]}/Maildir/\n"
            for account in accounts))
        for account in accounts:
            home = self.mail / account.split("@")[1] / account.split("@")[0]
            home.mkdir(parents=True)
            os.chown(home.parent, MAIL_UID, MAIL_UID)
            os.chown(home, MAIL_UID, MAIL_UID)
        (here / "transport").write_text(f"{SINK_DOMAIN} smtp:[127.0.0.1]:{sink.port}\n")
        (here / "main.cf").write_text(MAIN_CF.format(here=here, mail=self.mail, uid=MAIL_UID,
                                                     sink_domain=SINK_DOMAIN))
        (here / "master.cf").write_text(MASTER_CF.format(port=f"127.0.0.1:{self.ports['smtp']}"))

    def write_dovecot(self):
        here = self.dovecot
        here.mkdir()
        chain, key = make_certificate(here)
        (here / "dovecot.conf").write_text(DOVECOT_CONF.format(
            here=here, mail=self.mail, chain=chain, key=key, uid=MAIL_UID, **self.ports))

    def start(self):
        subprocess.run(["postfix", "-c", self.postfix, "start"], check=True, capture_output=True)
        self.dovecot_process = subprocess.Popen(
            ["dovecot", "-F", "-c", self.dovecot / "dovecot.conf"], start_new_session=True)
        self.postfix_pid = int((self.postfix / "spool/pid/master.pid").read_text())

    def roots(self):
        return [self.postfix_pid, self.dovecot_process.pid]

    def stop(self):
        subprocess.run(["postfix", "-c", self.postfix, "abort"], capture_output=True)
        self.dovecot_process.send_signal(signal.SIGTERM)
        self.dovecot_process.wait(20)
        deadline = time.monotonic() + 10
        while children_of(self.postfix_pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        shutil.rmtree(self.directory, ignore_errors=True)

    def maildir(self, account):
        local_part, domain = account.split("@")
        return self.mail / domain / local_part / "Maildir"
