#!/usr/bin/env python3
"""Writes tiny models of tests/data/models as GGUF, by the converter of llama.cpp.

    convert_tiny_models.py LLAMA_CPP_FOLDER [NAME...]

Each becomes NAME/f32/model.gguf (or OUT/NAME.gguf with --out OUT) without a vocabulary, which the tiny models do not have.
What it computes is compared with the golden logits of the same folder, which transformers made; where GGUF has no place for
what a tiny model's configuration says, the file is of another configuration, for which f32/ has logits of its own. Needs
torch, transformers and what llama.cpp's requirements/ lists; llama.cpp's folder is of a release of 2026 or later.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

# Said otherwise for the file: members of config.json, None to leave them out.
CHANGES = {
    "cohere2": {"rotary_pct": 1.0},
    "dots1": {"sliding_window": None, "layer_types": None},
    "gpt-oss": {"swiglu_limit": 7.0},
    "olmoe": {"clip_qkv": None},
    "smollm3": {"no_rope_layers": [1, 1, 1, 0], "use_sliding_window": False, "layer_types": None},
    "starcoder2": {"sliding_window": None},
}

MODELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "models"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llama_cpp", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def without_vocabulary(model_class):
    """The converter's class, whose vocabulary is left out."""
    return type(model_class.__name__, (model_class,), {"model_arch": model_class.model_arch, "set_vocab": lambda self: None})


def convert(conversion, gguf, folder, target):
    hparams = conversion.ModelBase.load_hparams(folder, False)
    architecture = conversion.get_model_architecture(hparams, conversion.ModelType.TEXT)
    model_class = without_vocabulary(conversion.get_model_class(architecture))
    target.parent.mkdir(parents=True, exist_ok=True)
    model_class(folder, gguf.LlamaFileType.ALL_F32, target).write()


def changed(folder, changes, target):
    """The model's folder with other members in its configuration."""
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (target / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    for path in folder.glob("*.safetensors"):
        (target / path.name).symlink_to(path)
    return target


def write_golden(folder, prompt, target):
    import torch
    import transformers
    from make_tiny_models import write_golden as write

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    write(model, prompt, target, "golden")


def write_gguf(conversion, gguf, name, target, has_golden):
    with tempfile.TemporaryDirectory() as scratch:
        folder = changed(MODELS / name, CHANGES.get(name, {}), Path(scratch))
        convert(conversion, gguf, folder, target)
        if has_golden and name in CHANGES:
            write_golden(folder, json.loads((MODELS / name / "golden.json").read_text())["prompt"], target.parent)


def main():
    args = arguments()
    sys.path[:0] = [str(args.llama_cpp), str(args.llama_cpp / "gguf-py")]
    import conversion
    import gguf

    names = args.names or sorted(path.name for path in MODELS.iterdir())
    for name in names:
        target = args.out / (name + ".gguf") if args.out else MODELS / name / "f32" / "model.gguf"
        try:
            write_gguf(conversion, gguf, name, target, args.out is None)
            print("%-24s %s" % (name, json.loads((MODELS / name / "config.json").read_text())["model_type"]))
        except Exception as error:
            print("%-24s %s: %s" % (name, type(error).__name__, str(error)[:150]), file=sys.stderr)
            target.unlink(missing_ok=True)


if __name__ == "__main__":
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error")
    main()
