#pragma once

#include "kernels/kernels.h"

namespace openllm::kernels {

extern const Kernels kPortableKernels;
#if defined(OPENLLM_X86)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
void linear_avx512_bf16(const LinearArgs* args);
void to_bf16_avx512_bf16(const float* x, std::int64_t k, std::uint16_t* out);
void linear_bf16_avx512_amx(const LinearArgs* args);
void split_bf16_avx512_amx(const float* x, std::int64_t k, std::uint16_t* out);
#endif

}  // namespace openllm::kernels
