#!/usr/bin/env python3
"""Writes src/tensor/quant/iq_grids.cc: the points that codes of ggml's IQ1, IQ2 and IQ3 types stand for.

Needs gguf. Points have 8 coordinates of 2 bits, or 4 of 3 bits, the first one lowest; what a coordinate stands for is in
src/tensor/quant/iq_quants.cc.
"""

from pathlib import Path

import gguf.quants as quants

OUT = Path(__file__).resolve().parent.parent / "src" / "tensor" / "quant" / "iq_grids.cc"
GRIDS = {"IQ1_S": "kIq1Grid", "IQ2_XXS": "kIq2XxsGrid", "IQ2_XS": "kIq2XsGrid", "IQ2_S": "kIq2SGrid",
         "IQ3_XXS": "kIq3XxsGrid", "IQ3_S": "kIq3SGrid"}


def points(kind):
    kind.init_grid()
    values = list(kind.grid_map)
    grid = kind.grid.reshape(kind.grid_shape)
    bits = 16 // grid.shape[1] if grid.shape[1] == 8 else 3
    return [sum(values.index(int(value)) << (bits * i) for i, value in enumerate(point)) for point in grid]


def main():
    lines = ["// Made by tools/make_iq_grids.py.", "", '#include "tensor/quant/iq_grids.h"', "",
             "namespace openllm::tensor::quant {", ""]
    for name, constant in GRIDS.items():
        all_points = points(getattr(quants, name))
        lines.append(f"const std::array<std::uint16_t, {len(all_points)}> {constant} = {{")
        text = [f"{point}," for point in all_points]
        line = "   "
        for item in text:
            if len(line) + len(item) + 1 > 98:
                lines.append(line)
                line = "   "
            line += " " + item
        lines += [line, "};", ""]
    lines.append("}  // namespace openllm::tensor::quant")
    OUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
