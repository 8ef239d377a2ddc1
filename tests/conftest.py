"""Fixtures of the end-to-end and the fault tests.

    house          a running staffetta that all tests of the session share
    make_house     makes one for this test alone: make_house(settings={"limits": {...}})
    account        the address of a fresh account in `house`, password PASSWORD
    smtp, submission, imap, pop3      a Conversation with `house`, the greeting read
    smtps, imaps, pop3s               the same over TLS from the first octet

A test that has fixtures of its own for a state of a session builds them from these. Whatever a
test does, no process may report a memory error or make a system call that its walls forbid, and
none may be left behind.
"""

import house as house_module
import pytest

# What takes longest is begun first: at the end all processors are busy.
LONGEST = ["fault/test_backup_faults.py::test_a_queue_or_journal_that_dies_while_it_copies",
           *(f"e2e/test_{name}.py" for name in (
               "relay_process", "hijack", "accounts", "smtp_limits", "hostile", "backup", "sendmail",
               "upgrade", "receivers", "foreign_login", "http", "fetch", "demo", "forward", "login")),
           "fault/"]
# Of the fault loops each test is any worker's, but for those that share a house.
SHARING = ("test_killed_role_is_back_and_the_others_unharmed",)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    def place(item):
        return next((i for i, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))
    items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With --dist=loadfile one file is one worker's, so that its tests share a house."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # there where there is this hook

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            alone = nodeid.startswith("fault/") and not any(name in nodeid for name in SHARING)
            return nodeid if alone else super()._split_scope(nodeid)

    return Scheduling(config, log)


def end(house, failed):
    """Stops it, and shows its log where a test failed."""
    try:
        house.stop()
        reports = house.sanitizer_reports()
        if not house.may_trap:
            reports += [str(event) for event in house.events("forbidden_system_call")]
        assert not reports, "\n".join(reports) + f"\n{house.log_text()}"
    finally:
        if failed:
            print(house.log_text())
        house.remove()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Lets a fixture's end see whether its test failed."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed = report.failed


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return house_module.make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def house(certificate):
    shared = house_module.House(certificate=certificate)
    try:
        shared.start()
        yield shared
    finally:
        end(shared, failed=False)


@pytest.fixture
def make_house(request, certificate):
    made = []

    def make(start=True, **options):
        options.setdefault("certificate", certificate)
        made.append(house_module.House(**options))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for one in reversed(made):
        end(one, getattr(request.node, "failed", True))


@pytest.fixture(scope="module")
def make_module_house(certificate):
    """As make_house, for all tests of a file."""
    made = []

    def make(start=True, **options):
        options.setdefault("certificate", certificate)
        made.append(house_module.House(**options))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for one in reversed(made):
        end(one, failed=False)


@pytest.fixture
def account(house):
    return house.new_account()


def conversation_fixture(service):
    @pytest.fixture
    def connected(house):
        with house.connect(service) as conversation:
            yield conversation

    return connected


smtp = conversation_fixture("smtp")
submission = conversation_fixture("submission")
smtps = conversation_fixture("submissions")
imap = conversation_fixture("imap")
imaps = conversation_fixture("imaps")
pop3 = conversation_fixture("pop3")
pop3s = conversation_fixture("pop3s")


@pytest.fixture(scope="session")
def corpus():
    """Directory of awkward messages; without it, the test is skipped."""
    if not house_module.CORPUS.is_dir():
        pytest.skip(f"no corpus of messages in {house_module.CORPUS}")
    return house_module.CORPUS
