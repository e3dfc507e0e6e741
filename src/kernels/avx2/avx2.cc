// simd.h must come before the kernels written over it.
// clang-format off
#include "kernels/isa_tables.h"
#include "kernels/avx2/simd.h"
#include "kernels/common/tiles.h"
#include "kernels/common/math.h"
#include "kernels/common/dot_block.h"
#include "kernels/common/quant.h"
#include "kernels/common/rows.h"
#include "kernels/common/dense.h"
#include "kernels/common/attention.h"
#include "kernels/common/recurrences.h"
#include "kernels/common/table.h"
// clang-format on

namespace openllm::kernels {

extern const Kernels kAvx2Kernels = make_table("avx2");

}  // namespace openllm::kernels
