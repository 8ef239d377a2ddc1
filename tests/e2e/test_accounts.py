"""The verbs `account` and `alias`, and what a running house makes of their changes."""

import base64
import concurrent.futures
import os
import signal
import smtplib
import stat
import time

import pytest

from house import DOMAIN, PASSWORD, House

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
    shown = files.command("account", "show", "bob").stdout
    assert "quota    5M\n" in shown and f"{files.mail}/{DOMAIN}/bob\n" in shown
    files.command("account", "remove", f"alice@{DOMAIN}")
    assert addresses(files) == [f"bob@{DOMAIN}"]


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
        (["show", "nobody"], "", f"there is no account nobody@{DOMAIN}"),
    ],
)
def test_mistakes_are_said_and_change_nothing(files, arguments, password, words):
    assert words in refused(files, "account", *arguments, input=password)
    assert files.accounts_file.read_text() == ""


def test_an_account_is_added_once(files):
    files.command("account", "add", "alice", input="x\n")
    assert "already" in refused(files, "account", "add", "ALICE", input="x\n")


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


# --- A running house ----------------------------------------------------------------------------


@pytest.fixture
def served(make_house):
    """A house of its own, with alice in it."""
    house = make_house(services=SERVICES)
    house.add_account(f"alice@{DOMAIN}")
    return house


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


def test_changes_are_seen_without_a_restart(served):
    assert recipient(served, f"bob@{DOMAIN}")[0] == 550
    served.add_account(f"bob@{DOMAIN}")
    assert recipient(served, f"bob@{DOMAIN}")[0] == 250
    assert login(served, "bob") == 235
    served.command("account", "password", "bob", input="another\n")
    assert login(served, "bob") == 535
    assert login(served, "bob", "another") == 235
    served.command("account", "remove", "bob")
    assert login(served, "bob", "another") == 535
    assert recipient(served, f"bob@{DOMAIN}")[0] == 550


def test_a_broken_file_is_refused_and_the_old_one_holds(served):
    assert recipient(served, f"alice@{DOMAIN}")[0] == 250
    before = served.accounts_file.read_text()
    served.accounts_file.write_text(before + "broken\n")
    assert recipient(served, f"alice@{DOMAIN}")[0] == 250
    refused = served.wait_for_event("file_refused")
    assert refused["file"] == str(served.accounts_file) and "line 2" in refused["error"]
    served.accounts_file.write_text(before)
    assert login(served, "alice") == 235


@pytest.mark.parametrize(
    "address, code, words",
    [
        ("alice", 250, ""),
        ("ALICE", 250, ""),
        ('"alice"', 250, ""),
        ("alice+lists", 250, ""),
        ("sales", 250, ""),
        ("Sales+x", 250, ""),
        ("postmaster", 250, ""),
        ("nobody", 550, "5.1.1"),
        ("away", 550, "5.7.1"),
        ("gone", 550, "5.1.1"),
    ],
)
def test_recipients(served, address, code, words):
    served.aliases_file.write_text(
        "sales: team, alice\nteam: alice\naway: x@elsewhere.example\ngone: nobody\n")
    said = recipient(served, f"{address}@{DOMAIN}")
    assert said[0] == code and words in said[1]


def test_bare_postmaster_is_accepted(served):
    assert recipient(served, "<postmaster>")[0] == 250


def test_a_catch_all_catches(served):
    assert recipient(served, f"whoever@{DOMAIN}")[0] == 550
    served.command("alias", "add", f"@{DOMAIN}", "alice")
    assert recipient(served, f"whoever@{DOMAIN}")[0] == 250
    served.command("alias", "remove", "*")
    assert recipient(served, f"whoever@{DOMAIN}")[0] == 550


def test_mail_to_an_alias_comes_to_all(served):
    served.add_account(f"bob@{DOMAIN}")
    served.command("alias", "add", "team", "alice", "bob", "alice")
    served.send(f"team@{DOMAIN}", b"Subject: to all\r\n\r\nHello\r\n")
    for name in ("alice", "bob"):
        assert len(served.wait_for_messages(f"{name}@{DOMAIN}", 1)) == 1


def test_one_account_many_spellings(served):
    for name in ("alice", "ALICE", f"alice@{DOMAIN}", f"Alice@{DOMAIN.upper()}"):
        assert login(served, name) == 235, name
    for name in ("alice+x", "alice@elsewhere.example", "sales", ""):
        assert login(served, name or "x") == 535, name


def test_a_locked_account_takes_mail_but_no_login(served):
    text = served.accounts_file.read_text()
    served.accounts_file.write_text(text.replace(":$argon2id", ":!$argon2id"))
    assert recipient(served, f"alice@{DOMAIN}")[0] == 250
    assert login(served, "alice") == 535


# --- Guessing ------------------------------------------------------------------------------------

THROTTLE = {"slow-after": 4, "pause-after": 6, "pause": "5s", "forget": "1h", "refusal": "200ms"}


@pytest.fixture
def guarded(make_house):
    house = make_house(services=SERVICES, settings={"throttle": THROTTLE})
    house.add_account(f"alice@{DOMAIN}")
    return house


def timed_login(*arguments, **options):
    start = time.monotonic()
    return login(*arguments, **options), time.monotonic() - start


def test_guessing_gets_slow_then_pauses(guarded):
    waits = []
    for number in range(6):
        code, seconds = timed_login(guarded, "alice", f"guess {number}")
        assert code == 535
        waits.append(seconds)
    assert waits[0] >= 0.2 and waits[5] > 3 * waits[0]
    assert guarded.wait_for_event("guessing_paused")["failures"] == "6"
    # From elsewhere the owner gets in. From there the right password is not even looked at; its
    # refusal takes as long as the rest of the pause.
    assert login(guarded, "alice", source="127.0.1.1") == 235
    assert login(guarded, "alice") == 454
    assert login(guarded, "alice") == 235


def test_an_unknown_name_is_refused_in_the_same_time(make_house):
    # More than the hash takes, with sanitizers and on a busy machine.
    house = make_house(services=SERVICES, settings={"throttle": {"refusal": "400ms"}})
    house.add_account(f"alice@{DOMAIN}")
    known = [timed_login(house, "alice", f"guess {number}")[1] for number in range(3)]
    unknown = [timed_login(house, "nobody", f"guess {number}")[1] for number in range(3)]
    assert min(known + unknown) >= 0.4
    assert abs(min(known) - min(unknown)) < 0.1


def test_the_same_wrong_password_is_one_failure(guarded):
    for _ in range(12):
        assert login(guarded, "alice", "of last year") == 535
    assert login(guarded, "alice") == 235
    assert not guarded.events("guessing_paused")


def test_many_at_once_get_no_more_guesses(guarded):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        codes = list(pool.map(lambda number: login(guarded, "alice", f"guess {number}"), range(20)))
    assert codes.count(535) == 6 and codes.count(454) == 14


def test_many_right_logins_at_once(guarded):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: login(guarded, "alice"), range(40))) == {235}


# --- Deaths ----------------------------------------------------------------------------------------


def test_a_dead_worker_is_a_temporary_error_and_replaced(served):
    """SIGSTOP holds the job in the worker's hands until it is killed."""
    served.deaths_expected = True
    (worker,) = served.pids("check")
    os.kill(worker, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(login, served, "alice")
        time.sleep(0.3)
        os.kill(worker, signal.SIGKILL)
        assert answer.result(10) == 454
    served.wait_for_event("check_died")
    assert login(served, "alice") == 235


def test_auth_is_restarted(served):
    served.deaths_expected = True
    (auth,) = served.pids("auth")
    os.kill(auth, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (code := login(served, "alice")) != 235 and time.monotonic() < deadline:
        assert code == 454
    assert code == 235


def test_reload_takes_another_file(served):
    other = served.directory / "etc" / "other"
    other.write_text(served.accounts_file.read_text().replace("alice", "zoe"))
    served.accounts_file = other
    served.write_config()
    served.command("reload")
    assert login(served, "zoe") == 235
    assert login(served, "alice") == 535
