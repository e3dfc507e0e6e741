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

    def cycles(self):
        return list(check_layers.check_cycles(self.root))

    def test_files_that_include_each_other_are_found(self):
        self.write("src/kv/a.h", '#include "kv/b.h"\n')
        self.write("src/kv/b.h", '#include "kv/c.h"\n')
        self.assertEqual(self.cycles(), [])
        self.write("src/kv/c.h", '#include "kv/a.h"\n')
        self.assertEqual(self.cycles(), ["files include each other in a circle: "
                                         "src/kv/a.h -> src/kv/b.h -> src/kv/c.h -> src/kv/a.h"])

    def test_subfolders_that_include_each_other_are_found(self):
        self.write("src/kv/x/a.h", '#include "kv/y/b.h"\n')
        self.write("src/kv/y/b.h", "")
        self.write("src/kv/y/c.cc", '#include "kv/y/b.h"\n#include "kv/x/d.h"\n')
        self.assertEqual(self.cycles(), [])  # there is no such file
        self.write("src/kv/x/d.h", "")
        self.assertEqual(self.cycles(), ["subfolders include each other in a circle: "
                                         "src/kv/x -> src/kv/y -> src/kv/x"])

    def test_a_file_of_the_layer_does_not_hide_a_circle_of_subfolders(self):
        self.write("src/kv/x/a.h", '#include "kv/face.h"\n')
        self.write("src/kv/face.h", '#include "kv/y/b.h"\n')
        self.write("src/kv/y/b.h", "")
        self.write("src/kv/y/c.cc", '#include "kv/x/d.h"\n')
        self.write("src/kv/x/d.h", "")
        self.assertEqual(len(self.cycles()), 1)

    def test_subfolders_of_subfolders_are_checked_too(self):
        self.write("src/kv/w/x/a.h", '#include "kv/w/y/b.h"\n#include "kv/w/face.h"\n#include "kv/z.h"\n')
        self.write("src/kv/w/y/b.h", "")
        self.write("src/kv/w/face.h", "")
        self.write("src/kv/z.h", "")
        self.assertEqual(self.cycles(), [])
        self.write("src/kv/w/y/c.cc", '#include "kv/w/x/a.h"\n')
        self.assertEqual(self.cycles(), ["subfolders include each other in a circle: "
                                         "src/kv/w/x -> src/kv/w/y -> src/kv/w/x"])

    def test_an_interface_and_a_registry_beside_the_subfolders_are_no_circle(self):
        self.write("src/device/device.h", "")
        self.write("src/device/cpu/cpu.h", '#include "device/device.h"\n')
        self.write("src/device/registry.cc", '#include "device/cpu/cpu.h"\n#include "device/device.h"\n')
        self.assertEqual(self.cycles(), [])

    def test_tests_may_look_at_every_subfolder(self):
        self.write("src/kv/x/a.h", '#include "kv/y/b.h"\n')
        self.write("src/kv/y/b.h", "")
        self.write("src/kv/y/b_test.cc", '#include "kv/x/a.h"\n')
        self.assertEqual(self.cycles(), [])


if __name__ == "__main__":
    unittest.main()
