#!/usr/bin/env python3
"""The library as other projects use it: SOURCE BUILD CMAKE COMPILER MODEL.

Installs BUILD into a folder of its own, builds small projects with what is there, and configures one that has this
project as a part.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD, CMAKE, COMPILER, MODEL = sys.argv[1:6]


def run(*command, **options):
    """Runs the command; its output is the failure's text."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise AssertionError("%s\nended with %d:\n%s" % (command, done.returncode, done.stdout[-8000:]))
    return done.stdout


def configure(source, build, *definitions):
    return run(CMAKE, "-S", source, "-B", build, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=" + COMPILER, *definitions)


def is_shared():
    cache = Path(BUILD, "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(r"^BUILD_SHARED_LIBS:BOOL=(ON|1|TRUE)$", cache, re.MULTILINE) is not None


class Use(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.folder.name)
        cls.prefix = cls.root / "prefix"
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def installed(self, pattern):
        found = sorted(self.prefix.rglob(pattern))
        self.assertTrue(found, "%s is not installed" % pattern)
        return found[0]

    def check_program(self, program):
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self.installed("libopenllm.*").parent)}
        text = run(program, MODEL, env=environment, timeout=300)
        self.assertRegex(text, r"^openllm \d+\.\d+\.\d+\n")
        self.assertIn("by a coroutine: ", text)

    def test_by_find_package(self):
        build = self.root / "package"
        configure(Path(SOURCE, "examples", "consume"), build, "-DCMAKE_PREFIX_PATH=%s" % self.prefix)
        run(CMAKE, "--build", build)
        self.check_program(build / "consume")

    def test_by_pkg_config(self):
        if shutil.which("pkg-config") is None:
            self.skipTest("there is no pkg-config")
        environment = {**os.environ, "PKG_CONFIG_PATH": str(self.installed("openllm.pc").parent)}
        # A program that uses a library needs no files of what the library uses, also where --static asks for them.
        environment["PKG_CONFIG_LIBDIR"] = environment["PKG_CONFIG_PATH"]
        for static in [], ["--static"]:
            flags = run("pkg-config", *static, "--cflags", "--libs", "openllm", env=environment).split()
            self.assertIn("-I%s" % (self.prefix / "include"), [os.path.normpath(flag) for flag in flags])
            program = self.root / "by_pkg_config"
            run(COMPILER, "-std=c++20", Path(SOURCE, "examples", "consume", "main.cc"), "-o", program, *flags,
                "-pthread")
            self.check_program(program)

    def test_the_licence_comes_with_it(self):
        self.assertIn("Apache License", self.installed("LICENSE").read_text(encoding="utf-8"))

    def test_the_manual_and_completions_come_with_it(self):
        self.assertTrue(self.installed("openllm.1").read_text(encoding="utf-8").startswith(".TH OPENLLM 1"))
        self.assertIn("complete -F _openllm", self.installed("completions/openllm").read_text(encoding="utf-8"))
        self.assertTrue(self.installed("_openllm").read_text(encoding="utf-8").startswith("#compdef openllm"))
        self.assertIn("complete -c openllm", self.installed("openllm.fish").read_text(encoding="utf-8"))

    def test_its_name_has_the_version_that_it_is_compatible_with(self):
        if not is_shared():
            self.skipTest("a static library has no such name")
        version = self.installed("openllmConfigVersion.cmake").read_text(encoding="utf-8")
        major, minor = re.search(r'set\(PACKAGE_VERSION "(\d+)\.(\d+)', version).groups()
        name = "libopenllm.so.%s" % ("%s.%s" % (major, minor) if major == "0" else major)
        self.assertTrue(self.installed("libopenllm.so").parent.joinpath(name).exists(), name)
        rule = 'PACKAGE_FIND_VERSION_MINOR STREQUAL CVF_VERSION_MINOR'
        self.assertEqual(major == "0", rule in version)

    def test_an_older_standard_is_told(self):
        for header in sorted(Path(SOURCE, "include", "openllm").glob("*.h")):
            done = subprocess.run([COMPILER, "-std=c++17", "-fsyntax-only", "-x", "c++", "-I%s/include" % SOURCE, "-"],
                                  input='#include "openllm/%s"\n' % header.name, capture_output=True, text=True,
                                  check=False)
            if done.returncode == 0:  # a header that older standards understand
                self.assertNotEqual(header.name, "openllm.h")
                continue
            errors = [line for line in done.stderr.splitlines() if "error:" in line]
            self.assertTrue(errors and "openllm needs C++20" in errors[0], "%s: %s" % (header.name, errors[:1]))

    def configure_as_part(self, name, *definitions):
        folder = self.root / name
        folder.mkdir()
        (folder / "main.cc").write_text("#include <openllm/openllm.h>\nint main() { return openllm::version() == nullptr; }\n",
                                        encoding="utf-8")
        (folder / "CMakeLists.txt").write_text("""cmake_minimum_required(VERSION 3.25)
project(whole LANGUAGES CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_subdirectory(%s part)
add_library(own main.cc)
get_target_property(openllm_type openllm TYPE)
get_target_property(own_type own TYPE)
file(WRITE ${CMAKE_BINARY_DIR}/types "${openllm_type} ${own_type}")
add_executable(whole main.cc)
target_link_libraries(whole PRIVATE openllm::openllm)
""" % SOURCE, encoding="utf-8")
        build = folder / "build"
        configure(folder, build, *definitions)
        commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        return build, {command["file"]: command for command in commands}

    def compile_one(self, build, source):
        """Builds the object of one file."""
        name = "%s.o" % os.path.relpath(source, SOURCE).split(os.sep, 2)[2]
        targets = run("ninja", "-C", build, "-t", "targets", "all").splitlines()
        objects = [line.split(":")[0] for line in targets if "/%s:" % name in line and "/src/base/" in line]
        self.assertEqual(len(objects), 1, objects)
        run("ninja", "-C", build, objects[0])

    def test_as_a_part_of_another_project(self):
        build, commands = self.configure_as_part("part")
        self.assertIn(str(Path(SOURCE, "src", "llm", "llm.cc")), commands)
        for file, command in commands.items():
            relative = os.path.relpath(file, SOURCE)
            self.assertFalse(relative.endswith("_test.cc") or re.match(r"(src/cli|bench|examples|tests)/", relative),
                             "%s is built too" % relative)
            self.assertNotIn("-Werror", command["command"].split(), relative)
        cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
        self.assertRegex(cache, r"(?m)^CMAKE_BUILD_TYPE:STRING=$", "the build type is that of the whole")
        types = (build / "types").read_text(encoding="utf-8")
        self.assertEqual(types, "SHARED_LIBRARY STATIC_LIBRARY", "the whole's own libraries stay as they were")
        install = "".join(path.read_text(encoding="utf-8") for path in build.rglob("cmake_install.cmake"))
        self.assertNotIn("libopenllm", install, "installing the whole does not install its parts")
        # One of its files, as a sample: all of them are a build of their own.
        self.compile_one(build, Path(SOURCE, "src", "base", "version.cc"))

    def test_as_a_static_part(self):
        _, commands = self.configure_as_part("static_part", "-DBUILD_SHARED_LIBS=OFF")
        self.assertIn(str(Path(SOURCE, "src", "llm", "llm.cc")), commands)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], verbosity=2)
