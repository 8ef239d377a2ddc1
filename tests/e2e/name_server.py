"""A name server of our own, on loopback if nothing else is said: Debian's knotd with the zones that a test gives it, signed
where it asks for that, each with its DS record as a trust anchor. Ends with the test."""

import shutil
import socket
import subprocess
import time

from house import free_ports

KNOTD = shutil.which("knotd") or "/usr/sbin/knotd"
KEYMGR = shutil.which("keymgr") or "/usr/sbin/keymgr"

SOA = "@ 60 SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60\n@ 60 NS ns.{zone}.\nns 60 A {address}\n"


class NameServer:
    """zones: name -> records in master file format, relative to the zone. signed: names of those."""

    def __init__(self, directory, zones, signed=(), address="127.0.0.1", port=0):
        self.directory, self.signed = directory, list(signed)
        self.address, self.port = address, port or free_ports(1)[0]
        (directory / "db").mkdir(parents=True, exist_ok=True)
        for zone, records in zones.items():
            (directory / f"{zone}.zone").write_text(SOA.format(zone=zone, address=address) + records)
        lines = [f"server:\n  listen: {address}@{self.port}\n  rundir: {directory}\n",
                 f"database:\n  storage: {directory}/db\n",
                 "policy:\n  - id: quick\n    algorithm: ECDSAP256SHA256\n    single-type-signing: on\n    nsec3: off\n",
                 f"template:\n  - id: default\n    storage: {directory}\n    file: %s.zone\n    zonefile-sync: -1\n    journal-content: none\n",
                 "zone:\n"]
        for zone in zones:
            lines.append(f"  - domain: {zone}\n")
            if zone in signed:
                lines.append("    dnssec-signing: on\n    dnssec-policy: quick\n")
        self.config = directory / "knot.conf"
        self.config.write_text("".join(lines))
        self.log = open(directory / "knot.log", "wb")
        self.process = subprocess.Popen([KNOTD, "-c", self.config], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.wait()

    def wait(self):
        for _ in range(200):
            assert self.process.poll() is None, (self.directory / "knot.log").read_text()
            try:
                with socket.create_connection((self.address, self.port), 1):
                    break
            except OSError:
                time.sleep(0.05)
        for zone in self.signed:  # signed before it is served
            self.anchor(zone)

    def anchor(self, zone):
        """The zone's DS records, one a line."""
        for _ in range(200):
            found = subprocess.run([KEYMGR, "-c", self.config, zone, "ds"], capture_output=True,
                                   text=True, check=False)
            if found.returncode == 0 and " DS " in found.stdout:
                return "".join(line + "\n" for line in found.stdout.splitlines() if " 13 2 " in line)
            time.sleep(0.05)
        raise AssertionError(f"{zone} has no key: {found.stderr}")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
