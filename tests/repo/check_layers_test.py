#!/usr/bin/env python3
"""The layer check must find what it is for."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tools"))
sys.dont_write_bytecode = True
import check_layers  # noqa: E402


class CheckLayers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def test_arrows_down_are_fine(self):
        self.write("src/model/a.cc", '#include "model/a.h"\n#include "kv/b.h"\n#include "openllm/error.h"\n')
        self.write("src/model/b.cc", "#include <sys/mman.h>\n#include <vector>\n")
        self.assertEqual(list(check_layers.check_sources(self.root)), [])

    def test_an_arrow_up_is_found(self):
        self.write("src/kv/a.h", '#pragma once\n\n  #  include "engine/b.h"\n')
        problems = list(check_layers.check_sources(self.root))
        self.assertEqual(problems, ["src/kv/a.h:3: kv may not include engine/b.h"])

    def test_the_server_sees_public_headers_only(self):
        self.write("src/server/a.cc", '#include "openllm/llm.h"\n#include "llm/core.h"\n')
        self.assertEqual(len(list(check_layers.check_sources(self.root))), 1)

    def test_angle_brackets_do_not_help(self):
        self.write("src/base/a.h", "#include <model/decoder.h>\n")
        self.assertEqual(len(list(check_layers.check_sources(self.root))), 1)

    def test_unknown_layers_are_found(self):
        self.write("src/utils/a.h", "")
        self.assertEqual(len(list(check_layers.check_sources(self.root))), 1)

    def test_links_are_checked(self):
        self.write("src/kv/CMakeLists.txt", "openllm_layer(kv DEPS base engine LIBS x)\n")
        self.assertEqual(len(list(check_layers.check_links(self.root))), 1)

    def test_public_headers_are_standard_only(self):
        self.write("include/openllm/a.h", '#include <vector>\n#include "openllm/b.h"\n')
        self.assertEqual(list(check_layers.check_public_headers(self.root)), [])
        self.write("include/openllm/a.h", '#include <boost/asio.hpp>\n#include "base/json.h"\n#include <unistd.h>\n')
        self.assertEqual(len(list(check_layers.check_public_headers(self.root))), 3)

    def test_cycles_are_found(self):
        self.assertIsNone(check_layers.find_cycle(check_layers.LAYERS))
        self.assertEqual(check_layers.find_cycle({"a": ["b"], "b": ["a"]}), ["a", "b", "a"])


if __name__ == "__main__":
    unittest.main()
