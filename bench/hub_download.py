#!/usr/bin/env python3
"""Downloads one large file of a hub on this machine with openllm and with curl in turns and prints the medians.

    python3 bench/hub_download.py [--program build/release/bin/openllm] [--bytes 1073741824] [--rounds 5] [--folder /tmp]

openllm also computes the SHA-256 and flushes the file to the disk; so there is curl alone, and curl followed by both.
"""
import argparse
import hashlib
import http.server
import json
import os
import shutil
import socketserver
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

COMMIT = "c0ffee" + "0" * 34


class Handler(http.server.BaseHTTPRequestHandler):
    """The hub's protocol for one repository, org/large, whose weights go out by sendfile."""
    protocol_version = "HTTP/1.1"
    folder = Path()
    digests = {}

    def log_message(self, *_):
        pass

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith("/api/models/"):
            files = []
            for name, (size, digest) in self.digests.items():
                entry = {"rfilename": name, "size": size, "blobId": digest}
                if len(digest) == 64:
                    entry = {"rfilename": name, "size": size, "lfs": {"sha256": digest, "size": size}}
                files.append(entry)
            return self.reply(json.dumps({"id": "org/large", "sha": COMMIT, "siblings": files}).encode())
        with open(self.folder / path.rsplit("/", 1)[1], "rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin, end = 0, size
            asked = self.headers.get("Range", "")
            if asked.startswith("bytes="):
                first, last = asked[6:].split("-")
                begin, end = int(first), min(int(last) + 1 if last else size, size)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
            self.send_header("Content-Length", str(end - begin))
            self.end_headers()
            self.wfile.flush()
            while begin < end:
                begin += os.sendfile(self.connection.fileno(), file.fileno(), begin, min(end - begin, 1 << 24))
        return None


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # clients that leave


def digest_of(path):
    size = path.stat().st_size
    large = path.suffix == ".safetensors"
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % size)
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return size, digest.hexdigest()


def make_model(folder, n_bytes, source):
    """A model whose weights are one tensor of pseudo-random bytes."""
    for path in source.iterdir():
        if path.suffix != ".safetensors":
            shutil.copy(path, folder / path.name)
    head = json.dumps({"x": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    head += b" " * (-len(head) % 8)
    block = os.urandom(1 << 24)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for begin in range(0, n_bytes, len(block)):
            file.write(begin.to_bytes(8, "little"))
            file.write(block[8:min(len(block), n_bytes - begin)])


def serve(folder, write_to):
    Handler.folder = folder
    Handler.digests = {path.name: digest_of(path) for path in sorted(folder.iterdir())}
    server = Server(("127.0.0.1", 0), Handler)
    with os.fdopen(write_to, "w") as pipe:
        pipe.write(f"{server.server_address[1]}\n")
    server.serve_forever()


def measure(words, env=None):
    """Seconds, seconds of processors, and the most memory in MB of a command."""
    started = time.monotonic()
    process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    memory = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        try:  # what wait4 says of memory is this process's own, from before the command began
            with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
                memory = max([memory] + [int(line.split()[1]) for line in lines if line.startswith("VmHWM")])
        except OSError:
            pass
        time.sleep(0.01)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{words[0]} ended with {process.returncode}: {process.stderr.read().decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, memory / 1024


def run(args, port, root, results):
    address = f"http://127.0.0.1:{port}"
    url = f"{address}/org/large/resolve/{COMMIT}/model.safetensors"
    target = root / "curl"

    def openllm():
        env = {"PATH": os.environ["PATH"], "HF_ENDPOINT": address, "HF_HUB_CACHE": str(root / "cache"),
               "OPENLLM_HOME": str(root / "store")}
        return measure([args.program, "pull", "org/large"], env)

    curl = ["curl", "-sSf", "-o", str(target), url]
    ways = {"openllm": openllm, "curl": lambda: measure(curl),
            "curl, sha256sum, sync": lambda: measure(["sh", "-ec", '"$@"; sha256sum "$0"; sync "$0"', str(target), *curl])}
    for i in range(args.rounds):
        for name in list(ways)[i % 3:] + list(ways)[:i % 3]:
            results.setdefault(name, []).append(ways[name]())
            shutil.rmtree(root / "cache", ignore_errors=True)
            target.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/bin/openllm")
    parser.add_argument("--bytes", type=int, default=1 << 30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default=None, help="where both write to; the system's for temporary files")
    args = parser.parse_args()
    args.program = os.path.abspath(args.program)
    source = Path(__file__).resolve().parent.parent / "tests/data/stories260K/hf"
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        root = Path(name)
        (root / "model").mkdir()
        make_model(root / "model", args.bytes, source)
        read_from, write_to = os.pipe()
        server = os.fork()
        if server == 0:
            os.close(read_from)
            serve(root / "model", write_to)
            os._exit(0)
        os.close(write_to)
        results = {}
        try:
            with os.fdopen(read_from) as pipe:
                port = int(pipe.readline())
            run(args, port, root, results)
        finally:
            os.kill(server, 9)
            os.waitpid(server, 0)
    print(f"{args.bytes / 1e6:.0f} MB, medians of {args.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for way, values in results.items():
        seconds, busy = (statistics.median(value[i] for value in values) for i in (0, 1))
        spread = ", ".join(f"{args.bytes / value[0] / 1e6:.0f}" for value in values)
        print(f"{way:22} {args.bytes / seconds / 1e6:6.0f} MB/s, {busy:5.2f} s of processors, "
              f"at most {max(value[2] for value in values):3.0f} MB of memory ({spread})")


if __name__ == "__main__":
    main()
