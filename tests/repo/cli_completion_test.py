#!/usr/bin/env python3
"""Completion scripts and the man page, which are made of the same description as --help.

    cli_completion_test.py PROGRAM TEST_DATA_FOLDER
"""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from cli_program import PROGRAM, TIMEOUT, TINY, main, run

# Calls the function that bash would call when Tab is pressed at the end of the words.
ASK_BASH = """
source "$1"
shift
COMP_WORDS=(openllm "$@")
COMP_CWORD=$#
COMPREPLY=()
_openllm
printf '%s\\n' "${COMPREPLY[@]}"
"""


def options_of(*command):
    """Options as --help shows them: name -> type."""
    text = run(*command, "--help").stdout
    found = {}
    for line in text.splitlines():
        match = re.match(r"  (-[^ ]*)(?: (\S+))?", line)
        if match:
            for name in match.group(1).split(","):
                found[name] = match.group(2)
    return found


class Bash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name)
        (root / "bin").mkdir()
        (root / "bin/openllm").symlink_to(PROGRAM)
        (root / "work/folder").mkdir(parents=True)
        (root / "work/file.txt").write_text("x")
        cls.environment = {**os.environ, "PATH": "%s:%s" % (root / "bin", os.environ["PATH"]),
                           "OPENLLM_HOME": str(root / "store")}
        for name in ("me/tiny", "me/tall", "other"):
            done = run("models", "add", name, TINY, environment=cls.environment)
            assert done.returncode == 0, done.stderr
        cls.script = root / "openllm.bash"
        cls.script.write_text(run("completion", "bash").stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def complete(self, *words):
        done = subprocess.run(["bash", "-c", ASK_BASH, "bash", str(self.script), *words], capture_output=True,
                              text=True, env=self.environment, cwd=Path(self.folder.name) / "work", timeout=TIMEOUT,
                              check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return sorted(set(done.stdout.split()))

    def test_commands(self):
        shown = re.findall(r"(?m)^  ([a-z][-a-z]*)(?:, [a-z]+)?  ", run("--help").stdout)
        self.assertIn("verify", shown)
        self.assertEqual(self.complete(""), sorted(shown))
        self.assertEqual(self.complete("ver"), ["verify"])
        self.assertEqual(self.complete("-q", "ver"), ["verify"])
        self.assertEqual(self.complete("models", ""), ["add", "list", "remove"])

    def test_options_are_those_of_help(self):
        for command in (["run"], ["start"], ["query"], ["models", "add"], ["import"], ["verify"], ["get-prompt"]):
            self.assertEqual(self.complete(*command, "-"), sorted(options_of(*command)), command)
        self.assertEqual(self.complete("--v"), ["--verbose", "--version"])
        self.assertEqual(self.complete("start", "--penalty-alpha"), [])  # what cannot be done is not offered

    def test_values(self):
        self.assertEqual(self.complete("start", "--device", ""), ["cpu", "reference"])
        self.assertEqual(self.complete("start", "--device", "=", "c"), ["cpu"])  # as bash splits --device=c
        self.assertEqual(self.complete("start", "--device", "="), ["cpu", "reference"])
        self.assertEqual(self.complete("run", "x", "--kv-dtype", "f"), ["f16", "f32"])
        self.assertEqual(self.complete("completion", ""), ["bash", "fish", "zsh"])
        self.assertEqual(self.complete("run", "x", "--top-k", ""), [])
        self.assertEqual(self.complete("run", "x", "-f", "f"), ["file.txt", "folder"])

    def test_models(self):
        for words in (["run"], ["start"], ["start", "--top-k", "5"], ["start", "--port=0"], ["models", "remove"],
                      ["verify"], ["run", "x", "-m"]):
            self.assertEqual(self.complete(*words, "me/"), ["me/tall", "me/tiny"], words)
        self.assertEqual(self.complete("run", "me/tiny", ""), [])  # the prompt
        self.assertEqual(self.complete("query", "-m", ""), [])  # a model of the server
        self.assertEqual(self.complete("run", "f"), ["file.txt", "folder"])


class Scripts(unittest.TestCase):
    def test_other_shells_know_the_same_words(self):
        for shell in ("zsh", "fish"):
            script = run("completion", shell).stdout
            for option in options_of("start"):
                self.assertIn(option if shell == "zsh" else re.sub("^--?", "", option), script)
            for word in ("get-prompt", "remove", "reference", "int8"):
                self.assertIn(word, script)
            if shutil.which(shell):
                with tempfile.NamedTemporaryFile("w", suffix="." + shell) as file:
                    file.write(script)
                    file.flush()
                    done = subprocess.run([shell, "-n", file.name], capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""), shell)

    def test_fish(self):
        if shutil.which("fish") is None:
            self.skipTest("there is no fish")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "bin").mkdir()
            (Path(folder) / "bin/openllm").symlink_to(PROGRAM)
            script = Path(folder) / "openllm.fish"
            script.write_text(run("completion", "fish").stdout)
            environment = {**os.environ, "HOME": folder, "PATH": "%s/bin:%s" % (folder, os.environ["PATH"])}
            for words, expected in (("openllm ver", ["verify"]), ("openllm start --device ", ["cpu", "reference"]),
                                    ("openllm models ", ["add", "list", "remove"])):
                done = subprocess.run(["fish", "-c", "source %s; complete -C %s" % (script, shlex.quote(words))],
                                      capture_output=True, text=True, env=environment, check=False)
                self.assertEqual(sorted(line.split("\t")[0] for line in done.stdout.splitlines()), expected)

    def test_no_other_shell(self):
        result = run("completion", "tcsh")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("bash, zsh or fish", result.stderr)


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = run("man").stdout

    def test_structure(self):
        lines = self.page.splitlines()
        self.assertRegex(lines[0], r'^\.TH OPENLLM 1 "" "openllm \d+\.\d+\.\d+" "User Commands"$')
        sections = [line[4:] for line in lines if line.startswith(".SH ")]
        self.assertEqual(sections, ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT",
                                    "EXAMPLES"])
        self.assertEqual(lines[lines.index(".SH NAME") + 1], r"openllm \- run open language models")
        orders = {line.split(" ")[0] for line in lines if line.startswith(".")}
        self.assertLessEqual(orders, {".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi"})
        self.assertFalse([line for line in lines if line.startswith("'")])

    def test_it_has_every_command_and_option_of_help(self):
        plain = re.sub(r"\\f[BIR]", "", self.page).replace("\\-", "-")
        for command in (["run"], ["start"], ["models", "add"], ["verify"], ["completion"]):
            self.assertIn(".SS openllm %s\n" % " ".join(command), plain)
            section = plain.split(".SS openllm %s\n" % " ".join(command))[1].split("\n.S")[0]
            for option in options_of(*command):
                self.assertRegex(section, r"(?m)^(-\S+, )*%s(,| |$)" % re.escape(option), command)

    def test_what_reads_it_finds_nothing_wrong(self):
        for program in (["groff", "-man", "-Tutf8", "-ww"], ["man", "--warnings", "-l", "-"]):
            if shutil.which(program[0]) is None:
                continue
            done = subprocess.run(program, input=self.page, capture_output=True, text=True, check=False,
                                  env={**os.environ, "MANWIDTH": "100", "PAGER": "cat"})
            self.assertEqual((done.returncode, done.stderr), (0, ""), program)
            plain = re.sub(".\x08|\x1b\\[[0-9;]*m", "", done.stdout)
            self.assertTrue("--max-model-len" in plain, program)


if __name__ == "__main__":
    main()
