"""A small internet: the network namespaces `house` and `world` with a cable between them, and addresses that the
documentation of the internet reserves (RFC 5737, RFC 3849), so that port 25, MX lookup and the refusal of private targets
are the real ones. The namespaces have no names: they end with the last process and descriptor in them, whatever becomes
of the tests, and any number of them stand side by side.

    with network.house:     what this thread opens, starts and connects to now is there
        house.start()
"""

import contextlib
import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
HERE = "/proc/thread-self/ns/net"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def why_not():
    """Why there can be no namespaces here; empty: there can."""
    if os.geteuid() != 0:
        return "network namespaces are made by root"
    try:
        Namespace().close()
    except OSError as error:
        return f"no network namespaces: {error.strerror}"
    return ""


class Namespace:
    """Entered by `with`, for the thread that does it, and left at its end."""

    def __init__(self):
        made = []
        thread = threading.Thread(target=lambda: made.append(self.make()))
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        self.fd = made[0]
        self.before = threading.local()
        self.ip("link", "set", "lo", "up")

    @staticmethod
    def make():
        try:
            checked(libc.unshare(CLONE_NEWNET))
            return os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            return error

    def __enter__(self):
        stack = self.before.__dict__.setdefault("stack", [])
        stack.append(os.open(HERE, os.O_RDONLY | os.O_CLOEXEC))
        checked(libc.setns(self.fd, CLONE_NEWNET))
        return self

    def __exit__(self, *_):
        before = self.before.stack.pop()
        checked(libc.setns(before, CLONE_NEWNET))
        os.close(before)

    def ip(self, *arguments):
        with self:
            done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"

    def set(self, name, value):
        """A setting below /proc/sys/net."""
        with self:
            pathlib.Path("/proc/sys/net", name).write_text(f"{value}\n")

    def link(self, name, up):
        """At once: `ip` takes longer to start than a large message takes to pass."""
        with self, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            flags, = struct.unpack_from("16xh", fcntl.ioctl(sock, SIOCGIFFLAGS, struct.pack("16sh14x", name.encode(), 0)))
            flags = flags | IFF_UP if up else flags & ~IFF_UP
            fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", name.encode(), flags))

    def octets_received(self, name):
        with self, open("/proc/thread-self/net/dev") as file:
            line, = (line for line in file if line.strip().startswith(f"{name}:"))
        return int(line.split(":")[1].split()[0])

    def close(self):
        os.close(self.fd)


class Network:
    """house: 192.0.2.1, 2001:db8::1. world: a router, 192.0.2.2, 2001:db8::2, and every address that `world_has`
    gives it."""

    HOUSE4, WORLD4, HOUSE6, WORLD6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
    CABLE = "cable"

    def __init__(self):
        self.house, self.world = Namespace(), Namespace()
        self.house.ip("link", "add", self.CABLE, "type", "veth", "peer", "name", self.CABLE,
                      "netns", f"/proc/{os.getpid()}/fd/{self.world.fd}")
        for namespace, own4, own6 in ((self.house, self.HOUSE4, self.HOUSE6), (self.world, self.WORLD4, self.WORLD6)):
            namespace.ip("link", "set", self.CABLE, "up")
            namespace.ip("address", "add", f"{own4}/24", "dev", self.CABLE)
            with contextlib.suppress(OSError):  # a kernel without IPv6
                namespace.set("ipv6/conf/all/keep_addr_on_down", 1)
                namespace.set(f"ipv6/conf/{self.CABLE}/keep_addr_on_down", 1)
                namespace.ip("address", "add", f"{own6}/64", "dev", self.CABLE, "nodad")
        self.house.ip("route", "add", "default", "via", self.WORLD4)
        self.has_ipv6 = self.try_ipv6()
        self.world.set("ipv4/ip_forward", 1)

    def try_ipv6(self):
        try:
            self.house.ip("route", "add", "default", "via", self.WORLD6)
            self.world.set("ipv6/conf/all/forwarding", 1)
            return True
        except (AssertionError, OSError):
            return False

    def world_has(self, *addresses):
        for address in addresses:
            if ":" not in address:
                self.world.ip("address", "add", f"{address}/32", "dev", "lo")
            elif self.has_ipv6:
                self.world.ip("address", "add", f"{address}/128", "dev", "lo", "nodad")

    def swallow(self, *networks):
        """What goes there vanishes without a word; without IPv6 nothing goes there anyway."""
        for network in networks:
            if ":" not in network or self.has_ipv6:
                self.world.ip("route", "add", "blackhole", network)

    def plug(self, in_):
        """The cable, at the end of the world."""
        self.world.link(self.CABLE, in_)
        if in_:  # what was found missing meanwhile is looked for again
            self.house.ip("neighbour", "flush", "dev", self.CABLE)
            self.world.ip("neighbour", "flush", "dev", self.CABLE)

    def close(self):
        self.house.close()
        self.world.close()
