"""The models that are compared: demo models from the store, random weights in exact shapes, or files that are given."""
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = {"smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct", "gemma3": "google/gemma-3-270m"}
TITLES = {"smollm2": "SmolLM2-135M-Instruct Q4_1", "gemma3": "Gemma-3-270M Q4_K_M"}
DEFAULT = ("smollm2,gemma3,smollm2-135m:bf16,qwen3-0.6b:q4_k_m,qwen3-0.6b:q4_0,qwen3-0.6b:q8_0,qwen3-0.6b:bf16,"
           "llama-1b:q4_k_m,llama-8b:q4_k_m")
GGUF_TYPES = ("q4_k_m", "q4_0", "q8_0")


class Unavailable(Exception):
    """A model that cannot be had; the text says why."""


@dataclass
class Model:
    """`files`: by form, "gguf" or "folder"; engines take the form that they read."""

    name: str
    title: str
    files: dict = field(default_factory=dict)
    dense: bool = True
    large: bool = False  # many streams and long prompts would take minutes


def home():
    if os.environ.get("OPENLLM_HOME"):
        return os.environ["OPENLLM_HOME"]
    return os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "openllm")


def gguf_files_below(folder):
    return sorted(os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(".gguf"))


def demo_model(name):
    """From the store; fetched into it where it is not there."""
    folder = os.path.join(home(), "models", DEMO[name])
    if not gguf_files_below(folder):
        command = [sys.executable, os.path.join(ROOT, "scripts/fetch-model"), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise Unavailable(f"scripts/fetch-model {name}: {lines[-1]}")
    return Model(name, TITLES[name], {"gguf": gguf_files_below(folder)[-1]})


def make(python, shape, type_, path):
    """Once: a file that is there was made whole."""
    if os.path.exists(path):
        return path
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    unfinished = path + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    done = subprocess.run([python(), os.path.join(ROOT, "bench/random_model.py"), shape, type_, unfinished],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"bench/random_model.py {shape} {type_}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    os.rename(unfinished, path)
    return path


def random_model(name, folder, python):
    """SHAPE:TYPE; bf16 is made as a folder and as a GGUF file, since some engines read only one of them."""
    shape, _, type_ = name.partition(":")
    at = os.path.join(folder, shape)
    if type_ in GGUF_TYPES:
        files = {"gguf": make(python, shape, type_, f"{at}-{type_}.gguf")}
    elif type_ == "bf16":
        files = {"folder": make(python, shape, "bf16", f"{at}-bf16"), "gguf": make(python, shape, "bf16_gguf", f"{at}-bf16.gguf")}
    elif type_ == "gptq":
        files = {"folder": make(python, shape, "gptq", f"{at}-gptq")}
    else:
        raise Unavailable(f"type {type_ or 'missing'} (expected one of {', '.join(GGUF_TYPES)}, bf16, gptq after the colon)")
    return Model(name, f"{shape} {type_.upper()}, random weights", files, dense="moe" not in shape, large="8b" in shape)


def find(name, folder, python):
    """`python`: gives the path of a Python with numpy and gguf, when a model has to be made. Raises Unavailable."""
    if name in DEMO:
        return demo_model(name)
    if os.path.isdir(name):
        return Model(name, os.path.basename(os.path.normpath(name)), {"folder": name})
    if os.path.isfile(name):
        return Model(name, os.path.basename(name), {"gguf": name})
    if ":" not in name:
        raise Unavailable(f"no file, no folder, none of {', '.join(DEMO)}, and not SHAPE:TYPE of bench/random_model.py")
    return random_model(name, folder, python)
