"""The verbs `account` and `alias`, and what a running house makes of their changes."""

import base64
import concurrent.futures
import os
import poplib
import signal
import smtplib
import stat
import subprocess
import time

import pytest

from conftest import end
from house import BUILD, DOMAIN, ENVIRONMENT, PASSWORD, House

SERVICES = ("smtp", "submission")


@pytest.fixture
def files():
    """A house that is never started: its configuration and its files."""
    house = House()
    yield house
    house.remove()


def refused(house, *arguments, input=""):
    result = house.command(*arguments, input=input, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    return result.stderr


def addresses(house):
    return [line.split("\t")[0] for line in house.command("account", "list").stdout.splitlines()]


def test_accounts_are_added_shown_and_removed(files):
    files.command("account", "add", "Alice@TEST.example", input="secret\n")
    files.command("account", "add", "--quota", "5M", "bob", input="secret")
    assert addresses(files) == [f"alice@{DOMAIN}", f"bob@{DOMAIN}"]
    files.command("account", "add", "carol", "--quota", "6M", input="secret")
    assert "quota    6M\n" in files.command("account", "show", "carol").stdout
    files.command("account", "remove", "carol")
    shown = files.command("account", "show", "bob").stdout
    assert "quota    5M\n" in shown and f"{files.mail}/{DOMAIN}/bob\n" in shown
    files.command("account", "remove", f"alice@{DOMAIN}")
    assert addresses(files) == [f"bob@{DOMAIN}"]


def test_settings_are_changed(files):
    files.accounts_file.write_text(f"# staff\nalice@{DOMAIN}:!:x-a=b:quota=1M:x-c=d\nbob@{DOMAIN}:!")

    def line_after(*settings):
        files.command("account", "set", "alice", *settings)
        return files.accounts_file.read_text().splitlines()[1].removeprefix(f"alice@{DOMAIN}:!")

    assert line_after("quota=2G") == ":x-a=b:quota=2G:x-c=d"
    assert "quota    2G\n" in files.command("account", "show", "alice").stdout
    assert line_after("x-a=", "x-c=") == ":quota=2G"
    assert line_after("delete-after-retrieval=yes", "keep-days=30") == (
        ":quota=2G:delete-after-retrieval=yes:keep-days=30")
    assert line_after("quota=none", "keep-days=") == ":quota=none:delete-after-retrieval=yes"
    assert line_after("quota=", "delete-after-retrieval=") == ""
    files.command("account", "set", "bob", "quota=3M")
    assert files.accounts_file.read_text().endswith(f"\nbob@{DOMAIN}:!:quota=3M\n")


def test_the_file_holds_argon2id_and_keeps_comments_and_mode(files):
    files.accounts_file.write_text("# the staff\n")
    files.accounts_file.chmod(0o600)
    files.command("account", "add", "alice", input="secret\n")
    before = files.accounts_file.read_text()
    assert before.startswith(f"# the staff\nalice@{DOMAIN}:$argon2id$v=19$m=19456,t=2,p=1$")
    files.command("account", "password", "alice", input="other\n")
    after = files.accounts_file.read_text()
    assert after != before and after.startswith("# the staff\nalice@")
    assert stat.S_IMODE(files.accounts_file.stat().st_mode) == 0o600


def test_a_new_file_is_for_auth_alone(files):
    files.accounts_file.unlink()
    files.command("account", "add", "alice", input="secret\n")
    assert stat.S_IMODE(files.accounts_file.stat().st_mode) == 0o640
    if os.geteuid() == 0:
        assert files.accounts_file.stat().st_gid != 0


@pytest.mark.parametrize(
    "arguments, password, words",
    [
        (["add", "alice"], "", "the password is empty"),
        (["add", "alice"], "x" * 512 + "\n", "longer than 511 octets"),
        (["add", "alice@elsewhere.example"], "x\n", "is no domain of"),
        (["add", "al ice"], "x\n", "not an address"),
        (["add", "al+ice"], "x\n", "no +, / or quotes"),
        (["add", "a/../ice"], "x\n", "not an address"),
        (["add", "--quota", "much", "alice"], "x\n", "quota wants a size"),
        (["password", "nobody"], "x\n", f"there is no account nobody@{DOMAIN}"),
        (["remove", "nobody"], "", f"there is no account nobody@{DOMAIN}"),
        (["set", "nobody", "quota=1M"], "", f"there is no account nobody@{DOMAIN}"),
        (["set", "nobody", "quota"], "", "write NAME=VALUE"),
        (["show", "nobody"], "", f"there is no account nobody@{DOMAIN}"),
    ],
)
def test_mistakes_are_said_and_change_nothing(files, arguments, password, words):
    assert words in refused(files, "account", *arguments, input=password)
    assert files.accounts_file.read_text() == ""


@pytest.mark.parametrize("arguments", [
    ["add", "alice", "--quota"],
    ["add", "alice", "bob"],
    ["add", "alice", "--size", "5M"],
    ["show", "alice", "--quota", "5M"],
    ["list", "--json"],
])
def test_an_option_that_there_is_not_is_no_address(files, arguments):
    result = files.command("account", *arguments, input="x\n", check=False)
    assert result.returncode == 2 and result.stderr.startswith("usage: staffetta account ")
    assert files.accounts_file.read_text() == ""


def at_terminal(house, *arguments, typed):
    """(exit status, what was shown), the lines typed where a prompt asks for them."""
    terminal, end_of_command = os.openpty()
    with subprocess.Popen([BUILD / "staffetta", "-c", house.config, *arguments], stdin=end_of_command, stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, env=ENVIRONMENT) as process:
        os.close(end_of_command)
        shown = b""
        for line in typed:
            while not shown.endswith(b": "):
                octet = process.stderr.read(1)
                assert octet, shown
                shown += octet
            os.write(terminal, line.encode() + b"\n")
            shown += b"\n"
        shown += process.stderr.read()
    os.close(terminal)
    return process.returncode, shown.decode()


@pytest.mark.parametrize("arguments, typed, status, shown", [
    (["account", "add", "a@test.example"], ["secret", "secret"], 0, "Password: \nOnce more: \n"),
    (["account", "add", "b@test.example"], ["secret", "secrets"], 1, "Password: \nOnce more: \nstaffetta account: the two are not the same"),
    (["import", "{account}", "imap://a@127.0.0.1:1"], ["secret"], 1, "Password: \nstaffetta import: ")])
def test_a_new_password_is_asked_for_twice(house, account, arguments, typed, status, shown):
    done, text = at_terminal(house, *(word.format(account=account) for word in arguments), typed=typed)
    assert done == status and text.startswith(shown) and "Once more" not in text.removeprefix(shown), text


def test_an_account_is_added_once(files):
    files.command("account", "add", "alice", input="x\n")
    assert "already" in refused(files, "account", "add", "ALICE", input="x\n")


def test_settings_that_make_no_sense_change_nothing(files):
    files.command("account", "add", "alice", input="x\n")
    before = files.accounts_file.read_text()
    for setting, words in (("quota=much", "quota= wants a size"), ("colour=red", "is no setting"),
                           ("keep-days=3", "behind delete-after-retrieval=yes"),
                           ("x-a=b:quota=1M", "write NAME=VALUE"), ("x-a=\n", "write NAME=VALUE")):
        assert words in refused(files, "account", "set", "alice", "quota=2M", setting)
    assert files.accounts_file.read_text() == before


def test_a_broken_file_is_not_touched(files):
    files.accounts_file.write_text("broken\n")
    assert "line 1" in refused(files, "account", "add", "alice", input="x\n")
    assert files.accounts_file.read_text() == "broken\n"


def test_usage(files):
    for arguments in (["account"], ["account", "frobnicate"], ["account", "add"], ["alias", "add", "x"]):
        assert files.command(*arguments, check=False).returncode == 2


def test_two_at_once_lose_nothing(files):
    names = [f"user{number}@{DOMAIN}" for number in range(12)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: files.add_account(name), names))
    assert sorted(addresses(files)) == sorted(names)


def test_aliases_are_added_listed_and_removed(files):
    files.aliases_file.write_text("# ours\nteam: zoe\n")
    files.command("alias", "add", f"sales@{DOMAIN}", "alice", "bob@elsewhere.example")
    files.command("alias", "add", "TEAM", "alice")
    assert files.aliases_file.read_text() == (
        f"# ours\nteam: zoe, alice\nsales@{DOMAIN}: alice, bob@elsewhere.example\n"
    )
    assert files.command("alias", "list").stdout == (
        f"team@{DOMAIN}: zoe@{DOMAIN}, alice@{DOMAIN}\n"
        f"sales@{DOMAIN}: alice@{DOMAIN}, bob@elsewhere.example\n"
    )
    files.command("alias", "remove", "team", "zoe")
    files.command("alias", "remove", "sales")
    assert files.aliases_file.read_text() == "# ours\nteam: alice\n"


def test_a_circle_is_named_and_refused(files):
    files.command("alias", "add", "a", "b")
    files.command("alias", "add", "b", "c")
    before = files.aliases_file.read_text()
    said = refused(files, "alias", "add", "c", "a")
    assert f"a@{DOMAIN} -> b@{DOMAIN} -> c@{DOMAIN} -> a@{DOMAIN}" in said
    assert files.aliases_file.read_text() == before


def test_check_warns_of_aliases_that_lead_nowhere(files):
    files.add_account(f"alice@{DOMAIN}")
    files.aliases_file.write_text("half: alice, gone\nouter: x@elsewhere.example\n")
    checked = files.command("check")
    assert f"{files.aliases_file}:1: alias half@{DOMAIN} leads to gone@{DOMAIN}" in checked.stderr
    assert f"{files.aliases_file}:2" not in checked.stderr  # mail may go elsewhere


def test_check_finds_circles_and_broken_files(files):
    files.aliases_file.write_text("a: b\nb: a\n")
    assert f"line 1: aliases go in circles: a@{DOMAIN} -> b@" in refused(files, "check")
    files.aliases_file.write_text("")
    files.accounts_file.write_text("alice\n")
    assert f"{files.accounts_file}: line 1: " in refused(files, "check")


# --- A running house ----------------------------------------------------------------------------


def recipient(house, address):
    """The reply to RCPT from outside."""
    with smtplib.SMTP("127.0.0.1", house.ports["smtp"], timeout=20) as client:
        client.ehlo("client.example")
        assert client.mail("outside@elsewhere.example")[0] == 250
        code, text = client.rcpt(f"{address}")
        return code, text.decode()


def login(house, name, password=PASSWORD, source="127.0.0.1"):
    """The code of the reply to AUTH PLAIN."""
    with smtplib.SMTP("127.0.0.1", house.ports["submission"], timeout=60,
                      source_address=(source, 0)) as client:
        client.ehlo("client.example")
        response = base64.b64encode(f"\0{name}\0{password}".encode()).decode()
        return client.docmd("AUTH", f"PLAIN {response}")[0]


def test_changes_are_seen_without_a_restart(house):
    name = f"newcomer@{DOMAIN}"
    assert recipient(house, name)[0] == 550
    house.add_account(name)
    assert recipient(house, name)[0] == 250
    assert login(house, name) == 235
    house.command("account", "password", name, input="another\n")
    assert login(house, name) == 535
    assert login(house, name, "another") == 235
    house.command("account", "remove", name)
    assert login(house, name, "another") == 535
    assert recipient(house, name)[0] == 550


def test_a_broken_file_is_refused_and_the_old_one_holds(house, account):
    assert recipient(house, account)[0] == 250
    before = house.accounts_file.read_text()
    try:
        house.accounts_file.write_text(before + "broken\n")
        assert recipient(house, account)[0] == 250
        refused = house.wait_for_event("file_refused")
        assert refused["file"] == str(house.accounts_file) and "no address" in refused["error"]
    finally:
        house.accounts_file.write_text(before)
    assert login(house, account) == 235


def test_a_reload_with_a_broken_file_is_refused(house, account):
    before = house.aliases_file.read_text()
    house.aliases_file.write_text(before + "a: b\nb: a\n")
    try:
        assert "all stays as it was" in refused(house, "reload")
        assert login(house, account) == 235
    finally:
        house.aliases_file.write_text(before)
    house.command("reload")
    assert login(house, account) == 235


def test_the_sender_map_gives_more(mortal):
    def may_send(address):
        with smtplib.SMTP("127.0.0.1", mortal.ports["submission"], timeout=60) as client:
            client.ehlo("client.example")
            response = base64.b64encode(f"\0alice\0{PASSWORD}".encode()).decode()
            assert client.docmd("AUTH", f"PLAIN {response}")[0] == 235
            return client.mail(address)[0] == 250

    mortal.add_account(f"bob@{DOMAIN}")
    senders = mortal.directory / "etc" / "senders"
    senders.write_text("alice: @lists.example\n")
    mortal.write_config({"submission": {"sender-map": f'"{senders}"'}})
    assert not may_send(f"bob@{DOMAIN}") and not may_send("x@lists.example")
    mortal.command("reload")
    mortal.wait_for_event("reloaded")
    assert may_send("x@lists.example") and may_send(f"alice+x@{DOMAIN}")
    assert not may_send(f"bob@{DOMAIN}")
    senders.write_text(f"alice: bob@{DOMAIN}\n")
    assert may_send(f"bob@{DOMAIN}") and not may_send("x@lists.example")


@pytest.fixture(scope="module")
def named(house):
    """The shared house with an account, zoe, and aliases of hers."""
    before = house.aliases_file.read_text()
    house.add_account(f"zoe@{DOMAIN}")
    house.aliases_file.write_text(before + "crew: team, zoe\nteam: zoe\n"
                                  "away: x@elsewhere.example\ngone: nobody\n")
    yield house
    house.aliases_file.write_text(before)


@pytest.mark.parametrize(
    "address, code, words",
    [
        ("zoe", 250, ""),
        ("ZOE", 250, ""),
        ('"zoe"', 250, ""),
        ("zoe+lists", 250, ""),
        ("crew", 250, ""),
        ("Crew+x", 250, ""),
        ("postmaster", 250, ""),
        ("nobody", 550, "5.1.1"),
        ("away", 250, ""),
        ("gone", 550, "5.1.1"),
    ],
)
def test_recipients(named, address, code, words):
    said = recipient(named, f"{address}@{DOMAIN}")
    assert said[0] == code and words in said[1]


def test_bare_postmaster_is_accepted(named):
    assert recipient(named, "<postmaster>")[0] == 250


def test_a_catch_all_catches(house, account):
    assert recipient(house, f"whoever@{DOMAIN}")[0] == 550
    house.command("alias", "add", f"@{DOMAIN}", account)
    assert recipient(house, f"whoever@{DOMAIN}")[0] == 250
    house.command("alias", "remove", "*")
    assert recipient(house, f"whoever@{DOMAIN}")[0] == 550


def test_mail_to_an_alias_comes_to_all(house):
    accounts = [house.new_account(), house.new_account()]
    house.command("alias", "add", "both", *accounts, accounts[0])
    house.send(f"both@{DOMAIN}", b"Subject: to all\r\n\r\nHello\r\n")
    for one in accounts:
        assert len(house.wait_for_messages(one, 1)) == 1


def test_one_account_many_spellings(named):
    for name in ("zoe", "ZOE", f"zoe@{DOMAIN}", f"Zoe@{DOMAIN.upper()}"):
        assert login(named, name) == 235, name
    for name in ("zoe+x", "zoe@elsewhere.example", "crew", "nobody"):
        assert login(named, name) == 535, name


def test_a_locked_account_takes_mail_but_no_login(house, account):
    text = house.accounts_file.read_text()
    house.accounts_file.write_text(text.replace(f"{account}:$argon2id", f"{account}:!$argon2id"))
    assert recipient(house, account)[0] == 250
    assert login(house, account) == 535


@pytest.mark.parametrize("setting, left", [("delete-after-retrieval=yes", 0),
                                            ("delete-after-retrieval=yes:keep-days=1", 1)])
def test_an_account_may_have_pop3_settings_of_its_own(house, account, setting, left):
    lines = house.accounts_file.read_text().splitlines()
    house.accounts_file.write_text("".join(
        line + (f":{setting}" if line.startswith(f"{account}:") else "") + "\n" for line in lines))
    assert setting.split(":")[0] in house.accounts_file.read_text()
    house.send(account, b"Subject: read once\r\n\r\nHello\r\n")
    house.wait_for_messages(account, 1)
    for expected in (1, left):
        client = poplib.POP3("127.0.0.1", house.ports["pop3"], timeout=20)
        client.user(account)
        client.pass_(PASSWORD)
        assert client.stat()[0] == expected
        if expected:
            client.retr(1)
        client.quit()


# --- Guessing ------------------------------------------------------------------------------------

THROTTLE = {"slow-after": 4, "pause-after": 6, "pause": "5s", "forget": "1h", "refusal": "400ms"}


@pytest.fixture(scope="module")
def guarded(certificate):
    """`refusal` is more than a hash takes, with sanitizers and on a busy machine."""
    house = House(services=SERVICES, settings={"throttle": THROTTLE}, certificate=certificate)
    try:
        house.start()
        yield house
    finally:
        end(house, failed=False)


def timed_login(*arguments, **options):
    start = time.monotonic()
    return login(*arguments, **options), time.monotonic() - start


def test_guessing_gets_slow_then_pauses(guarded):
    victim = guarded.new_account()
    waits = []
    for number in range(6):
        code, seconds = timed_login(guarded, victim, f"guess {number}")
        assert code == 535
        waits.append(seconds)
    first = min(waits[:3])  # a worker that has to be started first makes one of them slower
    assert first >= 0.4 and waits[4] > 1.5 * first and waits[5] > 3 * first
    assert guarded.wait_for_event("guessing_paused", name=victim)["failures"] == "6"


def test_the_right_password_is_not_looked_at_save_from_elsewhere(guarded):
    """Six guesses at once: the pause begins with the last, and their answers are on their way."""
    victim = guarded.new_account()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        guesses = [pool.submit(login, guarded, victim, f"guess {number}") for number in range(6)]
        guarded.wait_for_event("guessing_paused", name=victim)
        assert login(guarded, victim, source="127.0.1.1") == 235
        assert login(guarded, victim) == 454
        assert {guess.result() for guess in guesses} == {535}


def test_an_unknown_name_is_refused_in_the_same_time(guarded):
    account = guarded.new_account()
    known = [timed_login(guarded, account, f"guess {number}")[1] for number in range(3)]
    unknown = [timed_login(guarded, "nobody", f"guess {number}")[1] for number in range(3)]
    assert min(known + unknown) >= 0.4
    assert abs(min(known) - min(unknown)) < 0.1


def test_the_same_wrong_password_is_one_failure(guarded):
    account = guarded.new_account()
    for _ in range(8):
        assert login(guarded, account, "of last year") == 535
    assert login(guarded, account) == 235
    assert not guarded.events("guessing_paused", name=account)


def test_many_at_once_get_no_more_guesses(guarded):
    victim = guarded.new_account()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda number: login(guarded, victim, f"guess {number}"), range(20)))
    assert codes.count(535) == 6 and codes.count(454) == 14


def test_many_right_logins_at_once(guarded):
    account = guarded.new_account()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: login(guarded, account), range(40))) == {235}


# --- Deaths ----------------------------------------------------------------------------------------


@pytest.fixture
def mortal(make_house):
    """A house of its own, with alice in it, whose processes may die."""
    house = make_house(services=SERVICES)
    house.deaths_expected = True
    house.add_account(f"alice@{DOMAIN}")
    return house


def test_dead_workers_and_auth_are_replaced(mortal):
    """SIGSTOP holds the job in the worker's hands until it is killed."""
    (worker,) = mortal.pids("check")
    os.kill(worker, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(login, mortal, "alice")
        time.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        assert answer.result(10) == 454
    mortal.wait_for_event("check_died")
    assert login(mortal, "alice") == 235
    (auth,) = mortal.pids("auth")
    os.kill(auth, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (code := login(mortal, "alice")) != 235 and time.monotonic() < deadline:
        assert code == 454
    assert code == 235


def test_a_hanging_worker_is_replaced_and_others_go_on(mortal):
    """SIGSTOP for as long as auth is patient, 15 s; another worker is started for the next login."""
    (worker,) = mortal.pids("check")
    os.kill(worker, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(login, mortal, "alice")
        time.sleep(0.2)
        mortal.add_account(f"bob@{DOMAIN}")
        start = time.monotonic()
        assert login(mortal, "bob") == 235
        assert time.monotonic() - start < 5
        assert hanging.result(30) == 454
    assert login(mortal, "alice") == 235
    assert worker not in mortal.pids("check")


def test_reload_takes_files_of_another_directory(mortal):
    elsewhere = mortal.directory / "elsewhere"
    elsewhere.mkdir()
    other = elsewhere / "accounts"
    other.write_text(mortal.accounts_file.read_text().replace("alice", "zoe"))
    mortal.accounts_file = other
    mortal.write_config()
    mortal.command("reload")
    deadline = time.monotonic() + 10
    while login(mortal, "zoe") != 235 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert login(mortal, "alice") == 535
