#!/usr/bin/env python3
"""Writes the table of goldens in docs/models.md: which tiny model was compared with what, and the largest
difference of a logit, or of a hidden state where the model is an encoder.

    build/release/bin/model_test --gtest_filter='*LogitsOfEveryPosition*:*HiddenStates*' --gtest_output=json:golden.json
    tools/make_golden_table.py golden.json            writes the table
    tools/make_golden_table.py golden.json --check    fails where it names other models than were compared

The numbers are those of the machine that the test ran on; others differ in the last digits.
"""
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOC = ROOT / "docs/models.md"
BEGIN, END = "<!-- goldens: made by tools/make_golden_table.py -->\n", "<!-- end of goldens -->\n"


def properties(report):
    """(model, device) -> largest difference of a logit"""
    found = {}
    for suite in report["testsuites"]:
        for test in suite["testsuite"]:
            if "difference" in test:
                found[test["model"], test["device"]] = float(test["difference"])
    return found


def oracle_of(model):
    """The library whose logits the golden has, from the configuration that it wrote."""
    paths = [ROOT / "tests/data" / kind / model.split("/")[0] / "config.json" for kind in ("models", "encoders")]
    config = next((json.loads(path.read_text()) for path in paths if path.exists()), {})
    version = config.get("transformers_version")
    return config.get("model_type", "?"), "transformers" + (" " + version if version else "")


def table(found):
    models = sorted({model for model, _ in found})
    lines = ["| tiny model | `model_type` | file | compared with | `reference` | `cpu` |\n", "| --- | --- | --- | --- | --- | --- |\n"]
    for model in models:
        kind, oracle = oracle_of(model)
        file = "GGUF" if model.endswith(".gguf") else "folder"
        numbers = ["%.1e" % found[model, device] if (model, device) in found else "" for device in ("reference", "cpu")]
        lines.append("| `%s` | `%s` | %s | %s | %s |\n" % (model, kind, file, oracle, " | ".join(numbers)))
    return "".join(lines)


def main(arguments):
    check = "--check" in arguments
    paths = [a for a in arguments if a != "--check"]
    if len(paths) != 1:
        sys.exit(__doc__)
    found = properties(json.loads(Path(paths[0]).read_text()))
    if not found:
        sys.exit("%s: no differences in it (expected the report of LogitsOfEveryPosition)" % paths[0])
    text = DOC.read_text()
    head, rest = text.split(BEGIN)
    old, tail = rest.split(END)
    new = table(found)
    if check:
        names = [[line.split("|")[1] for line in t.splitlines()] for t in (old, new)]
        sys.exit(0 if names[0] == names[1] else "docs/models.md: the table of goldens names other models; make it anew")
    DOC.write_text(head + BEGIN + new + END + tail)


main(sys.argv[1:])
