// clang-format off: simd.h must come before the kernels written over it.
#include "kernels/avx512/simd.h"
#include "kernels/common/attention.h"
#include "kernels/common/dense.h"
#include "kernels/common/math.h"
#include "kernels/common/quant.h"
#include "kernels/common/table.h"
#include "kernels/isa_tables.h"
// clang-format on

namespace openllm::kernels {

extern const Kernels kAvx512Kernels = make_table("avx512");

}  // namespace openllm::kernels
