#!/usr/bin/env python3
"""Whom a hub is trusted by, which way its requests go, and that no token is ever shown.

    cli_secrets_test.py PROGRAM TEST_DATA_FOLDER
"""

import os
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from cli_program import DATA, PROGRAM, TIMEOUT, main, run
from fake_hub import COMMIT, FakeHub

FOLDER = str(DATA / "stories260K/hf")
TOKEN = "hf_0secret0token0"


def make_certificate(folder, name):
    """One that signs itself, for the hosts of these tests."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=openllm-test", "-addext",
                    "subjectAltName=IP:127.0.0.1,DNS:hub.test,DNS:storage.test",
                    "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return f"{folder}/{name}.pem"


def speak_tls(hub, folder):
    """Puts the servers of a FakeHub behind a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/own.pem", f"{folder}/own.key")
    for server in hub.servers:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    hub.address, hub.storage_address = (a.replace("http:", "https:") for a in (hub.address, hub.storage_address))


class Proxy(socketserver.ThreadingTCPServer):
    """Tunnels CONNECT and passes on GET, by names that only it knows; keeps all bytes that it sees."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, ports, refuses=None):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.ports, self.refuses, self.heads, self.seen = ports, refuses, [], bytearray()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass

    @property
    def port(self):
        return self.server_address[1]

    def close(self):
        self.shutdown()
        self.server_close()


class ProxyHandler(socketserver.BaseRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.request.recv(65536)
            if not part:
                return
            head += part
        self.server.heads.append(head.decode())
        self.server.seen += head
        method, target = head.decode().split(" ")[:2]
        if self.server.refuses:
            return self.request.sendall(f"HTTP/1.1 {self.server.refuses} No\r\nContent-Length: 0\r\n\r\n".encode())
        host = target if method == "CONNECT" else target.split("/")[2]
        with socket.create_connection(("127.0.0.1", self.server.ports[host])) as onward:
            if method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                onward.sendall(head.replace(target.encode(), path.encode(), 1).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            back = threading.Thread(target=self.pass_on, args=(onward, self.request))
            back.start()
            self.pass_on(self.request, onward)
            back.join()

    def pass_on(self, one, other):
        try:
            while part := one.recv(65536):
                self.server.seen += part
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.hub = FakeHub({"org/tiny": FOLDER})
        self.addCleanup(self.hub.close)
        self.environment = {"HF_HUB_CACHE": self.root + "/cache", "HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN,
                            "MODELSCOPE_API_TOKEN": TOKEN, "OPENLLM_HOME": self.root + "/store",
                            "MODELSCOPE_CACHE": self.root + "/modelscope"}

    def openllm(self, *words, **variables):
        result = run(*words, environment={"HF_ENDPOINT": self.hub.address, **self.environment, **variables})
        self.assertNotIn(TOKEN, result.stdout + result.stderr)
        return result

    def pull(self, **variables):
        return self.openllm("pull", "org/tiny", "--verbose", **variables)

    def check_pulled(self, **variables):
        result = self.pull(**variables)
        self.assertEqual(result.returncode, 0, result.stderr)

    def check_refused(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def check_tokens(self):
        """The hub got it with each request, the storage never."""
        self.assertTrue(self.hub.requests)
        for is_storage, _, path, fields in self.hub.requests:
            self.assertEqual("Authorization" in fields, not is_storage, path)
            self.assertEqual(fields.get("Authorization", "Bearer " + TOKEN), "Bearer " + TOKEN)


@unittest.skipUnless(shutil.which("openssl"), "there is no openssl")
class Tls(Case):
    def setUp(self):
        super().setUp()
        self.own = make_certificate(self.root, "own")
        speak_tls(self.hub, self.root)

    def test_variables_name_the_authorities(self):
        for name in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
            with self.subTest(name):
                self.check_pulled(**{name: self.own})
                shutil.rmtree(self.root + "/cache")
        self.check_tokens()

    def test_whoever_is_not_trusted_gets_nothing(self):
        other = make_certificate(self.root, "other")
        self.check_refused(self.pull(), 7, "is not trusted (expected a certificate for this host by an authority that is "
                           "known here", "SSL_CERT_FILE can name a file")
        self.check_refused(self.pull(SSL_CERT_FILE=other), 7, "is not trusted", "the authorities are those of " + other)
        self.check_refused(self.pull(SSL_CERT_FILE=self.own, HF_ENDPOINT=self.hub.address.replace("127.0.0.1", "localhost")),
                           7, "is not trusted")
        self.assertEqual(self.hub.requests, [])

    def test_files_of_authorities_that_are_none(self):
        Path(self.root, "none.pem").write_text("no certificate")
        for name in ("none.pem", "absent.pem"):
            self.check_refused(self.pull(SSL_CERT_FILE=f"{self.root}/{name}"), 2, "ca_file: cannot be used", name)

    def test_through_a_proxy_nobody_else_reads_it(self):
        ports = {"hub.test:443": self.hub.servers[0].server_address[1], "storage.test:443": self.hub.servers[1].server_address[1]}
        self.hub.storage_address = "https://storage.test"
        proxy = Proxy(ports)
        self.addCleanup(proxy.close)
        self.check_pulled(HF_ENDPOINT="https://hub.test", SSL_CERT_FILE=self.own,
                          https_proxy=f"http://user:pass0word@127.0.0.1:{proxy.port}")
        self.check_tokens()
        self.assertTrue(any(is_storage for is_storage, *_ in self.hub.requests))
        self.assertEqual({head.split(" ")[1] for head in proxy.heads}, set(ports))
        for head in proxy.heads:
            self.assertTrue(head.startswith("CONNECT "))
            self.assertIn("Proxy-Authorization: Basic ", head)
        self.assertNotIn(TOKEN.encode(), bytes(proxy.seen))
        self.assertNotIn(b"Authorization: Bearer", bytes(proxy.seen))

    def test_a_proxy_that_refuses_is_named_without_its_password(self):
        proxy = Proxy({}, refuses=407)
        self.addCleanup(proxy.close)
        result = self.pull(HF_ENDPOINT="https://hub.test", https_proxy=f"http://user:pass0word@127.0.0.1:{proxy.port}")
        self.check_refused(result, 3, "the proxy does not connect to https://hub.test/", "it answers 407")
        self.assertNotIn("pass0word", result.stderr)
        nobody = self.pull(HF_ENDPOINT="https://hub.test", https_proxy="http://user:pass0word@127.0.0.1:1")
        self.check_refused(nobody, 3, "cannot reach https://hub.test/")
        self.assertNotIn("pass0word", nobody.stderr)


class PlainProxy(Case):
    def test_http_goes_through_it_unless_the_host_is_excepted(self):
        # 0.0.0.0 is this machine, but no address that is known not to need a proxy.
        ports = {f"0.0.0.0:{server.server_address[1]}": server.server_address[1] for server in self.hub.servers}
        self.hub.address, self.hub.storage_address = (a.replace("127.0.0.1", "0.0.0.0")
                                                      for a in (self.hub.address, self.hub.storage_address))
        proxy = Proxy(ports)
        self.addCleanup(proxy.close)
        address = f"http://127.0.0.1:{proxy.port}"
        self.check_pulled(http_proxy=address)
        n = len(proxy.heads)
        self.assertGreaterEqual(n, len(self.hub.requests))
        self.check_tokens()
        shutil.rmtree(self.root + "/cache")
        self.check_pulled(http_proxy=address, no_proxy="0.0.0.0")
        self.assertEqual(len(proxy.heads), n)


class Token(Case):
    """`openllm` of Case checks each output."""

    def fail_with(self, status, body=b"", **fields):
        def fault(handler):
            handler.reply(status, body, **fields)
            return True
        self.hub.fault = fault

    def test_no_error_shows_it(self):
        echo = b'{"error":"the token %s is not good"}' % TOKEN.encode()
        answers = [
            (401, echo, {"X_Error_Code": "RepoNotFound"}, 3),
            (403, echo, {"X_Error_Code": "GatedRepo", "X_Error_Message": "Bearer " + TOKEN}, 3),
            (400, echo, {}, 7),
            (404, b"", {"X_Error_Code": "RevisionNotFound", "X_Error_Message": TOKEN}, 3),
            (404, b"", {"X_Error_Code": "EntryNotFound"}, 3),
            (429, echo, {"Retry_After": "0"}, None),
            (503, echo, {"Retry_After": "0"}, None),
            (200, b"<html>" + TOKEN.encode(), {}, None),
            (200, b'{"sha":"' + TOKEN.encode() + b'"}', {}, None),
            (200, b'["' + TOKEN.encode() + b'"', {}, None),
            (302, b"", {"Location": "ftp://" + TOKEN + "/"}, None),
            (302, b"", {"Location": self.hub.address + "/?token=" + TOKEN}, None),
            (302, b"", {"Location": "http://%s@127.0.0.1:1/" % TOKEN}, None),
        ]
        for status, body, fields, expected in answers:
            with self.subTest(status=status, fields=fields):
                self.fail_with(status, body, **fields)
                result = self.pull()
                self.assertNotEqual(result.returncode, 0)
                self.assertTrue(result.stderr.startswith("openllm: error: "), result.stderr)
                if expected is not None:
                    self.assertEqual(result.returncode, expected, result.stderr)

    def test_nor_do_other_situations(self):
        self.check_pulled()
        for words in (("models",), ("models", "--json"), ("doctor",), ("info", "org/tiny"), ("run", "org/none", "hi"),
                      ("run", "org/tiny", "--raw", "hi", "--max-tokens", "1", "--receipt", self.root + "/receipt.json"),
                      ("pull", "modelscope://org/none"), ("fields",), ("backends", "org/tiny")):
            self.openllm(*words, MODELSCOPE_ENDPOINT=self.hub.address)
        self.assertNotIn(TOKEN, Path(self.root, "receipt.json").read_text())
        self.openllm("pull", "org/none", HF_ENDPOINT="http://127.0.0.1:1")
        self.openllm("pull", "org/none", HF_ENDPOINT="nowhere")
        self.check_refused(self.openllm("pull", "org/none", HF_TOKEN=TOKEN + "\n" + TOKEN), 2, "HF_TOKEN: has characters")
        self.check_refused(self.openllm("pull", "org/none", MODELSCOPE_API_TOKEN=TOKEN + "\n"), 2, "MODELSCOPE_API_TOKEN")
        for path in Path(self.root).rglob("*"):
            if path.is_file():
                self.assertNotIn(TOKEN.encode(), path.read_bytes(), path)

    def test_it_goes_to_no_other_host(self):
        other = FakeHub({"org/tiny": FOLDER})
        self.addCleanup(other.close)

        def fault(handler):
            handler.reply(307, b"", Location=other.address + handler.path)
            return True
        self.hub.fault = fault
        self.check_pulled()
        self.assertTrue(other.requests)
        for _, _, path, fields in other.requests:
            self.assertNotIn(TOKEN, str(fields), path)

    def test_nor_is_it_in_lists_of_processes_or_in_what_a_killed_one_leaves(self):
        asked, go_on = threading.Event(), threading.Event()

        def wait(_):
            asked.set()
            go_on.wait(TIMEOUT)
        self.hub.fault = wait
        for number in (signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV):
            asked.clear()
            process = subprocess.Popen([PROGRAM, "pull", "org/tiny", "--verbose"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       cwd=self.root, env={"PATH": os.environ["PATH"], "HF_ENDPOINT": self.hub.address, **self.environment})
            self.assertTrue(asked.wait(TIMEOUT))
            names = [path for task in Path(f"/proc/{process.pid}/task").iterdir() for path in (task / "cmdline", task / "comm")]
            for path in names:
                self.assertNotIn(TOKEN.encode(), path.read_bytes(), path)
            process.send_signal(number)
            output, _ = process.communicate(timeout=TIMEOUT)
            self.assertNotIn(TOKEN.encode(), output)
        go_on.set()


if __name__ == "__main__":
    main()
