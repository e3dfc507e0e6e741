#!/usr/bin/env python3
"""Checks that the layers include only what lies below them.

    tools/check_layers.py [ROOT]

Folder = namespace = CMake target = layer. The table below is the one place that says which arrows exist; the program
fails when a file includes another layer than its row names, when a CMakeLists.txt links one, when the table has a cycle,
and when a public header includes more than the standard library and other public headers. Inside a layer it fails when
files include each other in a circle, and when subfolders do.
"""

import re
import sys
from pathlib import Path

# layer -> the layers it may include. Public headers (openllm/*.h) may be included by all.
LAYERS = {
    "base": [],
    "net": ["base"],
    "fields": ["base"],
    "binding": ["base"],
    "step": [],
    "tensor": ["base"],
    "kernels": ["tensor"],
    "format": ["base", "tensor"],
    "tokenizer": ["base"],
    "jinja": ["base"],
    "chat": ["base", "jinja"],
    "device": ["base", "step", "tensor", "kernels"],
    "kv": ["base"],
    "model": ["base", "step", "tensor", "device", "format", "kv"],
    "sampling": ["base"],
    "engine": ["base", "step", "kv", "sampling"],
    "packed": ["base"],
    "backend": ["base", "packed", "net", "fields", "step", "tensor", "format", "device", "kv", "model", "sampling", "engine"],
    "store": ["base", "format"],
    "hub": ["base", "net", "format", "store"],
    "llm": ["base", "fields", "tensor", "format", "tokenizer", "chat", "device", "kv", "model", "sampling", "engine",
            "backend", "store", "hub"],
    # Our own first users: the public headers, base for small things, and the table of fields.
    "server": ["base", "fields", "binding"],
    "client": ["base", "net", "fields"],
    "cli": ["base", "fields"],
    "library": [],
}

# Tests may also reach for these, to make models and requests to test with.
TEST_EXTRA = {
    "server": ["llm"],
    "client": ["llm", "server"],
    "llm": ["server"],
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
DEPS = re.compile(r"openllm_layer\((\w+)[^)]*?\bDEPS\b([^)]*?)(?:\bLIBS\b|\bTEST_PARTS\b|\))", re.DOTALL)
STANDARD = re.compile(r"[a-z_]+")


def find_cycle(table):
    """The nodes of one cycle, the first one again at the end; None when there is none."""
    done = set()

    def visit(node, path):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        for below in table[node]:
            cycle = visit(below, path + [node])
            if cycle:
                return cycle
        done.add(node)
        return None

    for node in table:
        cycle = visit(node, [])
        if cycle:
            return cycle
    return None


def is_test(path):
    return path.stem.endswith("_test") or path.name.startswith("test_")


def allowed_for(layer, path):
    allowed = {layer, "openllm", *LAYERS[layer]}
    if is_test(path):
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


def include_graph(root):
    """File below src -> the files below src that it includes, both as they are written in an include."""
    src = root / "src"
    texts = {path.relative_to(src).as_posix(): path.read_text(encoding="utf-8")
             for path in sorted(src.rglob("*")) if path.suffix in (".h", ".cc", ".inc")}
    return {name: [match.group(2) for match in INCLUDE.finditer(text) if match.group(2) in texts]
            for name, text in texts.items()}


def subfolder_of(name, depth):
    """The folder of a file that is `depth` folders below src; None for files above that."""
    parts = name.split("/")
    return "/".join(parts[:depth]) if len(parts) > depth else None


def reached_subfolders(name, depth, graph, seen):
    """The folders that a file includes beside its own, right away or through files of the folder around them."""
    around = subfolder_of(name, depth - 1)
    for target in graph[name]:
        if subfolder_of(target, depth - 1) != around:
            continue
        subfolder = subfolder_of(target, depth)
        if subfolder:
            yield subfolder
        elif target not in seen:
            seen.add(target)
            yield from reached_subfolders(target, depth, graph, seen)


def subfolder_graph(graph, depth):
    """Folder -> the folders beside it that its files include. The files right in the folder around them are its face and
    its registry: they may stand below some of the folders and above others. Tests may look at everything."""
    subfolders = {}
    for name in graph:
        subfolder = subfolder_of(name, depth)
        if subfolder:
            reached = subfolders.setdefault(subfolder, set())
            if not is_test(Path(name)):
                reached.update(reached_subfolders(name, depth, graph, set()))
                reached.discard(subfolder)
    return {subfolder: sorted(reached) for subfolder, reached in sorted(subfolders.items())}


def check_cycles(root):
    graph = include_graph(root)
    cycle = find_cycle(graph)
    if cycle:
        yield "files include each other in a circle: " + " -> ".join("src/" + name for name in cycle)
    deepest = max((name.count("/") for name in graph), default=0)
    for depth in range(2, deepest + 1):  # below the layers, which have their table
        cycle = find_cycle(subfolder_graph(graph, depth))
        if cycle:
            yield "subfolders include each other in a circle: " + " -> ".join("src/" + name for name in cycle)


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
    for check in (check_sources, check_cycles, check_links, check_public_headers):
        problems += check(root)
    for problem in problems:
        print(problem)
    if not problems:
        print("layers: in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
