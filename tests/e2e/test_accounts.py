"""The verbs `account` and `alias`, and what a running house makes of their changes."""

import concurrent.futures
import os
import stat

import pytest

from house import DOMAIN, House


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
