"""One interpreter that has imported torch and transformers, for all workers of a test: `with WarmPython() as python:`
gives a program to be named as OPENLLM_PYTHON. Each start of it is a fork of that interpreter, which runs the worker's
script with the descriptors that the program was given; importing takes seconds, forking does not."""

import array
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
import threading

# What stands for the interpreter: hands script and descriptors over, and ends as the fork ends.
PROGRAM = """#!%s -SE
import array, json, os, socket, sys
script, peer, logits = sys.argv[-3:]
link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
link.connect(%r)
file = os.open(script, os.O_RDONLY)
fds = array.array("i", [file, int(peer), int(logits), 2])
link.sendmsg([json.dumps(dict(os.environ)).encode() + b"\\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
os.close(int(peer))
status = link.recv(16)
os._exit(int(status or b"1"))
"""


class WarmPython:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        place = self.folder.name + "/socket"
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            serve(place, tell)
        os.close(tell)
        assert os.read(ready, 1) == b"1", "the interpreter did not start"
        os.close(ready)
        self.program = self.folder.name + "/python"
        with open(self.program, "w", encoding="utf-8") as file:
            file.write(PROGRAM % (sys.executable, place))
        os.chmod(self.program, 0o700)
        return self.program

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.folder.cleanup()


def serve(place, tell):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the tests
    import torch  # noqa: F401
    import transformers
    from transformers.models.auto import modeling_auto  # noqa: F401
    _ = transformers.AutoModelForCausalLM, transformers.DynamicCache
    with contextlib.suppress(ImportError):  # adapters are skipped then
        import peft  # noqa: F401
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)
    listener.listen(16)
    os.write(tell, b"1")
    while True:
        link, _ = listener.accept()
        text, fds = receive(link)
        child = os.fork()
        if child == 0:
            listener.close()
            work(link, json.loads(text), *fds)
        for fd in fds:
            os.close(fd)
        threading.Thread(target=end_with, args=(link, os.pidfd_open(child)), daemon=True).start()
        threading.Thread(target=wait_for, args=(link, child), daemon=True).start()


def receive(link):
    text, fds = b"", array.array("i")
    while not text.endswith(b"\0"):
        part, ancillary, _, _ = link.recvmsg(1 << 16, socket.CMSG_SPACE(16))
        for _, _, data in ancillary:
            fds.frombytes(data)
        text += part
        assert part, "the program is gone"
    return text[:-1], fds


def work(link, environment, script, peer, logits, output):
    link.close()
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(output, 2)
    with os.fdopen(script, encoding="utf-8") as file:
        code = compile(file.read(), "pt_worker.py", "exec")
    sys.argv = ["pt_worker.py", str(peer), str(logits)]
    sys.path.insert(0, "")
    exec(code, {"__name__": "__main__"})  # pylint: disable=exec-used
    os._exit(0)


def end_with(link, child):
    """Ends the worker with the program that stands for it."""
    with contextlib.suppress(OSError):
        if link.recv(1) == b"":
            signal.pidfd_send_signal(child, signal.SIGKILL)
    os.close(child)


def wait_for(link, child):
    _, status = os.waitpid(child, 0)
    try:
        link.sendall(b"%d" % (os.waitstatus_to_exitcode(status) & 0xFF))
    except OSError:
        pass  # the program was killed
    link.close()
