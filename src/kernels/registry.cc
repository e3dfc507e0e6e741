#include <cstring>

#if defined(OPENLLM_X86)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "kernels/isa_tables.h"

namespace openllm::kernels {

namespace {

#if defined(OPENLLM_X86)
bool has_avx2() noexcept {
  // F16C is older than AVX2, and clang 14 has no name for it here.
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

bool has_avx512() noexcept {
  return has_avx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

bool has_avx512_bf16() noexcept {
  return has_avx512() && __builtin_cpu_supports("avx512bf16") != 0;
}

/// Linux gives a process the tiles' registers when it asks for them; before 5.16 it has none.
bool may_use_tiles() noexcept {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

/// Tiles and their products of BF16. Compilers have no name for them yet.
bool has_avx512_amx() noexcept {
  if (!has_avx512_bf16()) return false;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kNeeded = 1U << 22U | 1U << 24U;
  static const bool kMayUse = may_use_tiles();
  return (d & kNeeded) == kNeeded && kMayUse;
}

const Kernels& avx512_bf16_kernels() noexcept {
  static const Kernels kernels = [] {
    Kernels all = kAvx512Kernels;
    all.name = "avx512_bf16";
    all.linear_bf16 = linear_avx512_bf16;
    all.to_bf16 = to_bf16_avx512_bf16;
    return all;
  }();
  return kernels;
}

const Kernels& avx512_amx_kernels() noexcept {
  static const Kernels kernels = [] {
    Kernels all = avx512_bf16_kernels();
    all.name = "avx512_amx";
    all.linear_bf16 = linear_bf16_avx512_amx;
    all.split_bf16 = split_bf16_avx512_amx;
    return all;
  }();
  return kernels;
}
#endif

}  // namespace

std::size_t list_kernels(const Kernels** out, std::size_t capacity) noexcept {
  std::size_t n = 0;
  const auto add = [&](const Kernels& kernels) {
    if (n < capacity) out[n++] = &kernels;
  };
#if defined(OPENLLM_X86)
  __builtin_cpu_init();
  if (has_avx512_amx()) add(avx512_amx_kernels());
  if (has_avx512_bf16()) add(avx512_bf16_kernels());
  if (has_avx512()) add(kAvx512Kernels);
  if (has_avx2()) add(kAvx2Kernels);
#endif
  add(kPortableKernels);
  return n;
}

const Kernels* find_kernels(const char* name) noexcept {
  const Kernels* all[kMaxKernels] = {};
  const std::size_t n = list_kernels(all, kMaxKernels);
  if (name[0] == '\0') return all[0];
  for (std::size_t i = 0; i < n; ++i) {
    if (std::strcmp(all[i]->name, name) == 0) return all[i];
  }
  return nullptr;
}

}  // namespace openllm::kernels
