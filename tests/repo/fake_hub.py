"""A server on this machine that speaks the hub's protocol, for tests: FakeHub({"org/model": folder}).

Files above 1 KiB are in large-file storage: a redirection to another port, as hubs do it.
"""

import collections
import functools
import hashlib
import http.server
import json
import os
import re
import socket
import threading
import time
import urllib.parse

COMMIT = "c0ffee" + "0" * 34


@functools.lru_cache(maxsize=None)  # of large files each listing would take a second
def sha256(data):
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache(maxsize=None)
def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        if self.server.hub.rate:  # so that what was sent has about been received
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        super().setup()

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def reply(self, status, body=b"", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.send_body(body)

    def send_body(self, body):
        """At the hub's pace, and counting what went out: clients may leave at any time."""
        hub = self.server.hub
        step = max(hub.rate // 200, 1024) if hub.rate else max(len(body), 1)
        for begin in range(0, len(body), step):
            part = body[begin:begin + step]
            self.wfile.write(part)
            with hub.lock:
                hub.n_bytes += len(part)
                hub.sent[urllib.parse.urlsplit(self.path).path] += len(part)
            if hub.rate:
                time.sleep(len(part) / hub.rate)

    def answer(self):
        hub = self.server.hub
        hub.requests.append((self.server.is_storage, self.command, self.path, dict(self.headers)))
        if hub.fault and hub.fault(self):
            return
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if self.server.is_storage:
            return self.serve(hub.blobs[path.strip("/")], path.strip("/"))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            return self.describe(*match.groups())
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self.resolve(*match.groups())
        return self.reply(404, b"{}", X_Error_Code="RepoNotFound")

    def describe(self, repo, kind, revision):
        hub = self.server.hub
        if repo not in hub.repos:
            return self.reply(404, b'{"error":"Repository not found"}', X_Error_Code="RepoNotFound")
        if revision not in (None, "main", COMMIT):
            return self.reply(404, b'{"error":"Invalid rev id"}', X_Error_Code="RevisionNotFound")
        files = []
        for name, data in sorted(hub.repos[repo].items()):
            entry = {"rfilename": name, "size": len(data), "blobId": git_sha1(data)}
            if hub.is_large(data):
                entry["lfs"] = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            files.append(entry)
        body = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "tags": [], "downloads": 0, "siblings": files}
        if kind == "tree":
            body = [{"type": "file", "path": f["rfilename"], "size": f["size"], "oid": f["blobId"],
                     **({"lfs": {"oid": f["lfs"]["sha256"], "size": f["size"], "pointerSize": 130}} if "lfs" in f else {})}
                    for f in files]
        return self.reply(200, json.dumps(body).encode(), Content_Type="application/json")

    def resolve(self, repo, revision, name):
        hub = self.server.hub
        data = hub.repos.get(repo, {}).get(name)
        if data is None or revision not in ("main", COMMIT):
            return self.reply(404, b"Entry not found", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        if not hub.is_large(data):
            return self.serve(data, git_sha1(data))
        return self.reply(302, b"", Location=f"{hub.storage_address}/{sha256(data)}", X_Linked_Etag=f'"{sha256(data)}"',
                          X_Linked_Size=str(len(data)), X_Repo_Commit=COMMIT, ETag=f'"{git_sha1(data)}"')

    def serve(self, data, etag):
        fields = {"ETag": f'"{etag}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return self.reply(200, data, **fields)
        begin, end = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
        if begin >= len(data):
            return self.reply(416, b"")
        return self.reply(206, data[begin:end + 1], Content_Range=f"bytes {begin}-{end}/{len(data)}", **fields)


class FakeHub:
    def __init__(self, repos):
        """`repos`: of each name a folder, or a dict of contents."""
        self.repos = {name: self.read(files) for name, files in repos.items()}
        self.blobs = {sha256(data): data for files in self.repos.values() for data in files.values()}
        self.requests = []
        self.n_bytes = 0
        self.sent = collections.Counter()  # bytes of bodies, by path
        self.rate = 0  # bytes per second of each connection; 0: as fast as it goes
        self.lock = threading.Lock()
        self.fault = None
        self.servers = [self.listen(False), self.listen(True)]
        self.address, self.storage_address = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)

    @staticmethod
    def read(files):
        if isinstance(files, dict):
            return files
        contents = {}
        for folder, _, names in os.walk(files):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    contents[os.path.relpath(os.path.join(folder, name), files)] = file.read()
        return contents

    @staticmethod
    def is_large(data):
        return len(data) > 1024 and not data.lstrip().startswith((b"{", b"#"))

    def listen(self, is_storage):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # clients that were killed
        server.hub, server.is_storage, server.daemon_threads = self, is_storage, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
