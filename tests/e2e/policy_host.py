"""A policy host of MTA-STS, which takes TLS reports too: HTTPS on port 443, of a loopback address of its own if nothing else is
said, which answers what a test says."""

import http.server
import os
import random
import ssl
import threading

PATH = "/.well-known/mta-sts.txt"


def can_serve():
    return os.geteuid() == 0  # port 443


class PolicyHost:
    """text: the policy. status, headers: of the answer. asked: (host, path) of each request.
    posted: (path, Content-Type, body) of each POST."""

    def __init__(self, certificate, text="", status=200, headers=None, address=None):
        self.address = address or f"127.44.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.text, self.status, self.headers, self.asked = text, status, headers or {}, []
        self.posted = []
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host.asked.append((self.headers["Host"], self.path))
                body = host.text.encode()
                self.send_response(host.status)
                headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), **host.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                host.posted.append((self.path, self.headers["Content-Type"], body))
                self.do_GET()

            def log_message(self, *arguments):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that does not believe the certificate

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server = Server((self.address, 443), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


def policy(*mx, mode="enforce", max_age=86400):
    return "".join(["version: STSv1\r\n", f"mode: {mode}\r\n", *(f"mx: {name}\r\n" for name in mx),
                    f"max_age: {max_age}\r\n"])
