"""A socket's octets compressed both ways (RFC 4978), for a Conversation that has said COMPRESS."""

import zlib


class Deflated:
    """Stands where `socket` stood."""

    def __init__(self, socket):
        self.socket = socket
        self.packing = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.expanding = zlib.decompressobj(-15)
        self.received = 0  # octets, as they came

    def sendall(self, octets):
        self.socket.sendall(self.pack(octets))

    def pack(self, octets):
        return self.packing.compress(octets) + self.packing.flush(zlib.Z_SYNC_FLUSH)

    def recv(self, size):
        while True:
            octets = self.socket.recv(size)
            self.received += len(octets)
            expanded = self.expanding.decompress(octets)
            if expanded or not octets:
                return expanded

    def __getattr__(self, name):
        return getattr(self.socket, name)


def compress(client):
    """COMPRESS DEFLATE; `client` goes on compressed."""
    client.talk("""
        C: z COMPRESS DEFLATE
        S: z OK *""")
    assert not client.pending
    client.socket = Deflated(client.socket)
