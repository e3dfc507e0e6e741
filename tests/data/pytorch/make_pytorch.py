#!/usr/bin/env python3
"""Writes files of torch.save and what is in them. Needs torch, safetensors.

zip.bin and legacy.bin hold the same state dictionary, nested.bin has it below "state_dict" beside other things;
expected.safetensors has its tensors. hostile.bin would call os.system if it were executed, compressed.bin is a zip archive
whose entries are compressed.
"""

import collections
import os
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent


class Hostile:
    def __reduce__(self):
        return os.system, ("echo executed",)


def state():
    torch.manual_seed(7)
    table = torch.randn(4, 3)
    tensors = collections.OrderedDict()
    tensors["bf16"] = torch.randn(2, 3).bfloat16()
    tensors["bool"] = torch.tensor([True, False, True])
    tensors["f16"] = torch.randn(3).half()
    tensors["f64"] = torch.randn(2).double()
    tensors["i64"] = torch.tensor([[1, -2, 3]])
    tensors["int8"] = torch.tensor([-128, 5], dtype=torch.int8)
    tensors["none"] = torch.zeros(0, 3)
    tensors["part"] = table[1:3]
    tensors["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
    tensors["scalar"] = torch.tensor(2.5)
    tensors["table"] = table
    tensors["turned"] = table.t()
    tensors["u8"] = torch.arange(5, dtype=torch.uint8)
    return tensors


def main():
    tensors = state()
    torch.save(tensors, HERE / "zip.bin")
    torch.save(tensors, HERE / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": dict(tensors), "note": ["x", 1.5, None]}, HERE / "nested.bin")
    torch.save({"w": torch.zeros(1), "x": Hostile()}, HERE / "hostile.bin")
    torch.save({"w": torch.zeros(1), "step": 7}, HERE / "number.bin")
    torch.save({"w": torch.ones(2).to(torch.float8_e4m3fn)}, HERE / "float8.bin")
    with zipfile.ZipFile(HERE / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()},
              HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
