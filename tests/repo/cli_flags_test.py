#!/usr/bin/env python3
"""Every option and command that OpenLLM 0.4 had: each does what it says, or ends with a sentence that names it.

    cli_flags_test.py PROGRAM TEST_DATA_FOLDER
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.request
from pathlib import Path

from cli_program import DATA, PROGRAM, STORIES, TIMEOUT, TINY, main, run, write_chat_model

# Ends a server after everything else about it was found to be right.
ENDS = ("--port", "0", "--kv-cache-bytes", "1")

WORKS = "works"
# Options of `start` with their values -> WORKS, or the status and a word of the sentence.
START = {
    ("--model-id", TINY): WORKS,
    ("--max-model-len", "64"): WORKS,
    ("--gpu-memory-utilization", "0.9"): (4, "vllm"),
    ("--server-timeout", "60"): WORKS,
    ("--timeout", "60"): WORKS,
    ("--workers-per-resource", "0.25"): (2, "--max-sequences"),
    ("--workers-per-resource", "round_robin"): (2, "--threads"),
    ("--workers-per-resource", "1"): WORKS,
    ("--cors",): WORKS,
    ("--no-cors",): WORKS,
    ("--device", "cpu"): WORKS,
    ("--device", "cpu,cpu"): WORKS,
    ("--device", "reference"): WORKS,
    ("--device", "0"): (2, "cpu"),
    ("--device", "cuda:0"): (2, "cpu"),
    ("--device", "all"): (2, "cpu"),
    ("--device", "cpu,reference"): (4, "one device"),
    ("--device", "cpu,"): (2, "expected"),
    ("--adapter-id", "me/lora:mine"): (4, "adapters"),
    ("--dtype", "auto"): WORKS,
    ("--model-version", "7"): WORKS,
    ("--model-name", "me/other"): WORKS,
    ("--model-tag", "native-me--none:7"): (3, "model_tag"),
    ("--backend", "native"): WORKS,
    ("--backend", "ctranslate"): (3, "ctranslate"),
    ("--backend", "triton"): (3, "triton"),
    ("--model-id", str(DATA / "models" / "qwen3"), "--quantise", "int8"): WORKS,
    ("--quantize", "gptq"): (4, "GGUF"),
    ("--serialisation", "auto"): WORKS,
    ("--serialization", "safetensors"): WORKS,
    ("--development",): (2, "--verbose"),
    ("--reload",): (2, "start"),
    ("-p", "0"): WORKS,
    ("--port", "0"): WORKS,
    ("--host", "127.0.0.1"): WORKS,
    ("--api-workers", "4"): (2, "--threads"),
    ("--backlog", "16"): WORKS,
    ("--vllm-url", "http://127.0.0.1:9"): WORKS,  # nobody answers there: the next backend runs the model
    ("--ssl-certfile", "x"): (4, "proxy"),
    ("--ssl-keyfile", "x"): (4, "proxy"),
    ("--ssl-keyfile-password", "x"): (4, "proxy"),
    ("--ssl-version", "17"): (4, "proxy"),
    ("--ssl-cert-reqs", "1"): (4, "proxy"),
    ("--ssl-ca-certs", "x"): (4, "proxy"),
    ("--ssl-ciphers", "x"): (4, "proxy"),
    ("--timeout-keep-alive", "5"): WORKS,
    ("--timeout-graceful-shutdown", "5"): WORKS,
    ("--trust-remote-code",): (4, "trust_remote_code"),
    ("-q",): WORKS,
    ("--quiet",): WORKS,
    ("--debug",): WORKS,
    ("--verbose",): WORKS,
    ("--do-not-track",): WORKS,
    ("--context", "cloud"): (4, "BentoCloud"),
}

# Fields of its GenerationConfig and SamplingParams that are numbers or lists, and its switches.
FIELDS = {
    "max_new_tokens": "8", "min_length": "1", "min_new_tokens": "1", "max_time": "60", "num_beams": "4",
    "num_beam_groups": "2", "penalty_alpha": "0.6", "temperature": "0.5", "top_k": "5", "top_p": "0.5",
    "typical_p": "0.5", "epsilon_cutoff": "0.1", "eta_cutoff": "0.1", "diversity_penalty": "0.5",
    "repetition_penalty": "1.1", "encoder_repetition_penalty": "1.1", "length_penalty": "2",
    "no_repeat_ngram_size": "3", "bad_words_ids": "[[5]]", "force_words_ids": "[[5]]", "forced_bos_token_id": "5",
    "forced_eos_token_id": "5", "exponential_decay_length_penalty": "[5,1.1]", "suppress_tokens": "5",
    "begin_suppress_tokens": "5", "forced_decoder_ids": "[[1,5]]", "num_return_sequences": "2", "pad_token_id": "5",
    "bos_token_id": "5", "eos_token_id": "5", "encoder_no_repeat_ngram_size": "3", "decoder_start_token_id": "5",
    "n": "2", "best_of": "2", "presence_penalty": "0.5", "frequency_penalty": "0.5", "max_tokens": "8",
    "logprobs": "2", "prompt_logprobs": "2", "stop": "x", "stop_token_ids": "5", "logit_bias": "5=1", "seed": "5",
}
SWITCHES = ("use_cache", "early_stopping", "renormalize_logits", "remove_invalid_values", "output_attentions",
            "output_hidden_states", "output_scores", "use_beam_search", "ignore_eos", "skip_special_tokens")
NEUTRAL = {"--use-cache", "--no-renormalize-logits", "--no-remove-invalid-values",
           "--no-output-attentions", "--no-output-hidden-states", "--no-output-scores", "--no-use-beam-search"}


# Switches of the table that are honoured either way.
HONOURED = {"ignore_eos", "skip_special_tokens", "early_stopping"}


def dashed(name):
    return "--" + name.replace("_", "-")


class Case(unittest.TestCase):
    def check_refused(self, result, status, *words):
        self.assertEqual(result.returncode, status, (result.args, result.stderr))
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\n\Z", result.args)
        for word in words:
            self.assertIn(word, result.stderr, result.args)
        self.assertNotIn("unknown option", result.stderr)


class Start(Case):
    def start(self, *flags):
        model = () if flags[0] == "--model-id" else (TINY,)
        return run("start", *model, *ENDS, *flags)

    def check_works(self, result):
        self.assertEqual(result.returncode, 6, (result.args, result.stderr))
        self.assertIn("kv_cache_bytes", result.stderr)

    def test_n15_each_flag_works_or_is_refused_by_name(self):
        for flags, expected in START.items():
            with self.subTest(flags=flags):
                result = self.start(*flags)
                if expected == WORKS:
                    self.check_works(result)
                    continue
                last = result.stderr.splitlines()[-1]
                self.assertEqual(result.returncode, expected[0], result.stderr)
                self.assertTrue(flags[0] in last or flags[0].strip("-").replace("-", "_") in last, last)
                self.assertIn(expected[1], last)
                self.assertNotIn("unknown option", last)

    def test_n15_each_field_works_or_is_refused_by_name(self):
        cases = [(dashed(name), value) for name, value in FIELDS.items()]
        for name in SWITCHES:
            cases += [(dashed(name),), ("--no-" + dashed(name)[2:],)]
        n_working = 0
        for flags in cases:
            with self.subTest(flags=flags):
                result = self.start(*flags)
                if result.returncode == 6:
                    self.check_works(result)
                    n_working += 1
                    if len(flags) == 1 and flags[0].removeprefix("--no-").strip("-").replace("-", "_") not in HONOURED:
                        self.assertIn(flags[0], NEUTRAL)
                else:
                    self.assertIn(result.returncode, (2, 4))
                    self.check_refused(result, result.returncode, flags[0])
                    self.assertNotIn(flags[0], NEUTRAL)
        self.assertGreater(n_working, 25)

    def test_every_field_of_the_table_is_known(self):
        rows = json.loads(run("fields", "--json").stdout)
        self.assertGreater(len(rows), 50)
        for row in rows:
            if row["supported"] and "command line" not in row["ways"] or row.get("bodies_only"):
                continue
            for name in [row["name"]] + row.get("aliases", []):
                with self.subTest(name=name):
                    result = run("start", "no/such", dashed(name), "@")
                    self.assertNotIn("unknown option", result.stderr)

    def test_switches_may_have_their_value(self):
        self.check_works(self.start("--use-cache", "true"))
        self.check_works(self.start("--use-cache=true"))
        self.check_refused(self.start("--use-cache", "false"), 4, "--use-cache")
        self.check_refused(self.start("--early-stopping", "1"), 2, "--early-stopping")
        for words in (["--early-stopping", "never"], ["--early-stopping"], ["--no-early-stopping"]):
            self.check_works(self.start(*words))
        self.check_refused(self.start("--use-cache", "7"), 4, "--use-cache")
        # The word after it is MODEL.
        result = run("start", "--use-cache", TINY, *ENDS)
        self.assertEqual(result.returncode, 6, result.stderr)

    def test_a_misspelt_flag_has_the_nearest_name(self):
        for wrong, right in (("--max-model-lenn", "--max-model-len"), ("--sever-timeout", "--server-timeout"),
                             ("--backlogs", "--backlog"), ("--tempertaure", "--temperature"), ("--quiett", "--quiet")):
            result = run("start", TINY, wrong, "1")
            self.assertEqual(result.returncode, 2)
            self.assertIn("did you mean %s?" % right, result.stderr)

    def test_pages_are_let_in_or_not(self):
        here = ("--allow-origin", "https://a.example")
        self.check_refused(self.start("--no-cors", *here), 2, "--no-cors", "--allow-origin")
        for flags in (("--cors", *here), here, ("--cors", "--no-cors"), ("--no-cors", "--cors", *here)):
            self.check_works(self.start(*flags))

    def test_a_family_name_says_what_it_stood_for(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            for name, model in (("llama", "NousResearch/llama-2-7b-hf"), ("dolly-v2", "databricks/dolly-v2-3b"),
                                ("gpt_neo_x", "eleutherai/gpt-neox-20b"), ("opt", "facebook/opt-1.3b")):
                result = run("start", name, environment=store)
                self.check_refused(result, 3, "%s stands for %s" % (name, model), "HF_HUB_OFFLINE forbids to fetch it")
            run("models", "add", "facebook/opt-1.3b", TINY, environment=store)
            self.assertEqual(run("start", "opt", *ENDS, environment=store).returncode, 6)
            # A model of that name goes first.
            run("models", "add", "opt", TINY, environment=store)
            self.assertEqual(run("start", "opt", *ENDS, environment=store).returncode, 6)

    def test_a_model_by_its_tag(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            tag = json.loads(run("import", TINY, "--model-name", "me/Tiny", environment=store).stdout)["tag"]
            self.assertEqual(run("start", "--model-tag", tag, *ENDS, environment=store).returncode, 6)
            output = run("run", "--model-tag", tag, "--prompt-ids", "1,2", "--max-tokens", "1", "--json",
                         environment=store)
            self.assertEqual(json.loads(output.stdout)["prompt_token_ids"], [1, 2], output.stderr)
            # The word beside it is the prompt, as with --model.
            self.assertEqual(run("run", "--model-tag", tag, "hi", environment=store).returncode, 4)  # no tokenizer


class Serving(Case):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        model = write_chat_model(cls.folder.name)
        (Path(model) / "generation_config.json").unlink(missing_ok=True)
        (Path(model) / "generation_config.json").write_text(json.dumps({"temperature": 0.25, "top_k": 3}))
        cls.process = subprocess.Popen([PROGRAM, "start-http", model, "--port", "0", "--server-timeout", "77", "--cors",
                                        "--top-k", "9", "--model-name", "me/named", "--backlog", "8", "--debug",
                                        "--model-version", "7"],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        cls.lines = ""
        while "ready" not in cls.lines:
            line = cls.process.stderr.readline()
            if not line:
                raise AssertionError(cls.lines)
            cls.lines += line
        cls.address = re.search(r"http://[\d.]+:\d+", cls.lines).group(0)

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGTERM)
        cls.process.wait(TIMEOUT)
        cls.process.stderr.close()
        cls.folder.cleanup()

    def query(self, *arguments):
        return run("query", *arguments, "--endpoint", self.address)

    def test_the_flags_act(self):
        request = urllib.request.Request(self.address + "/v1/metadata", data=b"", method="POST",
                                         headers={"Origin": "https://any.example"})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
            metadata = json.load(response)
        self.assertEqual((metadata["timeout"], metadata["model_id"]), (77000, "me/named"))
        config = json.loads(metadata["configuration"])["generation_config"]
        # N11: a server's own defaults do not stand before the model's.
        self.assertEqual((config["temperature"], config["top_k"]), (0.25, 9))
        self.assertRegex(self.lines, r"openllm: debug: native-me--named:7 from ")
        self.assertIn("openllm: debug: backend native on cpu", self.lines)

    def test_sampling_params_set_any_field(self):
        by_option = self.query("hi", "--json", "--max-tokens", "6", "--seed", "3", "--temperature", "1")
        by_name = self.query("hi", "--json", "--sampling-params", "max_tokens=6", "--sampling-params", "seed=3",
                             "--sampling-params", "temperature=1")
        self.assertEqual(by_option.returncode, 0, by_option.stderr)
        self.assertEqual(*[json.loads(result.stdout)["outputs"] for result in (by_option, by_name)], by_name.stderr)
        several = self.query("hi", "--json", "--sampling-params", "n=2", "--sampling-params", "max_tokens=2",
                             "--sampling-params", "stop=[\"zz\",\"yy\"]", "--sampling-params", "num_beams=1")
        self.assertEqual(len(json.loads(several.stdout)["outputs"]), 2, several.stderr)

    def test_sampling_params_are_checked(self):
        self.check_refused(run("query", "hi", "--sampling-params", "top_pp=1"), 2, "top_pp", "did you mean top_p?")
        self.check_refused(run("query", "hi", "--sampling-params", "top_p=2"), 2, "--sampling-params", "top_p")
        self.check_refused(run("query", "hi", "--sampling-params", "top_p"), 2, "NAME=VALUE")
        self.check_refused(run("query", "hi", "--sampling-params", "penalty_alpha=4"), 4, "penalty_alpha")
        self.check_refused(run("query", "hi", "--sampling-params", "top_p=0.5", "--top-p", "0.4"), 2,
                           "--sampling-params top_p=0.5", "--top-p")

    def test_other_options_of_query(self):
        self.check_refused(run("query", "hi", "--server-type", "grpc"), 4, "--server-type", "gRPC")
        result = self.query("hi", "--server-type", "http", "--timeout", "60", "--no-stream", "--max-tokens", "2")
        self.assertEqual(result.returncode, 0, result.stderr)


class ServingTwo(Case):
    """A server whose default is two answers, always by one seed."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.process = subprocess.Popen([PROGRAM, "start", write_chat_model(cls.folder.name), "--port", "0", "--n", "2",
                                        "--seed", "5", "--stop-token-ids", "7", "--max-length", "40"],
                                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        cls.lines = ""
        while "ready" not in cls.lines:
            line = cls.process.stderr.readline()
            if not line:
                raise AssertionError(cls.lines)
            cls.lines += line
        cls.address = re.search(r"http://[\d.]+:\d+", cls.lines).group(0)

    @classmethod
    def tearDownClass(cls):
        cls.process.send_signal(signal.SIGTERM)
        cls.process.wait(TIMEOUT)
        cls.process.stderr.close()
        cls.folder.cleanup()

    def query(self, *arguments):
        result = run("query", "Once upon", *arguments, "--max-tokens", "9", "--endpoint", self.address)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_query_shows_all_choices(self):
        outputs = json.loads(self.query("--json"))["outputs"]
        self.assertEqual([output["index"] for output in outputs], [0, 1])
        self.assertNotEqual(outputs[0]["text"], outputs[1]["text"])
        texts = tuple(output["text"] for output in outputs)
        self.assertEqual(self.query("--no-stream"), "[0] %s\n[1] %s\n" % texts)
        self.assertEqual(self.query(), "%s\n[1] %s\n" % texts, "the first as it comes")
        self.assertEqual(self.query("--n", "1"), outputs[0]["text"] + "\n")

    def test_a_random_seed_beats_the_servers(self):
        raw = ("--raw", "--n", "1", "--ignore-eos", "--temperature", "1.5", "--top-k", "-1")
        self.assertEqual(self.query(*raw), self.query(*raw))
        self.assertNotEqual(self.query(*raw, "--seed", "-1"), self.query(*raw, "--seed", "-1"))
        self.assertNotEqual(self.query(*raw, "--sampling-params", "seed=-1"), self.query(*raw, "--seed", "-1"))


class Layers(Case):
    """Options over the environment."""

    RUN = ("run", STORIES, "--raw", "Once upon", "--json", "--max-tokens", "9")

    def ids(self, config, *flags):
        result = run(*self.RUN, *flags, environment={"OPENLLM_CONFIG": json.dumps(config)})
        self.assertEqual(result.returncode, 0, result.stderr)
        return [output["token_ids"] for output in json.loads(result.stdout)["outputs"]]

    def test_a_random_seed_beats_a_default_one(self):
        config = {"seed": 5, "temperature": 1.5, "top_k": -1, "ignore_eos": True}
        self.assertEqual(self.ids(config), self.ids(config))
        self.assertNotEqual(self.ids(config, "--seed", "-1"), self.ids(config, "--seed", "-1"))
        config["seed"] = -1
        self.assertNotEqual(self.ids(config), self.ids(config))

    def test_default_lists_can_be_taken_back(self):
        greedy = {"temperature": 0}
        plain = self.ids(greedy)
        first, second = plain[0][0], plain[0][1]
        config = {**greedy, "bad_words_ids": [[first]], "stop_token_ids": [second], "stop": ["a", "e", "i", "o", "u"],
                  "logit_bias": {str(second): -100}}
        self.assertNotEqual(self.ids(config), plain)
        self.assertEqual(self.ids(config, "--bad-words-ids", "[]", "--stop-token-ids", "[]", "--no-stop",
                                  "--logit-bias", "{}"), plain)
        self.assertEqual(self.ids(config, "--no-bad-words-ids", "--no-stop-token-ids", "--no-stop",
                                  "--no-logit-bias"), plain)
        self.check_refused(run(*self.RUN, "--stop", "x", "--no-stop"), 2, "--stop", "--no-stop")

    def test_one_layer_has_one_length(self):
        both = {"max_length": 40, "max_new_tokens": 5}
        self.check_refused(run(*self.RUN, environment={"OPENLLM_CONFIG": json.dumps(both)}), 2, "OPENLLM_CONFIG",
                           "max_length", "max_new_tokens")
        variables = {"OPENLLM_GENERATION_MAX_LENGTH": "40", "OPENLLM_GENERATION_MAX_NEW_TOKENS": "5"}
        self.check_refused(run(*self.RUN, environment=variables), 2, "max_length", "max_new_tokens")
        for command in (self.RUN, ("start", TINY, *ENDS, "--max-new-tokens", "9")):
            self.check_refused(run(*command, "--max-length", "40"), 2, "max_length", "max_new_tokens")
        # Of two layers the upper one decides.
        self.assertEqual(len(self.ids({"temperature": 0, "ignore_eos": True, "max_length": 7})[0]), 9)

    def test_equal_keys_are_refused(self):
        for text in ('{"top_k": 5, "top_k": 6}', '{"generation_config": {"top_k": 5, "top_k": 6}}'):
            self.check_refused(run(*self.RUN, environment={"OPENLLM_CONFIG": text}), 2, "OPENLLM_CONFIG", "top_k",
                               "given twice")
        name = "OPENLLM_SAMPLING_LOGIT_BIAS"
        self.check_refused(run(*self.RUN, environment={name: '{"5": 1, "5": 2}'}), 2, name, "5: given twice")
        with tempfile.TemporaryDirectory() as folder:
            model = write_chat_model(folder)
            for flag, text in (("--template-json", '{"a": 1, "a": 2}'),
                               ("--tools-json", '[{"a": 1, "a": 2}]')):
                self.check_refused(run("run", model, "hi", flag, text), 2, flag, "a: given twice")
            self.check_refused(run("get-prompt", model, "hi", "--opt", 'x={"a": 1, "a": 2}'), 2, "a: given twice")
        self.check_refused(run("query", "hi", "--sampling-params", 'logit_bias={"5": 1, "5": 2}'), 2,
                           "--sampling-params", "5: given twice")

    def test_the_model_may_come_from_the_environment(self):
        model = {"OPENLLM_MODEL_ID": STORIES}
        result = run("run", "-p", "Once", "--raw", "--json", "--max-tokens", "2", environment=model)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(json.loads(result.stdout)["outputs"][0]["token_ids"]), 2)
        self.assertEqual(run("start", *ENDS, environment={"OPENLLM_MODEL_ID": TINY}).returncode, 6)
        # N1: what is given goes before it.
        result = run("start", TINY, *ENDS, environment={"OPENLLM_MODEL_ID": "/nonexistent"})
        self.assertEqual(result.returncode, 6, result.stderr)
        self.check_refused(run("start", *ENDS, environment={"OPENLLM_MODEL_ID": "/nonexistent"}), 3, "/nonexistent")
        self.check_refused(run("start", *ENDS), 2, "MODEL is missing")

    def test_the_form_of_weights_is_honoured_or_refused_by_name(self):
        for flag in ("--serialisation", "--serialization"):
            self.assertEqual(run("start", TINY, *ENDS, flag, "safetensors").returncode, 6)
            self.check_refused(run("start", TINY, *ENDS, flag, "legacy"), 3, "pytorch_model")
            self.check_refused(run("start", TINY, *ENDS, flag, "pickle"), 2, "--serialisation", "pickle")
        for name in ("OPENLLM_SERIALISATION", "OPENLLM_SERIALIZATION"):
            self.assertEqual(run("start", TINY, *ENDS, environment={name: "safetensors"}).returncode, 6)
            self.check_refused(run("start", TINY, *ENDS, environment={name: "legacy"}), 3, "pytorch_model")
        self.check_refused(run("start", TINY, *ENDS, environment={"OPENLLM_SERIALISATION": "gguf",
                                                                  "OPENLLM_SERIALIZATION": "safetensors"}),
                           2, "OPENLLM_SERIALISATION", "OPENLLM_SERIALIZATION")

    def test_arguments_of_the_tokenizer_say_what_to_do(self):
        for name, word in (("padding_side", "not padded"), ("truncation_side", "truncate_prompt"),
                           ("add_bos_token", "add_special_tokens"), ("anything", "model's own files")):
            for flag in ("--_tokenizer_" + name, "--tokenizer-" + name.replace("_", "-")):
                for words in ((*self.RUN, flag, "left"), ("start", TINY, *ENDS, flag + "=left")):
                    self.check_refused(run(*words), 4, "tokenizer_" + name, word)
            config = {"OPENLLM_CONFIG": json.dumps({"_tokenizer_" + name: "left"})}
            self.check_refused(run(*self.RUN, environment=config), 2, "_tokenizer_" + name, word)
            self.check_refused(run("query", "hi", "--sampling-params", "_tokenizer_%s=left" % name), 2,
                               "_tokenizer_" + name, word)


class Commands(Case):
    def test_commands_that_are_not_here_say_what_to_use(self):
        for command, word in (("list-models", "`openllm models`"), ("list-bentos", "`openllm models`"),
                              ("dive-bentos", "`openllm inspect"), ("get-containerfile", "`openllm start"),
                              ("playground", "`openllm run"), ("instruct", "`openllm query"),
                              ("start-grpc", "`openllm start"), ("build-base-container", "`openllm start")):
            for words in ((command,), (command, "x", "--flag"), ("--quiet", command), ("help", command)):
                self.check_refused(run(*words), 2, command, word)

    def test_other_names_of_commands(self):
        for name, ours in (("pull", "import"), ("download", "import"), ("rm", "models remove"),
                           ("start-http", "start")):
            wanted = run(*ours.split(), "--help").stdout
            self.assertIn("Usage", wanted)
            self.assertEqual(run(name, "--help").stdout, wanted)
        self.assertEqual(run("help", "pull").stdout, run("import", "--help").stdout)

    def test_json_of_every_command_parses(self):
        with tempfile.TemporaryDirectory() as home:
            store = {"OPENLLM_HOME": home}
            model = write_chat_model(tempfile.mkdtemp(dir=home))
            for words in (["import", TINY, "--model-name", "tiny"], ["import", TINY, "--model-name", "tiny", "--json"],
                          ["models"], ["models", "list"], ["models", "add", "other", TINY], ["verify"],
                          ["verify", "tiny"], ["prune"], ["prune", "-y"], ["info", TINY], ["backends"],
                          ["backends", TINY], ["fields"], ["tokenize", STORIES, "Once"], ["get-prompt", model, "hi"],
                          ["run", STORIES, "Once", "--max-tokens", "1"]):
                with self.subTest(words=words):
                    result = run(*words, *([] if "--json" in words else ["--json"]), environment=store)
                    self.assertEqual(result.returncode, 0, result.stderr)
                    json.loads(result.stdout)


class Everywhere(Case):
    def test_version_and_help_in_short(self):
        self.assertEqual(run("-v").stdout, run("--version").stdout)
        self.assertEqual(run("-h").stdout, run("--help").stdout)

    def test_quiet_leaves_errors(self):
        environment = {"OPENLLM_NO_SUCH": "1"}
        loud = run("run", STORIES, "Once", environment=environment)
        self.assertIn("OPENLLM_NO_SUCH", loud.stderr)
        self.assertIn("was cut after", loud.stderr)
        for words in (["-q", "run"], ["run", "--quiet"]):
            quiet = run(*words, STORIES, "Once", environment=environment)
            self.assertEqual((quiet.returncode, quiet.stderr), (0, ""))
            self.assertTrue(quiet.stdout)
        self.check_refused(run("-q", "run", "no/such", "hi"), 3, "no/such")

    def test_verbose_tells_more(self):
        result = run("--debug", "run", "no/such", "hi")
        self.assertRegex(result.stderr, r"\Aopenllm: error: [^\n]+\nopenllm: debug: the error is not_found[^\n]+\n\Z")
        result = run("run", STORIES, "Once", "--verbose", "--max-tokens", "1")
        self.assertIn("openllm: debug: backend native", result.stderr)

    def test_n1_an_option_goes_before_the_environment(self):
        result = run("run", STORIES, "Once", "--backend", "native", "--max-tokens", "1", "--top-k", "1",
                     environment={"OPENLLM_BACKEND": "vllm", "OPENLLM_GENERATION_TOP_K": "7"})
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_n2_variables_without_our_prefix_are_not_read(self):
        result = run("run", STORIES, "Once", "--max-tokens", "1", environment={"BACKEND": "vllm", "DTYPE": "int8"})
        self.assertEqual((result.returncode, result.stderr), (0, ""))


class GetPrompt(Case):
    def test_the_template_of_the_model(self):
        with tempfile.TemporaryDirectory() as folder:
            model = write_chat_model(folder)
            prompt = lambda *words: json.loads(run("get-prompt", model, *words).stdout)["prompt"]
            self.assertEqual(prompt("hi"), "user:hi\n")
            self.assertEqual(prompt("hi", "--add-generation-prompt"), "user:hi\nassistant:")
            self.assertEqual(prompt("hi", "--system-message", "Be brief."), "system:Be brief.\nuser:hi\n")
            template = Path(folder) / "other.jinja"
            template.write_text("{{ messages[-1].content }}|{{ flag }}|{{ word }}")
            self.assertEqual(prompt("hi", "--chat-template-file", str(template), "--opt", "flag=false", "--opt",
                                    "word=two words"), "hi|False|two words")
            plain = Path(folder) / "plain"  # --chat-template would take that for the name of a template
            plain.write_text("{{ messages[-1].content }}!")
            done = subprocess.run([PROGRAM, "get-prompt", model, "hi", "--chat-template-file", "plain"], cwd=folder,
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(json.loads(done.stdout), {"prompt": "hi!"}, done.stderr)
            self.check_refused(run("get-prompt", model, "hi", "--chat-template", "x", "--chat-template-file",
                                   str(template)), 2, "--chat-template")
            self.check_refused(run("get-prompt", model, "hi", "--opt", "flag"), 2, "--opt", "NAME=VALUE")
            self.check_refused(run("get-prompt", model, "hi", "--prompt-template-file", "x"), 2,
                               "--prompt-template-file", "--chat-template")
        self.check_refused(run("get-prompt", STORIES, "hi"), 4, "chat template")


if __name__ == "__main__":
    main()
