"""docs/seed.md names tests that there are, and files that there are: SOURCE_FOLDER"""

import re
import sys
import unittest
from pathlib import Path

ROOT = Path(sys.argv[1])
TEST = re.compile(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", re.MULTILINE)


def known_tests():
    names = set()
    for folder in ("src", "tests"):
        for path in (ROOT / folder).rglob("*_test.cc"):
            names |= {f"{suite}.{name}" for suite, name in TEST.findall(path.read_text(encoding="utf-8"))}
    names |= set(re.findall(r"\brepo\.\w+", (ROOT / "tests/repo/CMakeLists.txt").read_text(encoding="utf-8")))
    scripts = re.search(r"foreach\(name ([\w ]+)\)\s*add_test\(NAME repo\.\$", (ROOT / "tests/repo/CMakeLists.txt").read_text(encoding="utf-8"))
    return names | {f"repo.{name}" for name in scripts.group(1).split()}


class Seed(unittest.TestCase):
    def test_every_row_names_tests_that_there_are(self):
        known = known_tests()
        rows = [line for line in (ROOT / "docs/seed.md").read_text(encoding="utf-8").splitlines()
                if line.startswith("| ") and not line.startswith(("| ---", "| it says", "| feature"))]
        self.assertGreater(len(rows), 40)
        for row in rows:
            shown_by = re.findall(r"`([\w.]+)`", row.replace("\\|", "").split(" | ")[2])
            self.assertTrue(shown_by, row)
            self.assertEqual([name for name in shown_by if name not in known], [], row)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
