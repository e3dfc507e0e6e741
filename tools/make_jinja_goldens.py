#!/usr/bin/env python3
"""Writes tests/data/jinja: what Jinja2, set up as transformers sets it up, makes of templates.

    tools/make_jinja_goldens.py [FOLDER_WITH_TEMPLATES]

expressions.json holds small cases (template, context, output or error); the folder, if given, is one of
real templates (*.jinja) with contexts/*.json, of which those named in KEPT are copied.
"""
import copy
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils

from jinja_golden_cases import CASES, CONTEXT, CONVERSATIONS

# The real templates that stay in the repository, under short names.
KEPT = {
    "SmolLM2": None,
    "Llama-3.1": "meta-llama-Llama-3.1-8B-Instruct.jinja",
    "Llama-3.2": "meta-llama-Llama-3.2-3B-Instruct.jinja",
    "Qwen2.5": "Qwen-Qwen2.5-7B-Instruct.jinja",
    "Qwen3": "Qwen-Qwen3-0.6B.jinja",
    "Qwen3-Coder": "Qwen3-Coder.jinja",
    "Gemma-2": "google-gemma-2-2b-it.jinja",
    "Gemma-3": None,
    "Gemma-4": "google-gemma-4-31B-it-interleaved.jinja",
    "Mistral-7B-v0.3": None,
    "Mistral-Nemo": "mistralai-Mistral-Nemo-Instruct-2407.jinja",
    "Mistral-Small-3.2": "Mistral-Small-3.2-24B-Instruct-2506.jinja",
    "DeepSeek-V3.1": "deepseek-ai-DeepSeek-V3.1.jinja",
    "SmolLM3": "HuggingFaceTB-SmolLM3-3B.jinja",
    "Command-R7B": "CohereForAI-c4ai-command-r7b-12-2024-tool_use.jinja",
    "Phi-3.5": "microsoft-Phi-3.5-mini-instruct.jinja",
}

# strftime_now gives the format back, so that no date gets into the goldens.
FIXED_TIME = "{% macro strftime_now(f) %}{{ f }}{% endmacro %}"


def render(template, context):
    compiled = chat_template_utils._compile_jinja_template(template)
    return compiled.render(**copy.deepcopy(context))


def case(template, context):
    try:
        return {"output": render(template, context)}
    except Exception as error:  # every error is a golden too
        return {"error": str(error) or type(error).__name__}


def expressions():
    rows = []
    for template in CASES:
        row = {"template": template}
        row.update(case(template, CONTEXT))
        if " at 0x" in row.get("output", ""):
            raise SystemExit("not reproducible: " + template)
        rows.append(row)
    return {"context": CONTEXT, "cases": rows}


def templates(out, source):
    rows = []
    for name, file in KEPT.items():
        path = out / "templates" / (name + ".jinja")
        if source and file:
            path.write_text((source / file).read_text())
        text = FIXED_TIME + path.read_text()
        for label, context in CONVERSATIONS.items():
            row = {"template": name, "conversation": label}
            row.update(case(text, context))
            rows.append(row)
    return {"prefix": FIXED_TIME, "conversations": CONVERSATIONS, "cases": rows}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n")
    print(path.name, len(value["cases"]), "cases,", path.stat().st_size, "bytes")


def main():
    out = pathlib.Path(__file__).resolve().parent.parent / "tests/data/jinja"
    (out / "templates").mkdir(parents=True, exist_ok=True)
    source = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else None
    write(out / "expressions.json", expressions())
    write(out / "templates.json", templates(out, source))
    return 0


if __name__ == "__main__":
    sys.exit(main())
