"""POP3 in a whole house: mail comes in over SMTP, goes out over POP3, with real clients and beside an
open IMAP session. Single commands are tried by test_maildrop.py, logins by test_login.py."""

import os
import poplib
import re
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from house import PASSWORD

poplib._MAXLINE = 1 << 20  # the corpus has longer lines than Python expects

# Fields that are cut from mail of others, or stop it.
TRACE = re.compile(rb"^(return-path|delivered-to|authentication-results):", re.I | re.M)
MESSAGE = "From: a@elsewhere.example\nTo: b@test.example\nSubject: {}\n\nHello\n.\n..two\n"


def context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def log_in(house, account, service="pop3"):
    if service == "pop3s":
        client = poplib.POP3_SSL("127.0.0.1", house.ports[service], context=context(), timeout=20)
    else:
        client = poplib.POP3("127.0.0.1", house.ports[service], timeout=20)
    client.user(account)
    client.pass_(PASSWORD)
    return client


def retrieve(client, number):
    _, lines, octets = client.retr(number)
    text = b"".join(line + b"\r\n" for line in lines)
    assert int(client.list(number).split()[2]) == len(text)
    return text


def fill(house, account, count):
    for number in range(count):
        house.send(account, MESSAGE.format(number))
    house.wait_for_messages(account, count)


@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_mail_comes_in_and_goes_out(house, account, service):
    fill(house, account, 3)
    client = log_in(house, account, service)
    count, octets = client.stat()
    assert count == 3 and octets == sum(int(line.split()[1]) for line in client.list()[1])
    for number in range(1, 4):
        text = retrieve(client, number)
        assert text.startswith(b"Return-Path: <outside@elsewhere.example>\r\nDelivered-To: "
                               + account.encode() + b"\r\nReceived: ")
        assert text.endswith(b"\r\n\r\nHello\r\n.\r\n..two\r\n")
    client.dele(1)
    client.dele(3)
    client.quit()
    again = log_in(house, account, service)
    assert again.stat()[0] == 1
    again.dele(1)
    again.quit()
    assert house.messages(account) == []


def test_unique_ids_do_not_change(house, account):
    fill(house, account, 2)
    first = log_in(house, account)
    uidls = first.uidl()[1]
    first.retr(1)
    first.quit()  # which makes it seen
    with house.connect("imap") as imap:
        imap.values[b"account"] = account.encode()
        imap.talk(r"""
            C: a LOGIN {account} staffetta
            S: ...
            S: a OK *
            C: b SELECT INBOX
            S: ...
            S: b OK *
            C: c STORE 2 +FLAGS (\\Flagged)
            S: ...
            S: c OK *
            C: d LOGOUT
            S: ...
            S: (closed)""")
    second = log_in(house, account)
    assert second.uidl()[1] == uidls
    second.quit()


def test_login_right_after_quit(house, account):
    """RFC 1939 has one session at a time; the next one may follow at once."""
    fill(house, account, 1)
    for _ in range(30):
        client = log_in(house, account)
        assert client.stat()[0] == 1
        client.quit()


def test_second_session_is_refused(house, account):
    first = log_in(house, account)
    with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
        log_in(house, account)
    first.stat()
    first.quit()
    log_in(house, account).quit()


def test_beside_imap(house, account):
    """An idling IMAP session sees what POP3 removes; POP3 finds what IMAP renames."""
    fill(house, account, 3)
    pop = log_in(house, account)
    with house.connect("imap") as imap:
        imap.values[b"account"] = account.encode()
        imap.talk(r"""
            C: a LOGIN {account} staffetta
            S: ...
            S: a OK *
            C: b SELECT INBOX
            S: ...
            S: b OK *
            C: c STORE 1:* +FLAGS.SILENT (\\Seen \\Flagged)
            S: ...
            S: c OK *
            C: d IDLE
            S: + *""")
        assert retrieve(pop, 2).endswith(b"..two\r\n")
        pop.dele(2)
        pop.quit()
        imap.talk(r"""
            S: ...
            S: \* 2 EXPUNGE
            C: DONE
            S: ...
            S: d OK *
            C: e FETCH 1:* FLAGS
            S: * 1 FETCH *Flagged*
            S: * 2 FETCH *Flagged*
            S: ...
            S: e OK *""")
    again = log_in(house, account)
    assert again.stat()[0] == 2
    again.quit()


def test_corpus_survives(house, account, corpus):
    """Whatever the octets: what RETR gives is what was sent, behind the trace fields."""
    taken = []
    for file in sorted(corpus.glob("*.eml")):
        octets = re.sub(rb"\r?\n", b"\r\n", file.read_bytes())
        if b"\0" in octets or re.search(rb"\r(?!\n)", octets) or TRACE.search(octets):
            continue
        if not octets.endswith(b"\r\n"):
            octets += b"\r\n"
        if max(map(len, octets.split(b"\r\n"))) > 950 or octets.count(b"\r\nReceived:") > 50:
            continue
        house.send(account, octets)
        taken.append(octets)
    assert taken
    house.wait_for_messages(account, len(taken), seconds=60)
    client = log_in(house, account, "pop3s")
    assert client.stat()[0] == len(taken)
    received = [retrieve(client, number) for number in range(1, len(taken) + 1)]
    client.quit()
    for octets in taken:
        assert any(text.endswith(octets) for text in received), octets[:300]


def test_large_message(house, account):
    body = "".join(f".line {number:07}\n" for number in range(300_000))
    house.send(account, MESSAGE.format("large") + body)
    house.wait_for_messages(account, 1)
    for service in ("pop3", "pop3s"):
        client = log_in(house, account, service)
        assert retrieve(client, 1).endswith(body.replace("\n", "\r\n").encode())
        client.quit()


def test_new_mail_waits_for_the_next_session(house, account):
    fill(house, account, 1)
    client = log_in(house, account)
    fill(house, account, 2)
    assert client.stat()[0] == 1
    client.dele(1)
    client.quit()
    again = log_in(house, account)
    assert again.stat()[0] == 2
    again.quit()


def test_killed_maildrop_removes_nothing(house, account):
    fill(house, account, 2)
    client = log_in(house, account)
    client.dele(1)
    (pid,) = house.pids("pop3d-maildrop")
    os.kill(pid, 9)
    with pytest.raises((poplib.error_proto, OSError)):
        client.quit()
    deadline = time.monotonic() + 10
    while True:  # the master must notice first
        try:
            again = log_in(house, account)
            break
        except poplib.error_proto:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert again.stat()[0] == 2
    again.quit()


@pytest.mark.parametrize("service", ["pop3", "pop3s"])
def test_curl(house, account, service):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    fill(house, account, 1)
    url = f"{service}://127.0.0.1:{house.ports[service]}/1"
    done = subprocess.run(["curl", "-sS", "-k", "--user", f"{account}:{PASSWORD}", url],
                          capture_output=True, timeout=30, check=True)
    assert done.stdout.endswith(b"Hello\r\n.\r\n..two\r\n")


def test_fetchmail(house, account, tmp_path):
    if not shutil.which("fetchmail"):
        pytest.skip("no fetchmail")
    fill(house, account, 3)
    local_part = account.split("@")[0]
    rc, out = tmp_path / "rc", tmp_path / "out"
    rc.write_text(f"""poll 127.0.0.1 service {house.ports['pop3s']} protocol pop3 uidl
        user "{account}" password "{PASSWORD}" is "{local_part}" here ssl no sslcertck fetchall
        nokeep mda "cat >> {out}"\n""")
    rc.chmod(0o600)
    done = subprocess.run(["fetchmail", "-f", rc, "--idfile", tmp_path / "ids", "--pidfile",
                           tmp_path / "pid", "--nodetach"], capture_output=True, text=True,
                          timeout=60, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin",
                                           "FETCHMAILHOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert out.read_bytes().count(b"..two") == 3
    assert house.messages(account) == []


def test_many_accounts_at_once(house):
    accounts = [house.new_account() for _ in range(8)]
    failures = []

    def work(account):
        try:
            for round in range(5):
                house.send(account, MESSAGE.format(round))
                house.wait_for_messages(account, 1)
                client = log_in(house, account, "pop3s" if round % 2 else "pop3")
                assert client.stat()[0] == 1
                retrieve(client, 1)
                client.dele(1)
                client.quit()
        except Exception as error:
            failures.append(f"{account}: {error!r}")

    threads = [threading.Thread(target=work, args=(account,)) for account in accounts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
