"""The program under test, for the files cli_*test.py: PROGRAM TEST_DATA_FOLDER [unittest's arguments]."""

import os
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv[1])
DATA = Path(sys.argv[2])
TINY = str(DATA / "models" / "llama")  # a model without a tokenizer
# A model with a tokenizer and without a chat template.
STORIES = str(next(iter(sorted((DATA / "stories260K").rglob("*.gguf"))), ""))
TIMEOUT = 120
if not STORIES:
    sys.exit("no stories model below %s" % DATA)


def run(*arguments, stdin=subprocess.DEVNULL, home=None, environment=None):
    env = {"PATH": os.environ["PATH"], "HOME": home or "/nonexistent", "HF_HUB_OFFLINE": "1",
           "OLLAMA_MODELS": "/nonexistent", **(environment or {})}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    options = {"input": stdin} if isinstance(stdin, str) else {"stdin": stdin}
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=TIMEOUT, env=env,
                          check=False, **options)


def write_chat_model(folder):
    """A model with a chat template, whose prompt shows the messages: "user:hi\\nassistant:"."""
    for path in (DATA / "stories260K/hf").iterdir():
        (Path(folder) / path.name).symlink_to(path.absolute())
    (Path(folder) / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}")
    return str(folder)


class Server:
    """`openllm start`, until it is killed."""

    def __init__(self, *arguments, environment=None):
        port = () if "--port" in arguments else ("--port", "0")
        self.process = subprocess.Popen([PROGRAM, "start", *arguments, *port], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **(environment or {})})
        lines = ""
        while "ready" not in lines:
            line = self.process.stderr.readline()
            assert line, lines
            lines += line
        self.address = re.search(r"http://[\d.]+:\d+", lines).group(0)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(TIMEOUT)
        self.process.stderr.close()


def main():
    unittest.main(module="__main__", argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
