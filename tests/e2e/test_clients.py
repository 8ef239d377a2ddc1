"""Clients that people use, as Debian packages them."""

import email.message
import imaplib
import os
import poplib
import pty
import select
import shutil
import smtplib
import subprocess
import time

import pytest

from house import PASSWORD
from talk import client_context

SECONDS = 30
TEXT = "From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: <{subject}@test.example>\n\n{body}\n"


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program}")


def run(command, input=None, **options):
    done = subprocess.run(command, input=input, timeout=SECONDS, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def message(to, subject, sender="outside@elsewhere.example", body="Hello."):
    return TEXT.format(to=to, sender=sender, subject=subject, body=body)


def url(house, service, host="127.0.0.1"):
    scheme = {"submission": "smtp", "submissions": "smtps"}.get(service, service)
    return f"{scheme}://{host}:{house.ports[service]}"


# --- sending


@needs("swaks")
@pytest.mark.parametrize("service, options", [
    ("smtp", []),
    ("smtp", ["--tls"]),
    ("smtp", ["--pipeline"]),
    ("submission", ["--tls", "--auth", "PLAIN"]),
    ("submission", ["--tls", "--auth", "LOGIN"]),
    ("submissions", ["--tls-on-connect", "--auth", "PLAIN"]),
])
def test_swaks(house, account, service, options):
    login = ["--auth-user", account, "--auth-password", PASSWORD] if "--auth" in options else []
    run(["swaks", "--server", f"127.0.0.1:{house.ports[service]}", "--from", account,
         "--to", account, *options, *login])
    house.wait_for_messages(account, 1)


@needs("curl")
@pytest.mark.parametrize("service, options", [
    ("smtp", []),
    ("submission", ["--ssl-reqd", "-k"]),
    ("submissions", ["-k"]),
])
def test_curl_sends(house, account, service, options):
    login = ["-u", f"{account}:{PASSWORD}"] if service != "smtp" else []
    run(["curl", "-sS", "--crlf", url(house, service), *options, *login, "--mail-from", account,
         "--mail-rcpt", account, "-T", "-"], message(account, "by-curl", account))
    house.wait_for_messages(account, 1)


@needs("msmtp")
@pytest.mark.parametrize("service, tls", [("submission", "on"), ("submissions", "off")])
def test_msmtp(house, account, tmp_path, service, tls):
    config = tmp_path / "msmtprc"
    config.write_text(f"""
account default
host 127.0.0.1
port {house.ports[service]}
tls on
tls_starttls {tls}
tls_certcheck off
auth plain
user {account}
password {PASSWORD}
from {account}
""")
    config.chmod(0o600)
    run(["msmtp", "-C", config, account], message(account, "by-msmtp", account))
    house.wait_for_messages(account, 1)


def test_smtplib(house, account):
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=SECONDS) as client:
        client.starttls(context=client_context())
        client.login(account, PASSWORD)
        mail = email.message.EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = account, account, "Grüße"
        mail.set_content("café\n.\n..\n")
        mail.add_attachment(os.urandom(200_000), maintype="application", subtype="octet-stream")
        client.send_message(mail)
    (file,) = house.wait_for_messages(account, 1)
    assert b"Return-Path: <" + account.encode() in file.read_bytes()


# --- reading


@pytest.fixture
def three(house, account):
    """An account with three messages in its INBOX."""
    for number in range(1, 4):
        house.send(account, message(account, f"number-{number}"))
    house.wait_for_messages(account, 3)
    return account


@needs("curl")
@pytest.mark.parametrize("service", ["imap", "imaps"])
def test_curl_reads_imap(house, three, service, tmp_path):
    base, login = url(house, service), ["-sSk", "-u", f"{three}:{PASSWORD}"]
    assert "INBOX" in run(["curl", *login, base + "/"])
    text = run(["curl", *login, base + "/INBOX", "-X", "FETCH 1:* (FLAGS UID)"])
    assert text.count("FETCH") == 3
    assert "Subject: number-2" in run(["curl", *login, base + "/INBOX;MAILINDEX=2"])
    assert "SEARCH 3" in run(["curl", *login, base + "/INBOX?SUBJECT%20number-3"])
    mail = tmp_path / "mail"
    mail.write_text(message(three, "appended"), newline="\r\n")
    run(["curl", *login, base + "/INBOX", "-T", mail])
    assert len(house.messages(three)) == 4


@needs("curl")
@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_curl_reads_pop3(house, three, service):
    base, login = url(house, service), ["-sSk", "-u", f"{three}:{PASSWORD}"]
    assert len(run(["curl", *login, base + "/"]).splitlines()) == 3
    assert "Subject: number-" in run(["curl", *login, base + "/1"])
    run(["curl", *login, base + "/1", "-X", "DELE", "-I"])
    assert len(house.messages(three)) == 2


def test_imaplib(house, three):
    with imaplib.IMAP4_SSL("127.0.0.1", house.ports["imaps"], ssl_context=client_context(),
                           timeout=SECONDS) as client:
        client.login(three, PASSWORD)
        assert client.select()[1] == [b"3"]
        assert client.store("1", "+FLAGS", r"(\Seen \Flagged)")[0] == "OK"
        assert client.search(None, "UNSEEN")[1] == [b"2 3"]
        _, parts = client.fetch("2", "(BODY.PEEK[])")
        assert b"Subject: number-" in parts[0][1]
        assert client.copy("1:2", "Archive")[0] == "OK"
        client.store("3", "+FLAGS", r"\Deleted")
        assert client.expunge()[1] == [b"3"]
        client.append("INBOX", r"(\Draft)", None, message(three, "draft").encode())
        assert client.select("Archive")[1] == [b"2"]
        client.create("Work/2026")
        assert any(b"Work/2026" in line or b"Work.2026" in line for line in client.list()[1])


def test_poplib(house, three):
    client = poplib.POP3_SSL("127.0.0.1", house.ports["pop3s"], context=client_context(),
                             timeout=SECONDS)
    client.user(three)
    client.pass_(PASSWORD)
    count, octets = client.stat()
    assert count == 3
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert sum(sizes) == octets
    for number, size in enumerate(sizes, 1):
        _, lines, _ = client.retr(number)
        assert sum(len(line) + 2 for line in lines) == size
    assert len({line.split()[1] for line in client.uidl()[1]}) == 3
    client.dele(2)
    client.quit()
    assert len(house.messages(three)) == 2


@needs("mbsync")
def test_mbsync_both_ways(house, three, tmp_path):
    config, local = tmp_path / "mbsyncrc", tmp_path / "local"
    local.mkdir()
    config.write_text(f"""
IMAPStore far
Host 127.0.0.1
Port {house.ports["imap"]}
User {three}
Pass {PASSWORD}
SSLType None
AuthMechs LOGIN

MaildirStore near
Path {local}/
Inbox {local}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    sync = ["mbsync", "-c", config, "-a"]
    run(sync)
    here = sorted((local / "INBOX/new").iterdir()) + sorted((local / "INBOX/cur").iterdir())
    assert len(here) == 3
    # Seen there, deleted here, and one more of ours.
    seen = here[0].parent.parent / "cur" / (here[0].name.split(":")[0] + ":2,S")
    here[0].rename(seen)
    here[1].unlink()
    (local / "INBOX/cur/1.1.local:2,F").write_text(message(three, "made-here"))
    run(sync)
    flags = sorted(file.name.rpartition(",")[2] for file in house.messages(three)
                   if ":2," in file.name)
    assert len(house.messages(three)) == 3 and "S" in flags and "F" in flags


@needs("fetchmail")
@pytest.mark.parametrize("protocol, service", [("POP3", "pop3s"), ("IMAP", "imaps")])
def test_fetchmail(house, three, tmp_path, protocol, service):
    config, mailbox = tmp_path / "fetchmailrc", tmp_path / "mailbox"
    config.write_text(f"""
poll 127.0.0.1 protocol {protocol} service {house.ports[service]}
  username "{three}" password "{PASSWORD}" ssl no sslcertck
  mda "/bin/cat >>{mailbox}"
""")
    config.chmod(0o600)
    run(["fetchmail", "-f", config, "--pidfile", tmp_path / "pid", "--nosyslog"],
        env={**os.environ, "HOME": str(tmp_path), "FETCHMAILHOME": str(tmp_path)})
    assert mailbox.read_text().count("Subject: number-") == 3
    assert house.messages(three) == []


@needs("neomutt")
def test_neomutt(house, three, tmp_path):
    """Opens INBOX in a terminal, saves the first message, deletes it, and leaves."""
    config, saved = tmp_path / "muttrc", tmp_path / "saved"
    config.write_text(f"""
set folder="{url(house, 'imap')}" spoolfile="{url(house, 'imap')}/INBOX"
set imap_user="{three}" imap_pass="{PASSWORD}" ssl_force_tls=no ssl_starttls=no
set mbox_type=mbox confirmappend=no confirmcreate=no delete=yes move=no wait_key=no
set header_cache="" message_cachedir="" quit=yes
push "<save-message>{saved}<enter><sync-mailbox><quit>"
""")
    run_in_terminal(["neomutt", "-n", "-F", str(config)])
    assert "Subject: number-" in saved.read_text()
    assert len(house.messages(three)) == 2


@needs("neomutt")
def test_neomutt_resynchronises(house, three, tmp_path):
    """With its header cache and QRESYNC (RFC 7162): what went while it was away is gone there, too."""
    config, saved = tmp_path / "muttrc", tmp_path / "saved"
    (tmp_path / "headers").mkdir()
    for keys in "<quit>", f"<save-message>{saved}<enter><quit>":
        config.write_text(f"""
set folder="{url(house, 'imap')}" spoolfile="{url(house, 'imap')}/INBOX"
set imap_user="{three}" imap_pass="{PASSWORD}" ssl_force_tls=no ssl_starttls=no
set imap_condstore=yes imap_qresync=yes header_cache="{tmp_path}/headers" message_cachedir=""
set mbox_type=mbox confirmappend=no confirmcreate=no delete=no move=no wait_key=no quit=yes
push "{keys}"
""")
        run_in_terminal(["neomutt", "-n", "-F", str(config)])
        if keys == "<quit>":
            with imaplib.IMAP4("127.0.0.1", house.ports["imap"]) as imap:
                imap.login(three, PASSWORD)
                imap.select()
                imap.store("1", "+FLAGS", r"\Deleted")
                imap.expunge()
                left = imap.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1][0][1].strip()
    assert left.decode() in saved.read_text()
    assert len(house.messages(three)) == 2


def run_in_terminal(command):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "vt100"
        os.execvp(command[0], command)
    shown, deadline = b"", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.5)[0]:
            continue
        try:
            octets = os.read(terminal, 65536)
        except OSError: # the terminal's other end is closed
            octets = b""
        if not octets:
            break
        shown += octets
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert status == 0, shown.decode(errors="replace")


# --- TLS


@needs("openssl")
@pytest.mark.parametrize("service, starttls", [
    ("smtp", "smtp"), ("submission", "smtp"), ("submissions", None), ("imap", "imap"),
    ("imaps", None), ("pop3", "pop3"), ("pop3s", None),
])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client(house, service, starttls, version):
    text = run(["openssl", "s_client", "-connect", f"127.0.0.1:{house.ports[service]}", version,
                *(["-starttls", starttls] if starttls else [])], input="")
    assert "Verify return code" in text and "CN = mail.test.example" in text
    assert ("TLSv1.2" if version == "-tls1_2" else "TLSv1.3") in text


@needs("openssl")
def test_old_tls_is_refused(house):
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{house.ports['imaps']}", "-tls1_1",
         "-cipher", "ALL:@SECLEVEL=0"], input="", text=True, capture_output=True, timeout=SECONDS)
    assert done.returncode != 0
