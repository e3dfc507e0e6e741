#!/usr/bin/env python3
"""The table of request fields is the only list of them.

    fields_test.py PROGRAM SOURCE_FOLDER

Fails when a file of a layer that fields come in by (server, client, command line, configuration) names a field: adding a
field would then mean editing that file too. The exceptions below are files where a field has a meaning of its own. Fails
also when docs/fields.md is not what `openllm fields --markdown` prints, or the list in docs/serving.md is not what
`openllm fields --bodies` prints.
"""

import json
import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

PROGRAM = ""
ROOT = Path()

TABLE = "src/fields/table.cc"
# Also of fields that we lack.
TABLES = (TABLE, "src/fields/absent.cc")
# Layers and files that fields come in by or go out by.
WAYS = ("src/server/", "src/client/", "src/cli/", "src/fields/", "src/llm/llm_config.")

# file -> the fields that it may name, because they act there or because a dialect gives them a form of its own.
EXCEPTIONS = {
    # OpenAI's own: echo with logprobs, max_completion_tokens, top_logprobs, tool_choice.
    "src/server/api/completion_request.cc": {"logprobs", "prompt_logprobs", "add_special_tokens",
                                             # which text_offset does not know
                                             "clean_up_tokenization_spaces", "spaces_between_special_tokens",
                                             "skip_special_tokens"},
    "src/server/endpoints/completions.cc": {"skip_special_tokens", "add_special_tokens",  # prompts of texts and ids
                                            "prompt_logprobs"},  # of answers
    "src/server/api/answers.h": {"prompt_logprobs"},
    "src/server/api/chat_request.cc": {"max_new_tokens", "logprobs", "add_special_tokens", "chat_template_json",
                                       "chat_template_kwargs", "max_completion_tokens", "tools", "tools_json"},
    "src/server/api/common_request.cc": {"request_id"},  # the answer's id
    "src/server/api/native_request.cc": {"stop", "prompt_logprobs"},  # bounds
    "src/client/wire.cc": {"logprobs", "prompt_logprobs", "request_id", "receipt"},  # the form of chats; members of answers
    # Members of outputs.
    "src/client/native_wire.cc": {"logprobs", "prompt_logprobs", "request_id"},
    "src/llm/local_model.cc": {"temperature", "top_p", "num_beams", "presence_penalty", "repetition_penalty", "no_repeat_ngram_size",
                               "min_new_tokens"},  # greedy
    "src/client/request.cc": {"request_id", "prompt_logprobs"},
    "src/client/http_client.cc": {"request_id", "add_generation_prompt"},  # and the route of prompts
    "src/client/native_server.h": {"add_generation_prompt"},
    "src/client/native_server.cc": {"add_generation_prompt"},
    "src/client/metadata.cc": {"timeout"},
    "src/llm/doctor/speed.cc": {"temperature", "max_new_tokens", "ignore_eos"},  # what it measures with
    # What clients may not ask for, and limits.
    "src/server/caller.cc": {"priority", "max_new_tokens",
                             # what the form of answers depends on
                             "n", "best_of", "logprobs", "skip_special_tokens", "spaces_between_special_tokens",
                             "clean_up_tokenization_spaces", "timeout"},
    "src/server/app_server.cc": {"max_new_tokens"},
    "src/server/api/helpers_request.h": {"add_generation_prompt"},  # false there unless given
    "src/server/api/helpers_request.cc": {"add_generation_prompt"},
    "src/server/endpoints/helpers.cc": {"add_generation_prompt"},
    "src/server/endpoints/metadata.cc": {"timeout"},  # of the model, as OpenLLM's clients know it
    "src/server/endpoints/adapters.cc": {"adapter_name"},  # likewise
    "src/server/api/native_delta.cc": {"request_id", "prompt_logprobs"},  # of outputs
    "src/server/service/call_context.h": {"request_id"},
    "src/server/service/call_context.cc": {"request_id"},
    "src/server/text_biases.cc": {"logit_bias", "add_special_tokens"},
    "src/server/generation.cc": {"n", "best_of", "num_beams"},
    # No stream has the best answers.
    "src/client/api.cc": {"best_of", "num_beams"},
    "src/server/completion_text.cc": {"prompt_logprobs"},
    # Texts end after 128 tokens, a chat shows one answer without logprobs, and its oldest turns go.
    "src/cli/answer.cc": {"max_new_tokens", "logprobs", "prompt_logprobs", "add_special_tokens", "receipt_hash_only"},
    "src/cli/chat_session.cc": {"max_new_tokens", "truncate_prompt", "temperature"},
    "src/cli/chat_settings.cc": {"n", "best_of", "logprobs", "prompt_logprobs"},
    "src/cli/responder.cc": {"best_of", "num_beams", "add_special_tokens", "max_new_tokens", "max_length"},
    "src/llm/instance.cc": {"best_of"},  # of a configuration, beside its n
    "src/cli/commands/run.cc": {"max_new_tokens"},
    "src/cli/options.cc": {"max_new_tokens"},
    "src/cli/commands/query.cc": {"max_new_tokens"},
    "src/cli/commands/start.cc": {"max_new_tokens"},
    "src/cli/commands/get_prompt.cc": {"add_generation_prompt", "chat_template_json"},  # its own defaults
    # Also an option of `tokenize`; in examples; the options of a receipt's file.
    "src/cli/arguments.cc": {"add_special_tokens", "temperature", "receipt_hash_only"},
    "src/cli/receipt_file.cc": {"receipt"},  # of receipts
    "src/cli/commands/inspect.cc": {"add_special_tokens"},
    "src/llm/llm_config.cc": {"temperature"},  # do_sample
    # Where answers are made, not where requests are read.
    "src/server/api/logprobs.cc": {"logprobs"},
    "src/server/api/answers.cc": {"logprobs", "prompt_logprobs", "stop"},
    "src/server/api/receipts.h": {"receipt"},
    "src/server/endpoints/chat_completions.cc": {"skip_special_tokens"},
    "src/server/endpoints/generate.cc": {"prompt_logprobs", "request_id"},
    "src/server/http/exchange.h": {"request_id"},
    # Texts without an answer: their options are their own.
    "src/cli/commands/text.cc": {"skip_special_tokens", "add_special_tokens"},
    "src/cli/tool_arguments.cc": {"max_new_tokens", "skip_special_tokens", "add_special_tokens"},
    "src/cli/embed_arguments.cc": {"max_tokens"},
    "src/client/vectors.cc": {"adapter_name", "max_tokens", "request_id", "add_special_tokens", "priority", "timeout"},
    "src/server/api/vector_requests.cc": {"adapter_name", "max_tokens", "request_id", "add_special_tokens", "priority", "cache_salt", "timeout"},
    "src/server/docs/field_schemas.cc": {"adapter_name", "request_id", "add_special_tokens", "priority", "timeout"},
    "src/server/endpoints/vectors.cc": {"request_id"},
    # A name of an adapter is one of a model.
    "src/server/model_set.h": {"adapter_name"},
    "src/server/model_set.cc": {"adapter_name"},
    "src/llm/compare/witness.cc": {"temperature"},  # greedy
    # A search, and what it refuses.
    "src/engine/beam_search.cc": {"diversity_penalty", "length_penalty"},
    "src/engine/engine.cc": {"num_beams"},
    "src/engine/validate.cc": {"num_beams", "num_beam_groups", "diversity_penalty", "length_penalty"},
    "src/engine/request.h": {"diversity_penalty", "length_penalty", "bad_words", "allowed_token_ids"},  # for servers, which have their own constraints
}

# Layers below requests, where the same words mean other things (the top_k of experts).
BELOW = re.compile(r"src/(tensor|kernels|format|tokenizer|jinja|step|device|kv|model)/")

# Where a sampling field may act, besides the declaration and the table.
SAMPLING_ACTS = re.compile(r"src/(sampling/|llm/engine_request\.cc|llm/token_rules\.cc|llm/model_files\.cc|llm/llm_config\.cc|llm/family_defaults\.cc|llm/config_forms\.cc|llm/greedy\.h|backend/(vllm|places)/|backend/continuation\.)")


def rows():
    result = subprocess.run([PROGRAM, "fields", "--json"], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def sources():
    for folder in ("include", "src"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cc") and not path.stem.endswith("_test"):
                code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
                yield str(path.relative_to(ROOT)), code


def names_field(code, name):
    """Short names are words of other meanings too: only text literals count."""
    pattern = r"\b%s\b" if "_" in name or name == "temperature" else r'"%s"'
    return re.search(pattern % name, code) is not None


class Fields(unittest.TestCase):
    def test_only_the_table_lists_fields(self):
        # Members of bodies alone are words such as "text", which mean other things elsewhere.
        names = [name for row in rows() if not row.get("bodies_only") for name in [row["name"], *row.get("aliases", [])]]
        self.assertGreaterEqual(len(names), 50)
        problems = []
        for path, code in sources():
            if path in TABLES or not path.startswith(WAYS):
                continue
            allowed = EXCEPTIONS.get(path, set())
            problems += ["%s names %s" % (path, name) for name in names
                         if name not in allowed and names_field(code, name)]
        self.assertEqual(problems, [], "fields belong into %s" % TABLE)

    def test_a_sampling_field_is_declared_listed_and_used_and_no_more(self):
        files = dict(sources())
        sampling = [row["name"] for row in rows()
                    if row.get("group") == "Sampling" and ("_" in row["name"] or row["name"] == "temperature")]
        self.assertIn("min_p", sampling)
        for name in sampling:
            named = {path for path, code in files.items() if names_field(code, name)}
            self.assertIn(TABLE, named)
            others = {path for path in named
                      if path not in (*TABLES, "include/openllm/options.h", "include/openllm/llm_config.h")
                      and not SAMPLING_ACTS.match(path) and not BELOW.match(path)}
            self.assertEqual(others - {path for path in others if name in EXCEPTIONS.get(path, ())}, set(), name)

    def test_the_page_is_what_the_program_prints(self):
        printed = subprocess.run([PROGRAM, "fields", "--markdown"], capture_output=True, text=True, check=True).stdout
        page = (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")
        self.assertEqual(page, printed, "make it again: openllm fields --markdown > docs/fields.md")

    def test_the_list_of_bodies_is_what_the_program_prints(self):
        printed = subprocess.run([PROGRAM, "fields", "--bodies"], capture_output=True, text=True, check=True).stdout
        page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
        begin, end = "<!-- openllm fields --bodies -->\n\n", "\n<!-- end -->"
        self.assertEqual(page.count(begin), 1)
        between = page.split(begin)[1].split(end)[0]
        self.assertEqual(between, printed, "put what `openllm fields --bodies` prints between the two marks")

    def test_each_member_of_bodies_is_listed_once(self):
        printed = subprocess.run([PROGRAM, "fields", "--bodies"], capture_output=True, text=True, check=True).stdout
        cells = [re.findall(r"`([^`]+)`", line) for line in printed.splitlines() if line.startswith("| ")]
        names = [row[0] for row in cells if row]
        for name in ("max_tokens", "prompt", "num_beams", "repeat_penalty", "stream_options.include_usage"):
            self.assertEqual(names.count(name), 1, name)
        self.assertIn("`user`", printed)

    def test_the_list_for_people_has_all(self):
        text = subprocess.run([PROGRAM, "fields"], capture_output=True, text=True, check=True).stdout
        for row in rows():
            self.assertIn("  " + row["name"], text)


class Environment(unittest.TestCase):
    MODEL = "tests/data/stories260K/hf"

    def run_program(self, arguments, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENLLM_")}
        return subprocess.run([PROGRAM, *arguments], env={**environment, **variables}, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=300)

    def test_a_key_that_is_none_starts_no_server(self):
        start = ["start", str(ROOT / self.MODEL), "--port", "0"]
        for value in ("", "  ", "\t"):
            done = self.run_program(start, OPENLLM_API_KEY=value)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn("OPENLLM_API_KEY", done.stderr)
            done = self.run_program([*start, "--api-key", value])
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("--api-key", done.stderr)

    def test_values_that_are_wrong_are_blamed_on_their_variable(self):
        run = ["run", str(ROOT / self.MODEL), "Once", "--raw", "--max-new-tokens", "1"]
        for name, value, message in (("OPENLLM_GENERATION_TEMPERATURE", "abc", "expected a number, got abc"),
                                     ("OPENLLM_GENERATION_TEMPERATURE", "-3", "got -3"),
                                     ("OPENLLM_CONFIG", '{"temprature":0}', "did you mean temperature?"),
                                     ("OPENLLM_GENERATION_FOO", "1", "there is no such field")):
            done = self.run_program(run, **{name: value})
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn("error: " + name, done.stderr)
            self.assertIn(message, done.stderr)

    def test_a_variable_that_nothing_reads_is_told(self):
        done = self.run_program(["backends"], OPENLLM_HOM="/nowhere")
        self.assertEqual(done.returncode, 0)
        self.assertIn("nothing reads the variable OPENLLM_HOM; did you mean OPENLLM_HOME?", done.stderr)
        self.assertNotIn("nothing reads", self.run_program(["backends"], OPENLLM_BACKEND="native").stderr)

    def test_seeds(self):
        run = ["run", str(ROOT / self.MODEL), "Once", "--raw", "--max-new-tokens", "8", "--seed"]
        self.assertEqual(self.run_program([*run, "-1"]).returncode, 0)
        for seed in ("-9223372036854775809", "18446744073709551616", "1.5", "x"):
            done = self.run_program([*run, seed])
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn("--seed", done.stderr)


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    ROOT = Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
