#!/usr/bin/env python3
"""`openllm build`: folders that serve a model.

    cli_build_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from cli_program import DATA, PROGRAM, STORIES, TIMEOUT, TINY, main, run, write_chat_model

GREEDY = ["--temperature", "0", "--max-new-tokens", "12"]

# Without a network but for the loopback device, which is down at first. Arguments: serve, options.
ALONE = """
import fcntl, os, re, socket, struct, subprocess, sys, urllib.request
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
server = subprocess.Popen(["env", "-i", *sys.argv[1:]], stderr=subprocess.PIPE, text=True)
lines = ""
while "ready" not in lines:
    line = server.stderr.readline()
    if not line: sys.exit("no server: " + lines)
    lines += line
address = re.search(r"http://[0-9.]+:[0-9]+", lines).group(0)
print(urllib.request.urlopen(address + "/readyz").status)
server.terminate()
sys.exit(server.wait())
"""


class Served:
    """A server that a folder's `serve` started, with nothing in its environment but `environment`."""

    def __init__(self, folder, *options, environment=None):
        words = ["env", "-i", *("%s=%s" % pair for pair in (environment or {}).items())]
        self.process = subprocess.Popen([*words, str(Path(folder) / "serve"), "--port", "0", *options],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.lines = ""
        while "ready" not in self.lines:
            line = self.process.stderr.readline()
            if not line:
                raise AssertionError(self.lines)
            self.lines += line
        self.address = re.search(r"http://[\d.]+:\d+", self.lines).group(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=TIMEOUT) as response:
            return json.load(response)

    def defaults(self):
        """The defaults of requests."""
        return json.loads(self.get("/v1/metadata")["configuration"])["generation_config"]

    def complete(self, prompt, **members):
        body = json.dumps({"model": self.get("/v1/models")["data"][0]["id"], "prompt": prompt, **members})
        request = urllib.request.Request(self.address + "/v1/completions", body.encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return json.load(response)


class Build(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.folder = str(Path(self.place.name) / "made")

    def tearDown(self):
        self.place.cleanup()

    def build(self, *arguments, model=STORIES, **how):
        return run("build", model, "-o", self.folder, *arguments, **how)

    def built(self, *arguments, **how):
        result = self.build("--json", *arguments, **how)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def description(self):
        return json.loads((Path(self.folder) / "openllm.json").read_text())

    def check_error(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)
        self.assertEqual(os.listdir(self.place.name), [])

    def test_serves_the_same_text_without_an_environment_and_anywhere(self):
        made = self.built("--max-sequences", "4")
        self.assertEqual((made["state"], made["path"]), ("ADDED", self.folder))
        text = json.loads(run("run", STORIES, "Once upon a time", "--json", *GREEDY).stdout)["outputs"][0]["text"]
        moved = self.folder + " moved 'there'"
        for folder in (self.folder, moved):
            if folder == moved:
                os.rename(self.folder, moved)
            with Served(folder) as server:
                answer = server.complete("Once upon a time", temperature=0, max_tokens=12)
            self.assertEqual(answer["choices"][0]["text"], text)
        verified = run("verify", moved)
        self.assertEqual((verified.returncode, verified.stderr), (0, ""), verified.stdout)

    def test_answers_without_a_network(self):
        if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no namespaces here")
        self.built()
        result = subprocess.run(["unshare", "-rn", sys.executable, "-c", ALONE, self.folder + "/serve", "--port", "0"],
                                capture_output=True, text=True, timeout=TIMEOUT, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, "200\n"), result.stderr)

    def test_options_hold_and_may_be_overridden(self):
        self.built("--max-new-tokens", "3", "--temperature", "0", "--no-prefix-caching", "--alias", "a", "--alias", "b",
                   "--max-model-len", "64", "--max-model-len", "128")
        self.assertEqual([option for option in self.description()["options"] if not option.startswith("--model-")],
                         ["--alias=a", "--alias=b", "--max-model-len=128", "--no-prefix-caching",
                          "--max-new-tokens=3", "--temperature=0"])
        with Served(self.folder) as server:
            self.assertEqual(server.complete("Once")["usage"]["completion_tokens"], 3)
            self.assertEqual(server.defaults()["max_new_tokens"], 3)
            self.assertIn(128, server.get("/v1/models")["data"][0].values())
            self.assertEqual(server.complete("Once", model="b", seed=1)["model"], "b")
        with Served(self.folder, "--max-new-tokens", "5") as server:
            self.assertEqual(server.complete("Once")["usage"]["completion_tokens"], 5)

    def test_brings_its_libraries(self):
        if shutil.which("ldd") is None:
            self.skipTest("no ldd")
        self.built()
        libraries = Path(self.folder) / "lib"
        listed = subprocess.run(["ldd", Path(self.folder) / "bin/openllm"], capture_output=True, text=True, check=False,
                                env={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(libraries)}).stdout
        for line in listed.splitlines():  # what is not in the folder belongs to the C library
            self.assertRegex(line, re.escape(str(libraries)) + r"/|linux-vdso|/ld-linux|/lib(c|m|dl|rt|pthread|resolv)\.so")

    def test_the_name_stays(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            run("models", "add", "Me/Tiny", STORIES, environment=store)
            made = self.built(model="me/tiny", environment=store)
            self.assertEqual(made["tag"], json.loads(run("info", "me/tiny", "--json", environment=store).stdout)["tag"])
        with Served(self.folder) as server:  # the store is gone
            self.assertEqual(server.get("/v1/models")["data"][0]["id"], "Me/Tiny")

    def test_n38_the_environments_defaults_are_frozen_as_valid_json(self):
        config = {"temperature": 0.0, "bad_words_ids": [[5, 6], [7]], "max_new_tokens": 9}
        environment = {"OPENLLM_CONFIG": json.dumps(config), "OPENLLM_GENERATION_MAX_NEW_TOKENS": "4",
                       "OPENLLM_BACKEND": "native"}
        self.built(environment=environment)
        self.assertEqual(self.description()["config"], {**config, "max_new_tokens": 4})
        self.assertIn("--backend=native", self.description()["options"])
        with Served(self.folder) as server:
            effective = server.defaults()
        for name, value in {**config, "max_new_tokens": 4}.items():
            self.assertEqual(effective[name], value)
        with Served(self.folder, environment={"OPENLLM_CONFIG": '{"max_new_tokens": 6}'}) as server:
            effective = server.defaults()
        self.assertEqual((effective["max_new_tokens"], effective["temperature"]), (6, 0.6))
        os.rename(self.folder, self.folder + "2")
        result = self.build(environment={"OPENLLM_CONFIG": "{max_new_tokens: 4}"})
        self.assertEqual(result.returncode, 2)
        self.assertIn("OPENLLM_CONFIG", result.stderr)

    def test_n39_no_weights_are_loaded(self):
        garbage = Path(self.place.name) / "garbage.gguf"
        content = bytearray(Path(STORIES).read_bytes())
        content[len(content) // 2:] = b"\xff" * (len(content) - len(content) // 2)  # not numbers
        garbage.write_bytes(content)
        self.assertEqual(run("run", str(garbage), "Once").returncode, 5)
        self.built(model=str(garbage))
        self.assertEqual((Path(self.folder) / "model/garbage.gguf").read_bytes(), bytes(content))
        self.assertEqual(run("verify", self.folder).returncode, 0)

    def test_a_changed_byte_is_found(self):
        self.built(model=TINY)
        weights = next((Path(self.folder) / "model").glob("*.safetensors"))
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.unlink()  # it may be a link to the model's
        weights.write_bytes(content)
        result = run("verify", self.folder, "--json")
        self.assertEqual(result.returncode, 5)
        (folder,) = json.loads(result.stdout)
        self.assertEqual((folder["ok"], [problem["file"] for problem in folder["problems"]]),
                         (False, ["model/" + weights.name]))
        self.assertEqual(run("verify", self.place.name).returncode, 3)

    def test_nothing_is_replaced_unasked(self):
        self.built()
        self.assertEqual(self.build().returncode, 2)
        self.assertEqual(self.built("--overwrite", "--strict")["state"], "OVERWRITE")
        self.assertIn("--strict", self.description()["options"])
        other = Path(self.place.name) / "other"
        other.mkdir()
        (other / "letter").write_text("dear")
        result = run("build", STORIES, "-o", str(other), "--overwrite")
        self.assertEqual((result.returncode, os.listdir(other)), (2, ["letter"]), result.stderr)

    def test_a_build_that_is_killed_leaves_no_half_folder(self):
        for delay in (0.002, 0.005, 0.01, 0.02, 0.05):  # whenever that is, the folder is whole or absent
            with subprocess.Popen([PROGRAM, "build", STORIES, "-o", self.folder, "--overwrite"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
            if os.path.exists(self.folder):
                self.assertEqual(run("verify", self.folder).returncode, 0)
        self.built("--overwrite")
        # What was left behind is gone as well, but for what was killed before anybody could know whose it is.
        left = Path(self.place.name) / ".made.building" / "tmp"
        self.assertEqual(sorted(set(os.listdir(self.place.name)) - {".made.building"}), ["made"])
        self.assertEqual([path.name for path in left.glob("[!.]*")], [])

    def test_keys_stay_out(self):
        self.check_error(self.build("--api-key", "secret"), 2, "--api-key", "OPENLLM_API_KEY")
        made = self.build(environment={"OPENLLM_API_KEY": "secret"})
        self.assertEqual(made.returncode, 0)
        self.assertIn("OPENLLM_API_KEY", made.stderr)
        for path in Path(self.folder).rglob("*"):
            if path.is_file() and path.stat().st_size < 100000:
                self.assertNotIn(b"secret", path.read_bytes(), path)

    def test_flags_of_the_original(self):
        for flag, words in ((["--push"], "--push"), (["--force-push"], "--force-push"),
                            (["--containerize"], "docker build"), (["--bento-version", "1"], "--model-version"),
                            (["--dockerfile-template", "x"], "Containerfile"), (["--build-ctx", "."], "--build-ctx"),
                            (["--enable-features", "x"], "--enable-features")):
            result = self.build(*flag)
            self.assertIn(result.returncode, (2, 4), flag)
            self.check_error(result, result.returncode, flag[0], words)
        self.assertEqual(json.loads(self.build("--machine").stdout)["state"], "ADDED")

    def test_what_cannot_be_served_is_not_built(self):
        self.check_error(self.build(model="no/such"), 3, "no/such")
        self.check_error(run("build", STORIES), 2, "--output")
        self.check_error(self.build("--backend", "vllm"), 4, "vllm")
        self.check_error(self.build("--max-model-len", "100000"), 2, "max_model_len")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text('{"model_type": "foo"}')
            self.check_error(self.build(model=folder), 4, "foo")

    def test_a_template_comes_along(self):
        with tempfile.TemporaryDirectory() as work:
            model = Path(work) / "model"
            model.mkdir()
            template = Path(work) / "own.jinja"
            template.write_text("{% for m in messages %}[{{ m.content }}]{% endfor %}")
            self.built("--chat-template", str(template), model=write_chat_model(model))
        self.assertEqual((Path(self.folder) / "chat_template.jinja").read_text(),
                         "{% for m in messages %}[{{ m.content }}]{% endfor %}")
        with Served(self.folder) as server:
            body = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
            request = urllib.request.Request(server.address + "/v1/helpers/messages", body.encode(),
                                             {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                self.assertIn("[hi]", response.read().decode())

    def test_words_of_shells_and_units(self):
        odd = "it's $HOME \"100%\" `x`\\"
        self.built("--alias", odd)
        with Served(self.folder) as server:
            self.assertEqual(server.complete("Once", model=odd, max_tokens=1)["model"], odd)
        for script, shell in (("serve", "sh"), ("health", "bash")):
            self.assertEqual(subprocess.run([shell, "-n", Path(self.folder) / script], check=False).returncode, 0)
        if shutil.which("systemd-analyze"):
            unit = Path(self.folder) / "openllm.service"
            checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
            self.assertNotIn("openllm.service:", checked.stdout + checked.stderr)

    def test_the_health_check(self):
        if shutil.which("bash") is None:
            self.skipTest("no bash")
        self.built("--port", "3456")
        container = (Path(self.folder) / "Containerfile").read_text()
        for line in ("FROM debian:bookworm-slim", "USER 10001", "EXPOSE 3456"):
            self.assertIn(line + "\n", container)
        health = re.search(r"HEALTHCHECK[^\[]*(\[.*\])", container).group(1)
        self.assertEqual(json.loads(health), ["/opt/openllm/health", "3456"])
        self.assertEqual(json.loads(re.search(r"ENTRYPOINT (\[.*\])", container).group(1))[0], "/opt/openllm/serve")
        script = self.folder + "/health"
        with Served(self.folder) as server:
            port = server.address.rsplit(":", 1)[1]
            self.assertEqual(subprocess.run([script, port], timeout=TIMEOUT, check=False).returncode, 0)
        self.assertNotEqual(subprocess.run([script, port], timeout=TIMEOUT, check=False).returncode, 0)
        self.assertIn("serve", shlex.split((Path(self.folder) / "README").read_text().splitlines()[2])[0])
        self.assertTrue(DATA)


if __name__ == "__main__":
    main()
