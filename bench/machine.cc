#include "machine.h"

#include <immintrin.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

namespace openllm::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Calls work(thread) on every thread again and again for about `seconds`; returns work units per
/// second, all together.
template <typename Work>
double rate(int n_threads, double seconds, const Work& work) {
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> units{0};
  std::vector<std::jthread> threads;
  const auto begin = Clock::now();
  for (int t = 0; t < n_threads; ++t) {
    threads.emplace_back([&, t] {
      while (!stop.load(std::memory_order_relaxed)) units += work(t);
    });
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  threads.clear();
  return static_cast<double>(units) / std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Keeps a result alive without storing it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

__attribute__((target("avx2"))) std::int64_t read_part(const std::byte* data, std::size_t bytes) {
  __m256i sum[4] = {};
  for (std::size_t i = 0; i + 128 <= bytes; i += 128) {
    for (std::size_t k = 0; k < 4; ++k) {
      const auto* at = reinterpret_cast<const __m256i*>(data + i + k * 32);
      sum[k] = _mm256_xor_si256(sum[k], _mm256_load_si256(at));
    }
  }
  keep(sum);
  return static_cast<std::int64_t>(bytes);
}

constexpr int kRepeats = 4096;
constexpr int kChains = 12;  // independent accumulators: more than latency x ports

__attribute__((target("avx512f"))) std::int64_t fma_512() {
  __m512 sum[kChains] = {};
  for (auto& s : sum) asm volatile("" : "+v"(s));  // or equal chains would be computed once
  __m512 a = _mm512_set1_ps(1.0F);
  for (int i = 0; i < kRepeats; ++i) {
    asm volatile("" : "+v"(a));
    for (auto& s : sum) s = _mm512_fmadd_ps(a, a, s);
  }
  keep(sum);
  return std::int64_t{kRepeats} * kChains * 16 * 2;
}

__attribute__((target("avx2,fma"))) std::int64_t fma_256() {
  __m256 sum[kChains] = {};
  for (auto& s : sum) asm volatile("" : "+x"(s));  // or equal chains would be computed once
  __m256 a = _mm256_set1_ps(1.0F);
  for (int i = 0; i < kRepeats; ++i) {
    asm volatile("" : "+x"(a));
    for (auto& s : sum) s = _mm256_fmadd_ps(a, a, s);
  }
  keep(sum);
  return std::int64_t{kRepeats} * kChains * 8 * 2;
}

__attribute__((target("avx512f,avx512vnni"))) std::int64_t vnni_512() {
  __m512i sum[kChains] = {};
  for (auto& s : sum) asm volatile("" : "+v"(s));  // or equal chains would be computed once
  __m512i a = _mm512_set1_epi8(1);
  for (int i = 0; i < kRepeats; ++i) {
    asm volatile("" : "+v"(a));
    for (auto& s : sum) s = _mm512_dpbusd_epi32(s, a, a);
  }
  keep(sum);
  return std::int64_t{kRepeats} * kChains * 64 * 2;
}

}  // namespace

MachineLimits measure_machine(int n_threads, double seconds) {
  MachineLimits limits;
  constexpr std::size_t kBytes = std::size_t{256} << 20U;
  constexpr std::size_t kChunk = std::size_t{1} << 20U;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  const std::unique_ptr<std::byte, Free> memory(
      static_cast<std::byte*>(std::aligned_alloc(4096, kBytes)));
  std::memset(memory.get(), 1, kBytes);
  std::atomic<std::size_t> next{0};
  limits.read_gb_per_s = 1e-9 * rate(n_threads, seconds, [&](int /*thread*/) {
                           return read_part(memory.get() + (next++ * kChunk) % kBytes, kChunk);
                         });
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0;
  limits.f32_gflop_per_s = 1e-9 * rate(n_threads, seconds, [avx512](int /*thread*/) {
                             return avx512 ? fma_512() : fma_256();
                           });
  if (avx512 && __builtin_cpu_supports("avx512vnni") != 0) {
    limits.int8_gop_per_s =
        1e-9 * rate(n_threads, seconds, [](int /*thread*/) { return vnni_512(); });
  }
  return limits;
}

std::string cpu_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line;
  while (std::getline(cpuinfo, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace openllm::bench
