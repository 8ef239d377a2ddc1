"""The server's side of SCRAM (RFC 5802, RFC 7677) for sink.py, written from the RFC alone; and what a bad one does."""

import base64
import hashlib
import hmac
import os
import ssl


class Scram:
    """password: what it takes for the user's. first, final: make something else of its two messages (a function of the
    text). iterations: what it asks for."""

    def __init__(self, password="secret", iterations=4096, first=None, final=None, without_proof=False):
        self.password, self.iterations = password, iterations
        self.first, self.final, self.without_proof = first, final, without_proof
        self.mechanism = self.channel = self.name = None

    def serve(self, connection, line):
        _, mechanism, initial = line.decode().split(" ")
        self.mechanism = mechanism
        kind = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism.removesuffix("-PLUS")]
        flag, _, bare = base64.b64decode(initial, validate=True).decode().split(",", 2)
        self.name, nonce = bare.split(",")[0][2:], bare.split(",")[1][2:]
        salt = os.urandom(16)
        first = f"r={nonce}%its,s={base64.b64encode(salt).decode()},i={self.iterations}"
        first = self.first(first) if self.first else first
        connection.sock.sendall(b"334 " + base64.b64encode(first.encode()) + b"\r\n")
        answer = connection.line()
        if answer is None or answer == b"*":
            return
        final = base64.b64decode(answer, validate=True).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        self.check_channel(connection, flag, without_proof)
        salted = hashlib.pbkdf2_hmac(kind, self.password.encode(), salt, self.iterations)
        keys = [hmac.digest(salted, text, kind) for text in (b"Client Key", b"Server Key")]
        message = f"{bare},{first},{without_proof}".encode()
        signature = hmac.digest(hashlib.new(kind, keys[0]).digest(), message, kind)
        key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature))
        if key != keys[0]:
            connection.sock.sendall(b"535 5.7.8 no\r\n")
            return
        if not self.without_proof:
            verifier = "v=" + base64.b64encode(hmac.digest(keys[1], message, kind)).decode()
            verifier = self.final(verifier) if self.final else verifier
            connection.sock.sendall(b"334 " + base64.b64encode(verifier.encode()) + b"\r\n")
            if connection.line() != b"":
                return
        connection.sock.sendall(b"235 2.7.0 welcome\r\n")

    def check_channel(self, connection, flag, without_proof):
        """c= is the header that came before, and what binds."""
        octets = base64.b64decode(without_proof.split(",")[0][2:])
        header = flag.encode() + b",,"
        assert octets.startswith(header)
        self.channel = flag
        bound = octets[len(header) :]
        if flag == "p=tls-exporter":
            assert len(bound) == 32 and connection.sock.version() == "TLSv1.3"
        elif flag == "p=tls-server-end-point":
            pem = open(connection.sink.chain).read()
            assert bound == hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
        else:
            assert bound == b"" and flag == ("n" if not connection.tls else "y")
