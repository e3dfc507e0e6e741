"""Programs that users write compile without a warning of theirs: SOURCE_FOLDER COMPILER...

All examples, all whole programs in the documentation, and all C++ of the pages "Coming from ..." (where lines without `main` stand
in a function that has an `llm`), with the strictest of the usual options.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(sys.argv[1])
COMPILERS = sys.argv[2:]
STRICT = "-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
BLOCK = re.compile(r"^```cpp\n(.*?)^```", re.DOTALL | re.MULTILINE)


def in_a_function(block):
    """Lines that include headers stay in front."""
    lines = block.splitlines(keepends=True)
    includes = [line for line in lines if line.startswith("#include")]
    rest = "".join(line for line in lines if not line.startswith("#include"))
    kind, end = ("openllm::Task<void>", "co_return;") if "co_await" in rest else ("void", "")
    return ("#include <openllm/openllm.h>\n" + "".join(includes) + f"{kind} lines(openllm::LLM llm);\n"
            f"{kind} lines(openllm::LLM llm) {{\n(void)llm;\n{rest}{end}\n}}\n")


def programs():
    """(where, text) of each."""
    for path in sorted((ROOT / "examples").glob("*.cc")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for i, block in enumerate(BLOCK.findall(path.read_text(encoding="utf-8"))):
            if "int main(" in block:
                yield f"{path.name}-{i + 1}", block
            elif path.name.startswith("coming-from-"):
                yield f"{path.name}-{i + 1}", in_a_function(block)


def complaints(compiler, where, text):
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "program.cc")
        Path(source).write_text(text, encoding="utf-8")
        result = subprocess.run([compiler, *STRICT, f"-I{ROOT}/include", source], capture_output=True, text=True, check=False)
        return "" if result.returncode == 0 else f"{compiler}, {where}:\n{result.stderr[:3000]}\n"


class Programs(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreater(len(list(programs())), 7)

    def test_compile_without_warnings(self):
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            jobs = [pool.submit(complaints, compiler, *program) for program in programs() for compiler in COMPILERS]
            found = "".join(job.result() for job in jobs)
        self.assertFalse(found, found)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
