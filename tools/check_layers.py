#!/usr/bin/env python3
"""Checks that the layers include only what lies below them.

    tools/check_layers.py [ROOT]

Folder = namespace = CMake target = layer. The table below is the one place that says which arrows exist; the program
fails when a file includes another layer than its row names, when a CMakeLists.txt links one, when the table has a cycle,
and when a public header includes more than the standard library and other public headers.
"""

import re
import sys
from pathlib import Path

# layer -> the layers it may include. Public headers (openllm/*.h) may be included by all.
LAYERS = {
    "base": [],
    "net": ["base"],
    "step": [],
    "tensor": ["base"],
    "kernels": ["tensor"],
    "format": ["base", "tensor"],
    "tokenizer": ["base"],
    "chat": ["base"],
    "device": ["base", "step", "tensor", "kernels"],
    "kv": ["base"],
    "model": ["base", "step", "tensor", "device", "format", "kv"],
    "sampling": ["base"],
    "engine": ["base", "step", "kv", "sampling"],
    "backend": ["base", "step", "tensor", "format", "device", "kv", "model", "sampling", "engine"],
    "store": ["base", "format"],
    "llm": ["base", "tensor", "format", "tokenizer", "chat", "device", "kv", "model", "sampling", "engine", "backend",
            "store"],
    # Our own first users: the public headers, and base for small things.
    "server": ["base"],
    "client": ["base", "net"],
    "cli": ["base"],
    "library": [],
}

# Tests may also reach for these, to make models and requests to test with.
TEST_EXTRA = {
    "server": ["llm"],
    "client": ["llm", "server"],
    "llm": ["server"],
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
DEPS = re.compile(r"openllm_layer\((\w+)[^)]*?\bDEPS\b([^)]*?)(?:\bLIBS\b|\))", re.DOTALL)
STANDARD = re.compile(r"[a-z_]+")


def find_cycle(table):
    done = set()

    def visit(layer, path):
        if layer in path:
            return path[path.index(layer):] + [layer]
        if layer in done:
            return None
        for below in table[layer]:
            cycle = visit(below, path + [layer])
            if cycle:
                return cycle
        done.add(layer)
        return None

    for layer in table:
        cycle = visit(layer, [])
        if cycle:
            return cycle
    return None


def allowed_for(layer, path):
    allowed = {layer, "openllm", *LAYERS[layer]}
    if path.stem.endswith("_test") or path.name.startswith("test_"):
        allowed.update(TEST_EXTRA.get(layer, []))
    return allowed


def check_sources(root):
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cc", ".inc"):
            continue
        layer = path.relative_to(root / "src").parts[0]
        if layer not in LAYERS:
            yield "%s: %s is not in the table of layers" % (path.relative_to(root), layer)
            continue
        text = path.read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            target = match.group(2).split("/")[0]
            if "/" not in match.group(2) or (match.group(1) == "<" and target != "openllm" and target not in LAYERS):
                continue
            if target not in allowed_for(layer, path):
                line = text.count("\n", 0, match.start()) + 1
                yield "%s:%d: %s may not include %s" % (path.relative_to(root), line, layer, match.group(2))


def check_links(root):
    for path in sorted((root / "src").glob("*/CMakeLists.txt")):
        for match in DEPS.finditer(path.read_text(encoding="utf-8")):
            layer = match.group(1)
            # The server's and the client's symbols come from llm; their sources see the public headers only.
            allowed = set(LAYERS.get(layer, [])) | ({"llm"} if layer in ("server", "client") else set())
            for dep in match.group(2).split():
                if dep not in allowed:
                    yield "%s: %s may not link %s" % (path.relative_to(root), layer, dep)


def check_public_headers(root):
    for path in sorted((root / "include" / "openllm").glob("*.h")):
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            name = match.group(2)
            if not (name.startswith("openllm/") or (match.group(1) == "<" and STANDARD.fullmatch(name))):
                yield "%s: includes %s (only the standard library and openllm/ may be)" % (path.relative_to(root), name)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
    problems = []
    cycle = find_cycle(LAYERS)
    if cycle:
        problems.append("the table has a cycle: " + " -> ".join(cycle))
    problems += list(check_sources(root)) + list(check_links(root)) + list(check_public_headers(root))
    for problem in problems:
        print(problem)
    if not problems:
        print("layers: in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
