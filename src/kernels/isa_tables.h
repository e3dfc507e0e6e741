#pragma once

#include "kernels/kernels.h"

namespace openllm::kernels {

extern const Kernels kPortableKernels;
#if defined(OPENLLM_X86)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace openllm::kernels
