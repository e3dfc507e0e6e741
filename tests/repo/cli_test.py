#!/usr/bin/env python3
"""The program as its users see it.

    cli_test.py PROGRAM TEST_DATA_FOLDER
"""

import fcntl
import json
import os
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from cli_program import DATA, PROGRAM, STORIES, TIMEOUT, TINY, Server, main, run


class Checks(unittest.TestCase):
    def check_error(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, result.stderr)


class Usage(Checks):
    def test_version_and_help(self):
        self.assertRegex(run("--version").stdout, r"^openllm \d+\.\d+\.\d+\n$")
        overview = run("--help")
        self.assertEqual(overview.returncode, 0)
        for command in ("run", "start", "query", "models", "info", "tokenize", "detokenize", "template", "logits", "replay", "fields",
                        "embed", "score", "rerank", "backends", "compare", "import", "verify", "prune", "du"):
            self.assertIn(command, overview.stdout)
            detail = run(command, "--help")
            self.assertEqual((detail.returncode, detail.stderr), (0, ""))
            self.assertIn("Example", detail.stdout)

    def test_no_command(self):
        result = run()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("COMMAND --help", result.stderr)

    def test_wrong_use(self):
        self.check_error(run("frobnicate"), 2)
        self.check_error(run("run"), 2, "MODEL", "`openllm run --help`")
        self.check_error(run("run", "x", "hi", "--nonsense"), 2, "--nonsense")
        self.check_error(run("run", "x", "hi", "--top-k", "many"), 2, "--top-k")
        self.check_error(run("run", "x", "--kv-cache-bytes", "2 parsecs", "hi"), 2, "2 parsecs")
        self.check_error(run("run", TINY, "hi", "--prompt-ids", "1,2"), 2, "not both")
        self.check_error(run("run", TINY, "--prompt-ids", "1,x"), 2, "x")
        self.check_error(run("logits", TINY), 2, "standard input")

    def test_says_what_may_have_been_meant(self):
        self.check_error(run("rum", "x"), 2, "unknown command rum; did you mean run?")
        self.check_error(run("models", "lst"), 2, "did you mean list?", "`openllm models --help`")
        self.check_error(run("run", "x", "--temprature=0"), 2, "--temprature; did you mean --temperature?")
        self.check_error(run("run", "x", "two", "words"), 2, "one argument too many: words")

    def test_after_two_dashes_nothing_is_an_option(self):
        result = run("run", STORIES, "--max-new-tokens", "1", "--", "-5 + 3")
        self.assertEqual(result.returncode, 0, result.stderr)
        result = run("run", STORIES, "--", "-5 + 3", "--max-new-tokens", "1")
        self.check_error(result, 2, "one argument too many: ", "before --")

    def test_numbers_are_read_strictly(self):
        for arguments in (["--seed", "1.5"], ["--seed", "18446744073709551616"], ["--top-k", "1.5"],
                          ["--temperature", "warm"], ["--temperature", "1e300"], ["--threads", "0x2"],
                          ["--timeout", "1e300"]):
            self.check_error(run("run", TINY, "--prompt-ids", "1", *arguments), 2, arguments[0], arguments[1])
        self.check_error(run("start", TINY, "--port", "65536"), 2, "65535")

    def test_help_in_other_ways(self):
        self.assertEqual(run("help", "run").stdout, run("run", "--help").stdout)
        self.assertEqual(run("help").stdout, run("--help").stdout)
        self.check_error(run("help", "rum"), 2, "did you mean run?")
        self.assertNotIn("{false}", run("run", "--help").stdout)
        for arguments in (["--help"], ["--version"], ["backends"]):
            with open("/dev/full", "wb") as full:
                result = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, check=False)
            self.assertEqual(result.returncode, 7, arguments)
            self.assertIn(b"standard output", result.stderr)

    def test_closed_standard_streams(self):
        # The next file that is opened must not become the standard output.
        command = '"$0" run "$1" --prompt-ids 1 --max-new-tokens 2 --json '
        for closed, status in ((">&-", 7), ("<&-", 0), ("2>&-", 0)):
            result = subprocess.run(["sh", "-c", command + closed, PROGRAM, TINY], capture_output=True, check=False)
            self.assertEqual(result.returncode, status, closed)
        self.assertEqual(subprocess.run(["sh", "-c", '"$0" nonsense >&- 2>&- <&-', PROGRAM], check=False).returncode, 2)

    def test_a_pipe_that_does_not_block(self):
        # Another program that shares the pipe may have made it so; a slow reader must not be an error.
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        with subprocess.Popen([PROGRAM, "logits", STORIES, "--prompt", "Once upon a time"], stdout=writer,
                              stderr=subprocess.PIPE) as process:
            while select.select([], [writer], [], 0)[1] and process.poll() is None:  # until it is full
                time.sleep(0.01)
            time.sleep(0.1)  # the program meets it
            os.close(writer)
            with os.fdopen(reader, "rb") as pipe:
                text = pipe.read()
            self.assertEqual((process.wait(TIMEOUT), process.stderr.read()), (0, b""))
        self.assertGreater(len(text), 4096)
        self.assertIn("logits", json.loads(text))

    def test_standard_input_that_cannot_be_read(self):
        folder = os.open("/", os.O_RDONLY)
        try:
            self.check_error(run("run", STORIES, stdin=folder), 7, "standard input")
        finally:
            os.close(folder)
        reader, writer = os.pipe()
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_NONBLOCK)
        with subprocess.Popen([PROGRAM, "tokenize", STORIES, "--json"], stdin=reader, stdout=subprocess.PIPE) as process:
            os.close(reader)
            os.write(writer, b"Once")  # or it comes before the program reads: the end comes later in any case
            time.sleep(0.1)
            os.write(writer, b" upon a time\n")
            os.close(writer)
            self.assertEqual(json.loads(process.stdout.read()),
                             json.loads(run("tokenize", STORIES, "Once upon a time", "--json").stdout))

    def test_files_that_must_not_grow(self):
        with tempfile.TemporaryDirectory() as home:
            command = 'ulimit -f 1; "$0" models add a/b "$1" 2>&1 | cat'
            result = subprocess.run(["bash", "-o", "pipefail", "-c", command, PROGRAM, STORIES], capture_output=True,
                                    text=True, env={**os.environ, "OPENLLM_HOME": home}, check=False)
            self.assertEqual(result.returncode, 7, result)
            self.assertRegex(result.stdout, r"\Aopenllm: error: [^\n]+\n\Z")
            self.assertEqual([name for _, _, files in os.walk(home) for name in files if "gguf" in name], [])

    def test_unknown_model(self):
        self.check_error(run("run", "no/such", "hi"), 3, "no/such", "openllm models", "HF_HUB_OFFLINE")
        self.check_error(run("run", "./no-such.gguf", "hi"), 3, "no-such.gguf")
        self.check_error(run("run", "../..", "hi"), 3)

    def test_damaged_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bad.gguf"
            path.write_bytes(b"GGUF" + b"\xff" * 60)
            result = run("run", str(path), "hi")
            self.assertIn(result.returncode, (4, 5), result.stderr)
            self.assertIn("bad.gguf", result.stderr)

    def test_backends(self):
        names = json.loads(run("backends", "--json").stdout)
        self.assertIn("native", [entry["name"] for entry in names["backends"] if entry["available"]])
        self.assertEqual({entry["name"] for entry in names["devices"]}, {"cpu", "reference"})
        self.assertIn("cpu", run("backends").stdout)

    def test_a_model_without_weights_that_nothing_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text(
                json.dumps({"architectures": ["FooForCausalLM"], "model_type": "foo"}))
            tokenizer = DATA / "stories260K/hf/tokenizer.json"
            (Path(folder) / "tokenizer.json").write_bytes(tokenizer.read_bytes())
            info = json.loads(run("info", folder, "--json").stdout)
            self.assertEqual((info["architecture"], info["format"], info["backend"]), ("foo", "none", None))
            self.assertIn("unknown architecture", info["backend_reason"])
            self.assertEqual(run("tokenize", folder, "Once upon a time").stdout,
                             run("tokenize", str(DATA / "stories260K/hf"), "Once upon a time").stdout)
            report = json.loads(run("backends", folder, "--json").stdout)
            self.assertIsNone(report["chosen"])
            reasons = {entry["name"]: entry["reason"] for entry in report["backends"]}
            self.assertIn("foo", reasons["native"])
            self.assertIn("vLLM", reasons["vllm"])
            self.assertIn("has no weights", reasons["pt"])
            self.assertIn("Chosen: none", run("backends", folder).stdout)
            self.check_error(run("run", folder, "hi"), 4, "foo", "no backend can run this model")

    def test_backends_of_a_model(self):
        report = json.loads(run("backends", STORIES, "--json").stdout)
        self.assertEqual(report["chosen"], "native")
        self.assertIn("Chosen: native (the first available one", run("backends", STORIES).stdout)
        wanted = run("backends", STORIES, "--json", environment={"OPENLLM_BACKEND": "vllm"})
        self.assertEqual(json.loads(wanted.stdout)["chosen"], None)
        self.check_error(run("backends", "no/such"), 3, "no/such")

    def test_a_folder_does_not_hide_a_stored_model(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            run("models", "add", "me/Tiny", TINY, environment=store)
            os.makedirs(Path(home) / "work/me/Tiny")
            result = subprocess.run([PROGRAM, "info", "me/Tiny", "--json"], capture_output=True, text=True,
                                    cwd=Path(home) / "work", env={"OPENLLM_HOME": home}, check=False)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(json.loads(result.stdout)["id"], "me/Tiny")
    def test_fields(self):
        rows = json.loads(run("fields", "--json").stdout)
        self.assertGreaterEqual(len(rows), 50)
        self.assertTrue(all(row["help"] for row in rows if row["supported"]))
        # Fields of other engines are known: accepted while they ask for nothing, else refused by name.
        for row in rows:
            if row["supported"] or row["bodies_only"]:
                continue
            option = "--" + row["name"].replace("_", "-")
            arguments = ["run", TINY, "--prompt-ids", "1", "--max-new-tokens", "1", option]
            self.check_error(run(*arguments, "7"), 4, option)
            self.assertEqual(run(*arguments, row["neutral"][0]).returncode, 0, option)
            self.assertNotIn(option, run("run", "--help").stdout)

    def test_the_environment_never_beats_an_option(self):
        environment = {"OPENLLM_BACKEND": "vllm", "OPENLLM_GENERATION_MAX_NEW_TOKENS": "3"}
        self.check_error(run("run", TINY, "--prompt-ids", "1", environment=environment), 8, "OPENLLM_BACKEND")
        native = ["--backend", "native"]
        for arguments in (["run", TINY, "--prompt-ids", "1", "--json"], ["logits", TINY, "--prompt-ids", "1"]):
            result = run(*arguments, *native, environment=environment)
            self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(run("run", TINY, "--prompt-ids", "1", "--ignore-eos", "--json", *native,
                                environment=environment).stdout)
        self.assertEqual(len(answer["outputs"][0]["token_ids"]), 3)
        answer = json.loads(run("run", TINY, "--prompt-ids", "1", "--ignore-eos", "--json", "--max-new-tokens", "2",
                                *native, environment=environment).stdout)
        self.assertEqual(len(answer["outputs"][0]["token_ids"]), 2)

    def test_typing_errors_in_the_environment_are_told(self):
        for environment in ({"OPENLLM_CONFIG": '{"temprature": 0}'}, {"OPENLLM_GENERATION_TEMPRATURE": "0"},
                            {"OPENLLM_SAMPLING_TEMPRATURE": "0"}):
            result = run("run", TINY, "--prompt-ids", "1", environment=environment)
            self.check_error(result, 2, list(environment)[0], "did you mean temperature?")
        result = run("run", TINY, "--prompt-ids", "1", environment={"OPENLLM_GENERATION_RENORMALIZE_LOGITS": "true"})
        self.check_error(result, 4, "OPENLLM_GENERATION_RENORMALIZE_LOGITS")

    def test_store(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            self.assertEqual(json.loads(run("models", "--json", environment=store).stdout), [])
            added = json.loads(run("models", "add", "me/Tiny", TINY, "--json", environment=store).stdout)
            self.assertEqual(added["name"], "me/Tiny")
            self.assertEqual(json.loads(run("models", "--json", environment=store).stdout), [added])
            self.assertIn("me/Tiny", run("models", environment=store).stdout)
            by_name = run("run", "ME/tiny", "--prompt-ids", "1,2", "--temperature", "0", "--json", environment=store)
            self.assertEqual(by_name.returncode, 0, by_name.stderr)
            self.check_error(run("models", "add", "../evil", TINY, environment=store), 2)
            tag = json.loads(run("info", "me/tiny", "--json", environment=store).stdout)["tag"]
            self.assertEqual(run("info", tag, environment=store).returncode, 0)
            self.check_error(run("run", "me/tniy", "hi", environment=store), 3, "did you mean me/Tiny?")
            self.check_error(run("models", "remove", "tiny", environment=store), 3, "did you mean me/Tiny?")
            (Path(home) / "models/me/Tiny" / added["version"] / "model.json").write_text("{")
            self.check_error(run("run", "me/tiny", "hi", environment=store), 5, "me/Tiny:" + added["version"])
            listed = run("models", "list", "--json", environment=store)
            self.assertEqual(json.loads(listed.stdout), [])
            self.assertIn("is damaged", listed.stderr)
            cut = Path(home) / "cut.gguf"
            cut.write_bytes(Path(STORIES).read_bytes()[:500000])
            self.check_error(run("models", "add", "me/cut", str(cut), environment=store), 5, "cut short")
            self.assertEqual(run("models", "remove", "me/tiny", environment=store).returncode, 0)
            self.check_error(run("models", "remove", "me/tiny", environment=store), 3)


    def test_a_folder_is_checked_before_it_is_stored(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home + "/store", "PATH": os.environ["PATH"]}
            self.assertEqual(run("models", "add", "tiny", TINY, environment=store).returncode, 0)
            (Path(home) / "tiny").mkdir()  # not the stored one of that name
            (Path(home) / "tiny/config.json").write_text("{")
            result = subprocess.run([PROGRAM, "models", "add", "other", "tiny"], cwd=home, env=store, text=True,
                                    capture_output=True, timeout=TIMEOUT, check=False)
            self.check_error(result, 5, "config.json")
            self.assertEqual(len(json.loads(run("models", "--json", environment=store).stdout)), 1)


class Generation(Checks):
    def test_ids_without_tokenizer(self):
        golden = json.loads((Path(TINY) / "golden.json").read_text())
        ids = ",".join(map(str, golden["prompt"]))
        result = run("run", TINY, "--json", "--logprobs", "5", "--prompt-ids", ids, "--max-new-tokens", "8",
                     "--temperature", "0", "--ignore-eos")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        output = json.loads(result.stdout)
        choice = output["outputs"][0]
        self.assertEqual(choice["token_ids"], golden["greedy"][:8])
        self.assertEqual(output["prompt_token_ids"], golden["prompt"])
        self.assertEqual(choice["finish_reason"], "length")
        self.assertEqual(len(choice["logprobs"]), 8)
        for position, token in zip(choice["logprobs"], choice["token_ids"]):
            self.assertIn(str(token), position)
            self.assertIn(len(position), (5, 6))
        for field in ("prompt", "finished", "prompt_logprobs", "request_id"):
            self.assertIn(field, output)

    def test_logits_round_trip(self):
        golden = json.loads((Path(TINY) / "golden.json").read_text())
        ids = ",".join(map(str, golden["prompt"]))
        rows = {}
        for device in ("reference", "cpu"):
            result = run("logits", TINY, "--prompt-ids", ids, "--json", "--device", device)
            self.assertEqual(result.returncode, 0, result.stderr)
            output = json.loads(result.stdout)
            self.assertEqual(output["prompt_token_ids"], golden["prompt"])
            rows[device] = output["logits"]
            self.assertEqual(len(rows[device]), len(golden["prompt"]))
            self.assertTrue(all(len(row) == golden["vocab_size"] for row in rows[device]))
        raw = (Path(TINY) / golden["logits"]).read_bytes()
        expected = struct.unpack("<%df" % (len(raw) // 4), raw)
        for device, logits in rows.items():
            flat = [value for row in logits for value in row]
            worst = max(abs(a - b) for a, b in zip(flat, expected))
            self.assertLess(worst, 1e-4, device)
            # Enough digits: what was printed is the float's shortest form, so it differs from it by less than half a
            # unit in the last place.
            for value in flat[:200]:
                exact = struct.unpack("<f", struct.pack("<f", value))[0]
                self.assertLessEqual(abs(exact - value), abs(exact) * 2.0 ** -24)

    def test_embeddings(self):
        folder = Path(TINY).parent.parent / "encoders" / "roberta"
        golden = json.loads((folder / "golden.json").read_text())
        raw = (folder / golden["hidden"]).read_bytes()
        values = struct.unpack("<%df" % (len(raw) // 4), raw)
        size = len(values) // len(golden["prompt"])
        ids = ",".join(map(str, golden["prompt"]))
        for pooling, expected in (("cls", values[:size]), ("last", values[-size:]),
                                  ("mean", [sum(values[i::size]) / len(golden["prompt"]) for i in range(size)])):
            result = run("embed", str(folder), "--prompt-ids", ids, "--pooling", pooling, "--no-normalize", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            output = json.loads(result.stdout)
            self.assertEqual(output["n_tokens"], len(golden["prompt"]))
            self.assertLess(max(abs(a - b) for a, b in zip(output["embedding"], expected)), 1e-4)
        unit = json.loads(run("embed", str(folder), "--prompt-ids", ids, "--json").stdout)["embedding"]
        self.assertAlmostEqual(sum(x * x for x in unit), 1.0, places=5)
        self.check_error(run("embed", str(folder), "--prompt-ids", ids, "--pooling", "median"), 2, "median")
        self.check_error(run("embed", str(folder), "a", "--prompt-ids", ids), 2, "not both")
        self.check_error(run("run", str(folder), "--prompt-ids", ids), 4, "embedding model")

    def test_scores(self):
        texts = ["Once upon a day", "a dog", "Once upon a time"]
        scores = json.loads(run("score", STORIES, *texts, "--json").stdout)["scores"]
        self.assertEqual(len(scores), 2)
        ranking = json.loads(run("rerank", STORIES, *texts, "--top-n", "1", "--json").stdout)["results"]
        self.assertEqual(len(ranking), 1)
        self.assertEqual(ranking[0]["score"], max(scores))
        self.assertEqual(ranking[0]["document"], texts[1:][scores.index(max(scores))])
        lines = run("embed", STORIES, stdin="a dog\nOnce upon a time\n").stdout.splitlines()
        self.assertEqual(len(lines), 2)
        self.check_error(run("score", STORIES, "alone"), 2, "at least one document")

    def test_text(self):
        plain = run("run", STORIES, "Once upon a time", "--temperature", "0", "--max-new-tokens", "20")
        self.assertEqual((plain.returncode, plain.stderr), (0, ""))
        self.assertTrue(plain.stdout.strip())
        as_json = json.loads(run("run", STORIES, "Once upon a time", "--temperature", "0", "--max-new-tokens", "20",
                                 "--json").stdout)
        self.assertEqual(as_json["outputs"][0]["text"] + "\n", plain.stdout)
        piped = run("run", STORIES, "--temperature", "0", "--max-new-tokens", "20", stdin="Once upon a time\n")
        self.assertEqual(piped.stdout, plain.stdout)

    def test_prompt_that_looks_like_something_else(self):
        for prompt in ("models", "[a,b]", "run"):
            output = json.loads(run("run", STORIES, prompt, "--max-new-tokens", "1", "--json").stdout)
            self.assertEqual(output["prompt"], prompt)
        output = json.loads(run("run", STORIES, "--max-new-tokens", "1", "--json", "--", "--help").stdout)
        self.assertEqual(output["prompt"], "--help")

    def test_an_answer_that_its_time_cuts(self):
        result = run("run", STORIES, "Once", "--raw", "--timeout", "0.001", "--max-new-tokens", "400",
                     "--ignore-eos", "--json")
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertEqual(json.loads(result.stdout)["outputs"][0]["finish_reason"], "deadline")
        self.assertIn("time was over", result.stderr)

    def test_options(self):
        first = run("run", STORIES, "Once", "--seed", "7", "--max-new-tokens", "12", "--n", "2", "--stop", "[x,y]",
                    "--stop", "zzz", "--top-p", "0.9", "--verbose")
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertRegex(first.stdout, r"(?s)^\[0\] .*\n\[1\] .*\n$")
        self.assertRegex(first.stderr, r"load [\d.]+ s \| prompt \d+ tokens.* tokens/s \| answer 24 tokens, .* tokens/s")
        again = run("run", STORIES, "Once", "--seed", "7", "--max-new-tokens", "12", "--n", "2", "--stop", "[x,y]",
                    "--stop", "zzz", "--top-p", "0.9")
        self.assertEqual(first.stdout, again.stdout)

    def test_a_draft_model_changes_no_answer(self):
        arguments = ["run", STORIES, "Once", "--seed", "7", "--max-new-tokens", "24"]
        plain = run(*arguments)
        drafted = run(*arguments, "--draft-model", STORIES, "--verbose")
        self.assertEqual(drafted.returncode, 0, drafted.stderr)
        self.assertEqual(drafted.stdout, plain.stdout)
        self.assertRegex(drafted.stderr, r"debug: draft model \S+\n")
        refused = run(*arguments, "--draft-model", "/nonexistent")
        self.assertEqual(refused.returncode, 3, refused.stderr)
        self.assertIn("draft_model: ", refused.stderr)
        contradiction = run(*arguments, "--draft-model", STORIES, "--max-draft-tokens", "0")
        self.assertEqual(contradiction.returncode, 2, contradiction.stderr)

    def test_a_server_names_its_draft_model(self):
        for arguments, expected in (([], None), (["--draft-model", STORIES], "stories260K")):
            server = Server(STORIES, *arguments)
            self.addCleanup(server.kill)
            with urllib.request.urlopen(server.address + "/v1/models", timeout=TIMEOUT) as answer:
                model = json.load(answer)["data"][0]
            self.assertEqual(model.get("draft_model"), expected)

    def test_an_option_given_twice_counts_the_last_time(self):
        output = json.loads(run("run", TINY, "--prompt-ids", "1,2", "--max-new-tokens", "9", "--max-tokens", "2",
                                "--temperature", "1", "--temperature", "0", "--json").stdout)
        self.assertEqual(len(output["outputs"][0]["token_ids"]), 2)

    def test_ids_as_json_prints_them(self):
        output = json.loads(run("run", TINY, "--prompt-ids", "[1, 2,3]", "--max-new-tokens", "1", "--json").stdout)
        self.assertEqual(output["prompt_token_ids"], [1, 2, 3])

    def test_errors_of_requests(self):
        for arguments in (["--temperature", "nan"], ["--top-p", "-1"], ["--max-new-tokens", "-2"], ["--n", "0"]):
            result = run("run", STORIES, "Once", *arguments)
            self.assertEqual(result.returncode, 2, "%s: %s" % (arguments, result.stderr))
        self.assertEqual(run("run", TINY, "text").returncode, 4)
        self.assertEqual(run("run", TINY, "--prompt-ids", "99999999").returncode, 2)
        long = " ".join(["word"] * 3000)
        self.assertEqual(run("run", STORIES, long).returncode, 2)
        self.assertEqual(run("run", STORIES, long, "--truncate-prompt", "--max-new-tokens", "2").returncode, 0)

    def test_tokenize(self):
        ids = json.loads(run("tokenize", STORIES, "Once upon", "--json").stdout)["ids"]
        lines = run("tokenize", STORIES, "Once upon").stdout.splitlines()
        self.assertEqual([int(line.split("\t")[0]) for line in lines], ids)

    def test_places_and_back(self):
        for name in (STORIES, str(DATA / "stories260K/hf/tokenizer.json")):
            text = "Once \u00e9 upon"
            encoding = json.loads(run("tokenize", name, text, "--json").stdout)
            self.assertEqual(sorted(encoding), ["ids", "offsets", "tokens"])
            self.assertEqual(encoding["offsets"][-1][1], len(text))
            ids = " ".join(map(str, encoding["ids"]))
            self.assertEqual(run("detokenize", name, ids).stdout, text + "\n")
            self.assertEqual(json.loads(run("detokenize", name, ids, "--json").stdout), {"text": text})
        self.assertEqual(run("detokenize", STORIES, "1 x").returncode, 2)
        self.assertEqual(run("detokenize", STORIES, "99999999").returncode, 2)

    def test_template(self):
        with tempfile.TemporaryDirectory() as folder:
            source, data = Path(folder) / "a.jinja", Path(folder) / "a.json"
            source.write_text("{% for m in messages %}{{ m }};{% endfor %}")
            data.write_text('{"messages": ["a", "b"]}')
            self.assertEqual(run("template", str(source), "--data", str(data)).stdout, "a;b;")
            data.write_text("[]")
            self.assertEqual(run("template", str(source), "--data", str(data)).returncode, 2)


class Serving(unittest.TestCase):
    def setUp(self):
        # Options win over the environment.
        environment = {**os.environ, "OPENLLM_BACKEND": "vllm", "OPENLLM_GENERATION_TEMPERATURE": "0.9"}
        self.process = subprocess.Popen([PROGRAM, "start", STORIES, "--port", "0", "--shutdown-timeout", "2",
                                         "--backend", "native", "--temperature", "0",
                                         "--allow-origin", "https://a.example", "--allow-origin", "https://b.example"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, env=environment)
        self.lines = ""
        while "ready" not in self.lines:
            line = self.process.stderr.readline()
            self.assertTrue(line, self.lines)
            self.lines += line
        self.address = re.search(r"http://[\d.]+:\d+", self.lines).group(0)

    def tearDown(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def test_serves_answers_and_stops(self):
        self.assertIn("curl", self.lines)
        with urllib.request.urlopen(self.address + "/readyz", timeout=TIMEOUT) as response:
            self.assertEqual(response.status, 200)
        options = ["--endpoint", self.address, "--raw", "--temperature", "0", "--max-new-tokens", "10"]
        streamed = run("query", "Once upon a time", *options)
        self.assertEqual(streamed.returncode, 0, streamed.stderr)
        whole = run("query", "Once upon a time", "--no-stream", *options)
        local = run("run", STORIES, "Once upon a time", "--temperature", "0", "--max-new-tokens", "10")
        self.assertEqual(streamed.stdout, local.stdout)
        self.assertEqual(whole.stdout, local.stdout)
        self.assertIn("outputs", json.loads(run("query", "Once", "--json", *options).stdout))
        # This model has no chat template: without --raw, the text is continued as `run` does it.
        options.remove("--raw")
        for extra in ([], ["--no-stream"]):
            self.assertEqual(run("query", "Once upon a time", *options, *extra).stdout, local.stdout)
        unlimited = ["--temperature", "0"]
        self.assertEqual(run("query", "Once", "--endpoint", self.address, *unlimited).stdout,
                         run("run", STORIES, "Once", *unlimited).stdout)
        several = run("query", "Once upon a time", "--n", "2", *options).stdout
        self.assertEqual(several, "[0] %s[1] %s" % (local.stdout, local.stdout))
        unknown = run("query", "Once", "--model", "no/such", *options)
        self.assertEqual((unknown.returncode, unknown.stdout), (3, ""), unknown.stderr)
        self.assertIn("no/such", unknown.stderr)
        self.assertNotIn("openllm models", unknown.stderr)  # that is about this machine's
        with_system = run("query", "Once", "--system", "Be brief.", *options)
        self.assertEqual((with_system.returncode, with_system.stdout), (4, ""), with_system.stderr)
        self.assertIn("chat template", with_system.stderr)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(TIMEOUT), 0)

    def test_tells_the_size_of_its_cache(self):
        with urllib.request.urlopen(self.address + "/metrics", timeout=TIMEOUT) as response:
            n_bytes = int(float(re.search(rb"\nopenllm_cache_bytes (\S+)", response.read()).group(1)))
        self.assertIn("at most %d MiB\n" % -(-n_bytes // 2**20), self.lines)
        self.assertNotIn("fewer than", self.lines)
        with subprocess.Popen([PROGRAM, "start", STORIES, "--port", "0", "--kv-cache-bytes", "64KiB"],
                              stderr=subprocess.PIPE, text=True) as process:
            lines = ""
            while "ready" not in lines and process.poll() is None:
                lines += process.stderr.readline()
            process.terminate()
        self.assertRegex(lines, r"the KV cache holds \d+ tokens, fewer than the context of 512 ")
        self.assertIn("at most 1 MiB\n", lines)

    def test_its_options_are_the_defaults_of_requests(self):
        greedy = run("run", STORIES, "Once upon a time", "--temperature", "0", "--max-new-tokens", "24").stdout
        asked = run("query", "Once upon a time", "--raw", "--endpoint", self.address, "--max-new-tokens", "24")
        self.assertEqual(asked.stdout, greedy, asked.stderr)

    def test_pages_of_named_origins_may_use_it(self):
        for origin, allowed in (("https://a.example", True), ("https://b.example", True), ("https://c.example", False)):
            request = urllib.request.Request(self.address + "/v1/models", headers={"Origin": origin})
            with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
                self.assertEqual(response.headers["Access-Control-Allow-Origin"], origin if allowed else None)
        result = run("start", STORIES, "--port", "0", "--allow-origin", "https://a.example/chat")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("https://a.example/chat", result.stderr)

    def test_the_request_that_is_shown_works(self):
        shown = self.lines[self.lines.index("  curl"):].split("\nopenllm:")[0]
        words = shlex.split(shown.replace("\\\n", " "))
        self.assertTrue(words[1].endswith("/v1/completions"), words)  # this model has no chat template
        request = urllib.request.Request(words[1], data=words[-1].encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            self.assertIn("choices", json.load(response))

    def test_odd_names_are_shown_as_json_for_a_shell(self):
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder) / "it's \"a\".gguf"
            model.symlink_to(Path(STORIES).absolute())
            with subprocess.Popen([PROGRAM, "start", str(model), "--port", "0"], stderr=subprocess.PIPE,
                                  text=True) as process:
                shown = "".join(process.stderr.readline() for _ in range(3))
                process.terminate()
        body = shlex.split(shown[shown.index("  curl"):].replace("\\\n", " "))[-1]
        self.assertEqual(json.loads(body)["model"], "it's \"a\"")

    def test_addresses_are_shown_as_urls(self):
        for host in ("[::1]", "::1"):
            with subprocess.Popen([PROGRAM, "start", STORIES, "--port", "0", "--host", host],
                                  stderr=subprocess.PIPE, text=True) as process:
                line = process.stderr.readline()
                process.terminate()
                if "cannot listen" in line:  # a machine without IPv6
                    continue
                self.assertRegex(line, r"at http://\[::1\]:\d+\n\Z")

    def test_the_port_is_taken(self):
        port = self.address.rsplit(":", 1)[1]
        result = run("start", STORIES, "--port", port)
        self.assertEqual(result.returncode, 7, result.stderr)


class ServingNothing(unittest.TestCase):
    def test_a_model_that_cannot_be_loaded_ends_the_server(self):
        result = run("start", STORIES, "--port", "0", "--kv-cache-bytes", "1")
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertRegex(result.stderr, r"\nopenllm: error: kv_cache_bytes: too small[^\n]+\n\Z")


class NoServer(unittest.TestCase):
    def test_query_fails_clearly(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "http://127.0.0.1:%d" % free.getsockname()[1]
        result = run("query", "hi", "--endpoint", address)
        self.assertIn(result.returncode, (7, 8), result.stderr)
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\n\Z")


if __name__ == "__main__":
    main()
