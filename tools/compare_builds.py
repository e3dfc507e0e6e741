#!/usr/bin/env python3
"""Compares the answers of two builds of the program, byte by byte.

    tools/compare_builds.py OLD NEW MODEL...

OLD and NEW are `openllm` programs, MODEL a folder, a .gguf file or a name in the store. Each model answers prompts of
several lengths, greedily and sampled with a seed, with keys and values kept in f32. Prints what differs; the exit status
is 1 then. What is to be equal: token ids, text, logprobs, reasons. For changes that must not change numbers.
"""

import json
import subprocess
import sys

GREEDY = ["--temperature", "0", "--max-new-tokens", "20"]
SAMPLED = ["--temperature", "0.9", "--top-k", "40", "--top-p", "0.95", "--repetition-penalty", "1.1", "--seed", "7",
           "--max-new-tokens", "20"]


def answer(program, model, prompt, options):
    ids = ",".join(str(i) for i in prompt)
    command = [program, "run", model, "--prompt-ids", ids, "--json", "--ignore-eos", "--logprobs", "3", "--kv-dtype", "f32",
               "--request-id", "compare"] + options
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"status {done.returncode}: {done.stderr.strip()}"
    return done.stdout


def prompts():
    for length in (1, 7, 40):
        yield [(i * 7 + length) % 60 + 3 for i in range(length)]


def parse(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def common(old, new):
    """`new` with only the members of `old`: a build may tell more."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: common(old[key], new[key]) for key in old if key in new}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [common(a, b) for a, b in zip(old, new)]
    return new


def main():
    if len(sys.argv) < 4:
        print(__doc__.strip().splitlines()[2].strip(), file=sys.stderr)
        return 2
    old_program, new_program, models = sys.argv[1], sys.argv[2], sys.argv[3:]
    n_different = n_compared = n_refused = 0
    for model in models:
        for prompt in prompts():
            for name, options in (("greedy", GREEDY), ("sampled", SAMPLED)):
                old = parse(answer(old_program, model, prompt, options))
                new = parse(answer(new_program, model, prompt, options))
                n_compared += 1
                n_refused += isinstance(old, str)
                if old == common(old, new):
                    continue
                n_different += 1
                print(f"{model}: prompt of {len(prompt)}, {name}: differs\n  old {old}\n  new {new}")
    print(f"{n_compared} answers of {len(models)} models compared, {n_different} differ, {n_refused} were refusals")
    return 1 if n_different or n_compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
