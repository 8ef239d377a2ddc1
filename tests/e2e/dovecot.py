"""Debian's Dovecot as a process of its own on free loopback ports, over Maildirs that lie where the test
says; and what a client sees of an account, the same way for Dovecot and for us. Root alone."""

import contextlib
import imaplib
import os
import pathlib
import poplib
import re
import shutil
import signal
import subprocess
import tempfile
import time

from house import PASSWORD, free_ports

CONF = """
base_dir = {here}/run
state_dir = {here}/state
instance_name = {here.name}
log_path = {here}/log
protocols = imap pop3
mail_location = maildir:{mail}/%d/%n/Maildir
ssl = no
disable_plaintext_auth = no
first_valid_uid = 100
mail_max_userip_connections = 100
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={mail}/%d/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


def available():
    return os.geteuid() == 0 and bool(shutil.which("dovecot"))


@contextlib.contextmanager
def dovecot(mail, uid, gid, extra=""):
    """Serves <mail>/<domain>/<local part>/Maildir; yields its ports, as House.ports."""
    here = pathlib.Path(tempfile.mkdtemp(prefix="staffetta-dovecot-"))
    here.chmod(0o755)
    ports = dict(zip(("imap", "pop3"), free_ports(2)))
    (here / "dovecot.conf").write_text(
        CONF.format(here=here, mail=mail, uid=uid, gid=gid, password=PASSWORD, **ports) + extra)
    with open(here / "out", "wb") as out:
        process = subprocess.Popen(["dovecot", "-F", "-c", here / "dovecot.conf"], start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_for(ports["imap"], process, here)
        yield ports
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        shutil.rmtree(here, ignore_errors=True)


def wait_for(port, process, here):
    deadline = time.monotonic() + 20
    while True:
        try:
            imaplib.IMAP4("127.0.0.1", port).logout()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, (here / "out").read_text()
            time.sleep(0.05)


@contextlib.contextmanager
def imap(port, account):
    client = imaplib.IMAP4("127.0.0.1", port, timeout=30)
    client.login(account, PASSWORD)
    try:
        yield client
    finally:
        client.logout()


def names(client, verb):
    """The names that LIST or LSUB tells, as they stand there."""
    found = getattr(client, verb)()[1]
    return sorted(re.search(rb'"(?:/|\.)" "?([^"]+)"?$', line)[1].decode() for line in found if line)


def numbers(client, name):
    answer = client.status(f'"{name}"', "(UIDVALIDITY UIDNEXT MESSAGES)")[1][0].decode()
    return dict(re.findall(r"(UIDVALIDITY|UIDNEXT|MESSAGES) (\d+)", answer))


def messages(client, name):
    """{UID: (flags and keywords, INTERNALDATE, RFC822.SIZE)}"""
    client.select(f'"{name}"', readonly=True)
    found = {}
    for line in client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE RFC822.SIZE)")[1]:
        if line is None:
            continue
        text = line.decode()
        flags = set(re.search(r"FLAGS \(([^)]*)\)", text)[1].split()) - {"\\Recent"}
        date = imaplib.Internaldate2tuple(line)
        found[int(re.search(r"UID (\d+)", text)[1])] = (
            frozenset(flags), time.mktime(date), re.search(r"RFC822.SIZE (\d+)", text)[1])
    return found


def view(ports, account):
    """All that a client keeps of an account."""
    with imap(ports["imap"], account) as client:
        folders = names(client, "list")
        seen = {"subscribed": names(client, "lsub"), "folders": folders}
        for name in folders:
            seen[name] = (numbers(client, name), messages(client, name))
    seen["uidls"] = uidls(ports["pop3"], account)
    return seen


def uidls(port, account):
    client = poplib.POP3("127.0.0.1", port, timeout=30)
    client.user(account)
    client.pass_(PASSWORD)
    found = [line.split()[1] for line in client.uidl()[1]]
    client.quit()
    return found
