"""Power cuts: a whole house with its state and its mail on a file system of its own, which is shut
down at random moments of a stream of mail: the ioctl lets neither data nor log out any more, so that
after unmounting there is what a machine without power would have found on its disk. Mounted again and
started again, what was answered 250 is there exactly once and whole, what a client removed does not
come back, no client is shown half a message, and no UID ever means another one.

Root only. STAFFETTA_TORTURE=1 cuts many times."""

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
import time

import pytest
from stream import PopReader, Reader, Stream, wait_until_files_are_used_again

TORTURE = bool(os.environ.get("STAFFETTA_TORTURE"))
SEED = int(os.environ.get("STAFFETTA_SEED", "1"))
CUTS = 25 if TORTURE else 2
IMAGE_OCTETS = 512 << 20  # sparse; mkfs.xfs wants 300 MiB
SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32): EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN
NEITHER_DATA_NOR_LOG = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
# Without discarding, which a sparse file does not need.
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard"], "xfs": ["mkfs.xfs", "-q", "-f", "-K"]}


def run(*command):
    """None, or what it had to say against it."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else f"{command[0]}: {done.stdout.strip()}"


class Disk:
    """A file system in a file."""

    def __init__(self, directory, kind):
        self.image, self.path, self.kind = directory / "image", directory / "disk", kind
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_OCTETS)

    def mount(self):
        return run("mount", "-t", self.kind, "-o", "loop", self.image, self.path)

    def unmount(self):
        return run("umount", self.path)

    def cut(self):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NEITHER_DATA_NOR_LOG))
        finally:
            os.close(fd)

    def come_back(self):
        """Mounting replays the log. A process that was just killed may still hold a file."""
        deadline = time.monotonic() + 10
        while (problem := self.unmount()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not problem, problem
        problem = self.mount()
        assert not problem, problem


@pytest.fixture(params=sorted(MAKE))
def disk(request, tmp_path):
    make = MAKE[request.param]
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if not shutil.which(make[0]):
        pytest.skip(f"{make[0]} is not installed")
    made = Disk(tmp_path, request.param)
    problem = run(*make, made.image) or made.mount()
    if problem:
        pytest.skip(f"no {request.param} on a loop device here: {problem}")
    try:
        try_shutdown(made)
        yield made
    finally:
        run("umount", "-l", made.path)


def try_shutdown(disk):
    try:
        disk.cut()
    except OSError as error:
        pytest.skip(f"{disk.kind} cannot be shut down here: {error}")
    disk.come_back()


def let_logs_be_short(state):
    """So that the log goes on in the next file often, which the second thread made (DB_CONFIG is
    Berkeley DB's own)."""
    (state / "queue").mkdir(parents=True)
    (state / "queue" / "DB_CONFIG").write_text("set_lg_max 262144\n")


def house_on(disk, make_house):
    house = make_house(start=False, settings={"": {"state": disk.path / "state"}},
                       services=("smtp", "imap", "pop3"))
    house.mail = disk.path / "mail"
    let_logs_be_short(disk.path / "state")
    house.write_config()
    return house


def cut_power(disk, house, speakers, chance):
    """Half of the time the daemons meet the dead disk before they die."""
    for speaker in speakers:
        speaker.has_power = False
    disk.cut()
    time.sleep(chance.choice([0, chance.uniform(0, 0.1)]))
    house.kill_everything()
    disk.come_back()
    house.start()
    for speaker in speakers:
        speaker.has_power = True


def wait_until_busy(stream, clients, seconds=30):
    """Mail comes, and goes: on a slow machine not at once."""
    counts = [stream.acknowledged, *(client.removed for client in clients)]
    before = [len(count) for count in counts]
    deadline = time.monotonic() + seconds
    while any(len(count) <= old for count, old in zip(counts, before)):
        assert time.monotonic() < deadline, f"{dict(stream.replies)}\n{stream.house.log_text()}"
        time.sleep(0.02)


def wait_until_empty(house, seconds=60):
    deadline = time.monotonic() + seconds
    while "queue: 0 messages" not in (text := house.command("status").stdout):
        assert time.monotonic() < deadline, f"{text}\n{house.log_text()}"
        time.sleep(0.05)


# Octets of the messages. Long bodies, so many that queue writes them into files that it used before.
LONG = (70000, 100000, 140000)


@pytest.mark.parametrize("sizes", [(500, 4000, 20000, 150000), LONG], ids=["mixed", "long"])
def test_power_cut(disk, make_house, sizes):
    house = house_on(disk, make_house)
    house.start()
    accounts = [house.new_account() for _ in range(3)]
    chance = random.Random(f"{SEED} {disk.kind}")
    clients = [Reader(house, accounts[0], pause=0.01), PopReader(house, accounts[1], pause=0.02)]
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(Stream(house, accounts, senders=3, sizes=sizes, pause=0.02))
        for client in clients:
            stack.enter_context(client)
        for _ in range(CUTS):
            wait_until_busy(stream, clients)
            if sizes is LONG:
                wait_until_files_are_used_again(disk.path / "state", house)
            time.sleep(chance.uniform(0.1, 1.0))
            cut_power(disk, house, [stream, *clients], chance)
        wait_until_busy(stream, clients)
    wait_until_empty(house)
    for client in clients:
        assert not client.wrong, client.wrong[:5]
    present = set(stream.stored()[0])
    stream.verify(set().union(*(client.removed | client.unsure - present for client in clients)))
