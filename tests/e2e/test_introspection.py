"""Access tokens that their server is asked about (RFC 7662), by OAUTHBEARER and XOAUTH2. The server is this file's own: HTTPS on
a loopback address, which answers what a test says."""

import base64
import http.server
import json
import os
import signal
import ssl
import threading
import time
import urllib.parse

import pytest

from house import BUILD, Authority, free_ports
from test_oauth import bearer, xoauth2
from test_scram import Line

pytestmark = pytest.mark.skipif(not (BUILD / "libexec" / "fetch").exists(), reason="fetch is not built")

ALICE, BOB = "alice@test.example", "bob@test.example"
ISSUER, AUDIENCE, SCOPE = "https://id.example", "mail.test.example", "mail"
CLIENT, SECRET = "mail server", "s:e%c=r&t"
PATH = "/oauth2/introspect?realm=mail"


class TokenServer:
    """said: token -> the answer: an object, octets, or a number: its status. asked: of each request what came.
    hangs: seconds before each answer."""

    def __init__(self, certificate):
        self.said, self.asked, self.hangs = {}, [], 0
        self.certificate, self.port, self.server = certificate, free_ports(1)[0], None
        self.start()

    def answer(self, form):
        return self.said.get(form.get("token", [""])[0], {"active": False})

    def start(self):
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = urllib.parse.parse_qs(body, strict_parsing=True)
                host.asked.append((self.path, self.headers["Authorization"], self.headers["Content-Type"], form))
                time.sleep(host.hangs)
                said = host.answer(form)
                status, text = (said, b"") if isinstance(said, int) else (200, said)
                text = text if isinstance(text, bytes) else json.dumps(text).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that does not believe the certificate, or left

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate)
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def times(self, token):
        return len([form for _, _, _, form in self.asked if form["token"] == [token]])


def good(**claims):
    """RFC 7662 2.2; None: not there."""
    said = {"active": True, "iss": ISSUER, "aud": AUDIENCE, "scope": "openid mail", "username": ALICE,
            "exp": int(time.time()) + 600, **claims}
    return {name: value for name, value in said.items() if value is not None}


class World:
    def __init__(self, make_module_house, directory):
        self.authority = Authority(directory)
        self.server = TokenServer(self.authority.issue("127.0.0.1"))
        self.house = make_module_house(services=("submission", "imap", "pop3"), start=False, settings={
            "throttle": {"slow-after": 1000, "pause-after": 10000, "refusal": 0}, "timeouts": {"linger": "300ms"},
            "relay": {"authorities": f'"{self.authority.file}"'}})
        for name in (ALICE, BOB):
            self.house.add_account(name)
        self.credentials = self.house.directory / "etc" / "introspection"
        self.credentials.write_text(f"{CLIENT}\n{SECRET}\n")
        self.credentials.chmod(0o600)
        self.configure()
        self.house.start()
        self.token_number = 0

    def configure(self, reload=False, **changes):
        keys = {"introspection": f'"https://127.0.0.1:{self.server.port}{PATH}"',
                "introspection-credentials": f'"{self.credentials}"', "introspection-timeout": "2s",
                "issuer": f'"{ISSUER}"', "audience": AUDIENCE, "scope": SCOPE, "claim": "username",
                **{key.replace("_", "-"): value for key, value in changes.items()}}
        self.house.write_config({"oauth": {key: value for key, value in keys.items() if value is not None}})
        if reload:
            self.house.command("reload")

    def token(self, said):
        """A new one, of which that is said."""
        self.token_number += 1
        name = f"token-{self.token_number}~+/="
        self.server.said[name] = said
        return name


@pytest.fixture(scope="module")
def world(make_module_house, tmp_path_factory):
    directory = tmp_path_factory.mktemp("authority")
    made = World(make_module_house, directory)
    yield made
    made.server.stop()


def log_in(world, token, name=ALICE, service="imap", form=bearer, mechanism="OAUTHBEARER"):
    """right, wrong or the answer."""
    with Line(world.house, service) as line:
        line.begin(mechanism, form(token, name))
        answer = line.answer()
        if answer.startswith(line.right):
            return "right"
        if answer.startswith(line.challenge):
            assert json.loads(base64.b64decode(answer[len(line.challenge):]))["status"] == "invalid_token"
            line.send("\1")
            answer = line.answer()
        return "wrong" if answer.startswith(line.wrong) else answer.decode()


TEMPORARY = {"submission": "454 4.7.0 ", "imap": "a NO [UNAVAILABLE]", "pop3": "-ERR [SYS/TEMP]"}


@pytest.mark.parametrize("service", TEMPORARY)
@pytest.mark.parametrize("mechanism, form", [("OAUTHBEARER", bearer), ("XOAUTH2", xoauth2)])
def test_a_login(world, service, mechanism, form):
    """2.1: a POST of a form, with what names us as a client (RFC 6749 2.3.1)."""
    token = world.token(good())
    assert log_in(world, token, service=service, mechanism=mechanism, form=form) == "right"
    path, authorization, kind, form = world.server.asked[-1]
    pair = f"{urllib.parse.quote(CLIENT, safe='')}:{urllib.parse.quote(SECRET, safe='')}"
    assert authorization == "Basic " + base64.b64encode(pair.encode()).decode()
    assert (path, kind) == (PATH, "application/x-www-form-urlencoded")
    assert form == {"token": [token], "token_type_hint": ["access_token"]}


@pytest.mark.parametrize("said, name", [
    (good(exp=None), ALICE), (good(aud=["x", AUDIENCE]), ALICE), (good(scope=SCOPE), ALICE), (good(username=BOB), BOB),
    (good(username="alice"), ""), (good(more={"a": [1]}), "alice@TEST.example")])
def test_what_is_right(world, said, name):
    assert log_in(world, world.token(said), name) == "right"


@pytest.mark.parametrize("said", [
    {"active": False}, good(active=False), good(username=BOB), good(username="nobody@test.example"), good(username=None),
    good(username=""), good(iss="https://other.example"), good(iss=None), good(aud="other"), good(aud=None),
    good(scope="mailbox openid"), good(scope=None), good(exp=1), good(exp="later"), good(nbf=int(time.time()) + 600)])
def test_what_is_wrong(world, said):
    """2.2: not active, or meant for somebody or something else, or over."""
    assert log_in(world, world.token(said)) == "wrong"


@pytest.mark.parametrize("said", [
    401, 403, 404, 500, 503, b"", b"no JSON", b"[]", b'{"active": "true"}', {"sub": "alice"},
    b'{"active": true, "x": "' + b"x" * 8192 + b'"}', b"x" * 100000])
def test_no_answer_is_temporary(world, said):
    """Neither a grant nor a wrong password: of our credentials, its trouble, no answer of RFC 7662, or too much of it."""
    assert log_in(world, world.token(said)).startswith(TEMPORARY["imap"])


@pytest.mark.parametrize("service", TEMPORARY)
def test_a_dead_server(world, service):
    token, before = world.token(good()), len(world.house.events("token_not_introspected"))
    world.server.stop()
    try:
        assert log_in(world, token, service=service).startswith(TEMPORARY[service])
    finally:
        world.server.start()
    deadline = time.monotonic() + 20
    while len(world.house.events("token_not_introspected")) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert log_in(world, token, service=service) == "right"


def test_a_slow_server(world):
    """oauth.introspection-timeout; meanwhile others log in by their password."""
    world.server.hangs = 30
    began = time.monotonic()
    try:
        with Line(world.house, "imap") as line, world.house.connect("imap") as other:
            line.begin("OAUTHBEARER", bearer(world.token(good())))
            other.talk(f"C: b LOGIN {BOB} staffetta\nS: b OK *")
            assert time.monotonic() - began < 2
            assert line.answer().decode().startswith(TEMPORARY["imap"])
            assert 1.5 < time.monotonic() - began < 10
    finally:
        world.server.hangs = 0


def test_a_server_that_is_not_believed(world):
    """No authority of relay.authorities has issued it, or it is another host's."""
    right = world.server.certificate
    for names, authority in ((["127.0.0.2"], world.authority), (["127.0.0.1"], Authority(world.authority.directory, "other"))):
        world.server.stop()
        world.server.certificate = authority.issue(*names)
        world.server.start()
        asked = len(world.server.asked)
        try:
            assert log_in(world, world.token(good())).startswith(TEMPORARY["imap"])
        finally:
            world.server.certificate = right
        assert len(world.server.asked) == asked
    world.server.stop()
    world.server.start()


def test_what_was_granted_counts_for_a_while(world):
    """Of that token alone, for whom it names alone; what was refused, or could not be told, is asked again."""
    token, wrong, lost = world.token(good()), world.token(good(scope="x")), world.token(500)
    for _ in range(3):
        assert log_in(world, token) == "right"
        assert log_in(world, wrong) == "wrong"
        assert log_in(world, lost).startswith(TEMPORARY["imap"])
    assert log_in(world, token, BOB) == "wrong"
    assert (world.server.times(token), world.server.times(wrong), world.server.times(lost)) == (1, 3, 3)


def test_not_beyond_its_end(world):
    token = world.token(good(exp=int(time.time()) + 1))
    assert log_in(world, token) == "right"
    world.server.said[token] = {"active": False}
    time.sleep(1.1)
    assert log_in(world, token) == "wrong"


def test_who_guesses_is_not_asked_about(world):
    """A wrong token counts as a wrong password does; while its client is paused no token of his reaches the server, nor does the right one."""
    carol = world.house.new_account("carol")
    throttle, told = world.house.settings["throttle"], {"wrong": 0}
    world.house.settings["throttle"] = {**throttle, "slow-after": 2, "pause-after": 3}
    world.configure(reload=True)
    try:
        for _ in range(8):
            token = world.token({"active": False})
            log_in(world, token, carol)
            told["wrong"] += world.server.times(token)
        assert told["wrong"] == 3
        right = world.token(good(username=carol))
        assert log_in(world, right, carol) != "right" and world.server.times(right) == 0
        assert log_in(world, right, carol, form=xoauth2, mechanism="XOAUTH2") != "right" and world.server.times(right) == 0
        assert log_in(world, world.token(good()), ALICE) == "right"
    finally:
        world.house.settings["throttle"] = throttle
        world.configure(reload=True)


def test_fetch_dies(world):
    """It is asked again of the next one; and it goes when nobody asks."""
    world.server.hangs = 0.5
    try:
        with Line(world.house, "imap") as line:
            line.begin("OAUTHBEARER", bearer(world.token(good())))
            deadline = time.monotonic() + 10
            while not world.house.pids("fetch") or not world.server.asked:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            world.house.deaths_expected = True
            for pid in world.house.pids("fetch"):
                os.kill(pid, signal.SIGKILL)
            assert line.answer().startswith(line.right)
    finally:
        world.server.hangs = 0


def test_a_reload(world):
    """Other values are taken at once, and what was granted by those of before counts no more."""
    token = world.token(good(iss="https://new.example", aud="new", scope="new", email=BOB, email_verified=True))
    old = world.token(good())
    assert log_in(world, old) == "right" and log_in(world, token, BOB) == "wrong"
    world.credentials.write_text("new\nsecret\n")
    world.configure(reload=True, issuer='"https://new.example"', audience="new", scope="new", claim="email",
                    introspection_cache="0", introspection_timeout="1s",
                    introspection=f'"https://127.0.0.1:{world.server.port}/new"')
    try:
        assert log_in(world, token, BOB) == log_in(world, token, BOB) == "right"
        assert world.server.times(token) == 3 and world.server.asked[-1][:2] == (
            "/new", "Basic " + base64.b64encode(b"new:secret").decode())
        assert log_in(world, old) == "wrong"
        world.server.hangs, began = 30, time.monotonic()
        assert log_in(world, world.token(good())).startswith(TEMPORARY["imap"])
        assert time.monotonic() - began < 1.9
        world.configure(reload=True, introspection=None, introspection_credentials=None, issuer=None, audience=None, scope=None)
        assert log_in(world, token, BOB).startswith("a NO [CANNOT]")
    finally:
        world.server.hangs = 0
        world.credentials.write_text(f"{CLIENT}\n{SECRET}\n")
        world.configure(reload=True)
    assert log_in(world, world.token(good())) == "right"
