"""staffetta check: what is wrong with the files and ports that a configuration names."""

import os
import socket
import subprocess

import pytest

from house import BUILD, House, make_certificate


@pytest.fixture
def unstarted(certificate):
    """A configuration with nothing wrong, and no server."""
    house = House(certificate=certificate, services=("smtp", "imaps"))
    yield house
    house.remove()


def check(house, *options):
    """(exit status, lines of mistakes without the file's name)."""
    done = house.command("check", *options, check=False)
    return done.returncode, [line.removeprefix(str(house.config))
                             for line in done.stderr.splitlines()]


def line_of(house, text):
    lines = house.config.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def find(lines, line, *words):
    return [text for text in lines
            if text.startswith(f":{line}: ") and all(word in text for word in words)]


def test_nothing_wrong(unstarted):
    status, lines = check(unstarted)
    assert status == 0 and not [line for line in lines if "warning" not in line]


def test_all_mistakes_at_once_with_line_and_advice(unstarted, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text("no file of these")
    unstarted.certificate = (broken, tmp_path / "missing")
    unstarted.write_config({"": {"state": "/nonexistent/state"},
                            "log": {"file": "/nonexistent/log"},
                            "submission": {"sender-map": tmp_path}})
    unstarted.aliases_file.unlink()
    status, lines = check(unstarted)
    assert status == 1
    certificate = line_of(unstarted, "certificate ")
    assert find(lines, line_of(unstarted, "state ="), "cannot be made", "make its parent")
    assert find(lines, line_of(unstarted, "log {"), "log.file", "make that directory")
    assert find(lines, line_of(unstarted, "submission {"), "is no file", "leave the key out")
    assert find(lines, line_of(unstarted, "domain "), "domain.aliases", "make it")
    assert find(lines, certificate, "certificate.chain", "holds no certificate", "PEM")
    assert find(lines, certificate, "certificate.key", "No such file", "write the path")
    numbers = [int(line.split(":")[1]) for line in lines if line.split(":")[1].isdigit()]
    assert numbers == sorted(numbers)


def test_routes_that_cannot_be_used(unstarted, tmp_path):
    password = tmp_path / "password"
    unstarted.settings = {"relay": {"networks": "203.0.113.0/24"}}
    unstarted.extra = f"""
route a.example {{ user = u  password-file = "{password}" }}
route b.example {{ source = {{ 127.0.0.1, 203.0.113.77 }} }}"""
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 1
    assert find(lines, line_of(unstarted, "route a."), "No such file", "write the password")
    assert find(lines, line_of(unstarted, "route b."), "no address 203.0.113.77", "write one of")
    assert find(lines, line_of(unstarted, "relay {"), "warning", "public network")
    assert not [line for line in lines if "127.0.0.1" in line]
    password.write_text("secret\n")
    password.chmod(0o644)
    unstarted.extra = unstarted.extra.replace(", 203.0.113.77", "")
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 0 and find(lines, line_of(unstarted, "route a."), "warning", "chmod 600")


def test_tokens_that_nobody_can_be_asked_about(unstarted, tmp_path):
    """RFC 7662: an address that is none, credentials that are missing or for all to read, two ways at once."""
    credentials, keys = tmp_path / "credentials", tmp_path / "keys"
    keys.write_text("{}")
    unstarted.extra = (f'oauth {{ introspection = "http://id.example/" introspection-credentials = "{credentials}" '
                       f'keys = "{keys}" }}\n')
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 1
    for words in ("write an address like https://", "write one of them", "write audience or scope too", "No such file"):
        assert find(lines, line_of(unstarted, "oauth {"), words), lines
    credentials.write_text("client\nsecret\n")
    credentials.chmod(0o644)
    unstarted.extra = f'oauth {{ introspection = "https://id.example/" introspection-credentials = "{credentials}" scope = mail }}\n'
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 0 and find(lines, line_of(unstarted, "oauth {"), "warning", "chmod 600")


def test_mistaken_values_hide_nothing(unstarted, tmp_path):
    """A wrong value, a missing certificate, a port in use and a bad section: all in one run."""
    with socket.create_server(("127.0.0.1", unstarted.ports["smtp"])):
        unstarted.certificate = (tmp_path / "missing", "relative")
        unstarted.extra = ("limits { recipients = many }\nlimits { recipients = 5 }\n"
                           "listen pop3 { port = 99999 }\naccounts { source = nis }\n"
                           "accounts { source = file mail = here }\nbogus = 1")
        unstarted.write_config()
        status, lines = check(unstarted)
    assert status == 1
    certificate = line_of(unstarted, "certificate ")
    assert find(lines, certificate, "certificate.chain", "No such file", "write the path")
    assert find(lines, certificate, "certificate.key", "begins with")
    assert find(lines, line_of(unstarted, "listen smtp"), "is in use", "write another port")
    assert find(lines, line_of(unstarted, "recipients = many"), "limits.recipients", "a number from")
    assert find(lines, line_of(unstarted, "99999"), "listen.port", "a number from 1 to 65535")
    assert find(lines, line_of(unstarted, "= nis"), "accounts.source", "pam or file")
    assert find(lines, line_of(unstarted, "mail = here"), "accounts.mail", "begins with")
    assert "bogus" in lines[-1]
    assert not any("/etc/staffetta" in line or "port 110 " in line for line in lines), lines


def test_a_key_that_does_not_fit(unstarted, tmp_path):
    chain, _ = make_certificate(tmp_path, "one.example")
    _, key = make_certificate(tmp_path, "other.example")
    unstarted.certificate = (chain, key)
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 1
    line = line_of(unstarted, "certificate ")
    assert find(lines, line, "is not the key of the first certificate", "belong together")
    assert find(lines, line, "warning: ", "is not for that name")


CA_CONFIG = """
[ca]
default_ca = own
[own]
database = {0}/index
new_certs_dir = {0}
default_md = sha256
rand_serial = yes
policy = names
[names]
commonName = supplied
[req]
distinguished_name = req
"""


def make_expired_certificate(directory):
    config, chain, key, request = (directory / name for name in ("cnf", "pem", "key", "csr"))
    config.write_text(CA_CONFIG.format(directory))
    (directory / "index").touch()
    for command in (
        ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=mail.test.example", "-keyout", key, "-out", request],
        ["ca", "-selfsign", "-batch", "-in", request, "-keyfile", key, "-out", chain,
         "-startdate", "20200101000000Z", "-enddate", "20200201000000Z"],
    ):
        subprocess.run(["openssl", *command, "-config", config], check=True, capture_output=True)
    return chain, key


def test_a_certificate_that_has_expired_is_a_warning(unstarted, tmp_path):
    unstarted.certificate = make_expired_certificate(tmp_path)
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 0
    assert find(lines, line_of(unstarted, "certificate "), "warning: ", "has expired", "renew")
    unstarted.start()
    unstarted.stop()


def test_a_key_for_all_to_read_is_a_warning(unstarted, tmp_path):
    chain, key = make_certificate(tmp_path)
    key.chmod(0o644)
    unstarted.certificate = (chain, key)
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 0
    assert find(lines, line_of(unstarted, "certificate "), "warning: ", "chmod 600")


def test_a_port_in_use(unstarted):
    port = unstarted.ports["smtp"]
    with socket.create_server(("127.0.0.1", port)):
        status, lines = check(unstarted)
        assert status == 1
        assert find(lines, line_of(unstarted, "listen smtp"), f"port {port} of 127.0.0.1 is in use",
                    "write another port")
        assert check(unstarted, "--running")[0] == 0


def test_two_lines_want_one_port(unstarted):
    """Each of them could be bound alone: only the start would find it."""
    port = unstarted.ports["smtp"]
    unstarted.extra = f"listen submission {{ port = {port} addresses = 0.0.0.0 }}\n"
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 1
    assert find(lines, line_of(unstarted, f"port = {port} addresses = 0"), f"port {port} of 0.0.0.0",
                f"line {line_of(unstarted, 'listen smtp')}", "write another port")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use any port")
def test_a_port_for_root(unstarted):
    unstarted.ports["smtp"] = 25
    unstarted.write_config()
    status, lines = check(unstarted)
    assert status == 1 and find(lines, line_of(unstarted, "listen smtp"), "is for root")


@pytest.mark.parametrize("verb", ["check", "run"])
def test_too_few_descriptors(unstarted, verb):
    """It would start, and serve nobody."""
    done = subprocess.run(["prlimit", "--nofile=64:64", BUILD / "staffetta", "-c", unstarted.config, verb], text=True,
                          capture_output=True, timeout=20, check=False)
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line and "files" in line]
    assert done.returncode == 1 and "may open 64 files here, and 256 are needed" in line and "LimitNOFILE" in line


def test_as_few_descriptors_as_may_be_serve(make_house):
    house = make_house(below=["prlimit", "--nofile=256:256"])
    account = house.new_account()
    house.send(account, "Subject: few\n\nhello\n")
    house.wait_for_event("delivered", to=account)


def test_run_refuses_what_check_refuses(unstarted):
    unstarted.aliases_file.unlink()
    done = unstarted.command("run", check=False)
    assert done.returncode == 1 and "domain.aliases" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["check", "nonsense"], ["run", "x"]])
def test_what_means_nothing_has_status_2(unstarted, arguments):
    assert unstarted.command(*arguments, check=False).returncode == 2


def test_a_house_that_does_not_run_is_said(unstarted):
    for verb in ("status", "reload", "stop"):
        done = unstarted.command(verb, check=False)
        assert done.returncode == 1 and "does not run" in done.stderr


@pytest.mark.parametrize("text, says", [
    ("a: b\nb: a\n", "a@test.example"),
    ("nobody here\n", "line 1"),
    ("x: y z\n", "line 1"),
])
def test_aliases_that_make_no_sense(unstarted, text, says):
    unstarted.aliases_file.write_text(text)
    status, lines = check(unstarted)
    assert status == 1 and [line for line in lines if "aliases" in line and says in line], lines


def test_an_accounts_file_that_makes_no_sense(unstarted):
    unstarted.accounts_file.write_text("alice\n")
    status, lines = check(unstarted)
    assert status == 1 and [line for line in lines if "accounts: line 1" in line], lines


@pytest.mark.skipif(os.geteuid() != 0, reason="roles have uids of their own under root alone")
def test_files_that_auth_cannot_read(unstarted):
    unstarted.accounts_file.chmod(0o600)
    unstarted.aliases_file.parent.chmod(0o700)
    status, lines = check(unstarted)
    assert status == 1
    assert find(lines, line_of(unstarted, "accounts {"), "cannot read", "chmod 640")
    assert find(lines, line_of(unstarted, "domain "), "is not let into", "chmod o+x")
