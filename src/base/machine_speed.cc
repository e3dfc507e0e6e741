#include "base/machine_speed.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/start_thread.h"

namespace openllm::base {
namespace {

using Clock = std::chrono::steady_clock;

/// Threads that are told to stop, and waited for, however the scope is left.
class Threads {
 public:
  explicit Threads(std::atomic<bool>& stop) : stop_(stop) {}
  ~Threads() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  void start(std::function<void()> body) {
    threads_.reserve(threads_.size() + 1);
    threads_.push_back(start_thread(std::move(body)));
  }

 private:
  std::atomic<bool>& stop_;
  std::vector<std::thread> threads_{};
};

/// Calls work(thread) on every thread again and again for about `seconds`; returns work units per
/// second, all together.
template <typename Work>
double rate(int n_threads, double seconds, const Work& work) {
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> units{0};
  const auto begin = Clock::now();
  {
    Threads threads(stop);
    for (int t = 0; t < n_threads; ++t) {
      threads.start([&stop, &units, &work, t] {
        while (!stop.load(std::memory_order_relaxed)) units += work(t);
      });
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }
  return static_cast<double>(units) / std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Keeps a result alive without storing it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

/// Plain words, which the compiler reads as wide as every CPU can.
std::int64_t read_words(const std::byte* data, std::size_t bytes) {
  std::uint64_t sum[8] = {};
  const auto* words = reinterpret_cast<const std::uint64_t*>(data);
  for (std::size_t i = 0; i + 8 <= bytes / sizeof(std::uint64_t); i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sum[k] ^= words[i + k];
  }
  keep(sum);
  return static_cast<std::int64_t>(bytes);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::int64_t read_avx2(const std::byte* data, std::size_t bytes) {
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

bool has_avx2() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

std::int64_t read_part(const std::byte* data, std::size_t bytes) {
  return has_avx2() ? read_avx2(data, bytes) : read_words(data, bytes);
}

void measure_arithmetic(MachineSpeed& speed, int n_threads, double seconds) {
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0;
  if (!avx512 && !has_avx2()) return;
  speed.f32_gflop_per_s = 1e-9 * rate(n_threads, seconds, [avx512](int /*thread*/) {
                            return avx512 ? fma_512() : fma_256();
                          });
  if (avx512 && __builtin_cpu_supports("avx512vnni") != 0) {
    speed.int8_gop_per_s =
        1e-9 * rate(n_threads, seconds, [](int /*thread*/) { return vnni_512(); });
  }
}

__attribute__((target("avx512f,avx512bf16"))) std::int64_t bf16_512() {
  __m512 sum[kChains] = {};
  for (auto& s : sum) asm volatile("" : "+v"(s));  // or equal chains would be computed once
  __m512bh a = {};
  for (int i = 0; i < kRepeats; ++i) {
    asm volatile("" : "+v"(a));
    for (auto& s : sum) s = _mm512_dpbf16_ps(s, a, a);
  }
  keep(sum);
  return std::int64_t{kRepeats} * kChains * 32 * 2;
}

/// Operand of ldtilecfg: palette 1, eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t n_rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr std::int64_t kTileProducts = 16 * 16 * 64;  // of bytes; half as many of BF16

__attribute__((target("amx-tile,amx-int8"))) std::int64_t int8_tiles() {
  const TileShapes shapes;
  asm volatile("" : : "m"(shapes) : "memory");
  _tile_loadconfig(&shapes);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int i = 0; i < kRepeats; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return kRepeats * 4 * kTileProducts * 2;
}

__attribute__((target("amx-tile,amx-bf16"))) std::int64_t bf16_tiles() {
  const TileShapes shapes;
  asm volatile("" : : "m"(shapes) : "memory");
  _tile_loadconfig(&shapes);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int i = 0; i < kRepeats; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return kRepeats * 4 * kTileProducts;
}

/// Tiles with both products; Linux gives a process their registers when it asks for them.
bool has_tiles() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  constexpr unsigned kNeeded = 1U << 22U | 1U << 24U | 1U << 25U;  // BF16, tiles, INT8
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kNeeded) != kNeeded) return false;
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

void measure_narrow(NarrowPeaks& peaks, int n_threads, double seconds) {
  const auto peak = [&](std::int64_t (*work)()) {
    return 1e-9 * rate(n_threads, seconds, [work](int /*thread*/) { return work(); });
  };
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bf16") != 0)
    peaks.bf16_gflop_per_s = peak(bf16_512);
  if (!has_tiles()) return;
  peaks.int8_tiles_gop_per_s = peak(int8_tiles);
  peaks.bf16_tiles_gflop_per_s = peak(bf16_tiles);
}
#else
void measure_narrow(NarrowPeaks& /*peaks*/, int /*n_threads*/, double /*seconds*/) {}
std::int64_t read_part(const std::byte* data, std::size_t bytes) { return read_words(data, bytes); }
void measure_arithmetic(MachineSpeed& /*speed*/, int /*n_threads*/, double /*seconds*/) {}
#endif

}  // namespace

MachineSpeed measure_machine(int n_threads, double seconds) {
  MachineSpeed speed;
  constexpr std::size_t kBytes = std::size_t{256} << 20U;
  constexpr std::size_t kChunk = std::size_t{1} << 20U;
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  const std::unique_ptr<std::byte, Free> memory(
      static_cast<std::byte*>(std::aligned_alloc(4096, kBytes)));
  if (memory == nullptr)
    fail(ErrorCode::kResourceExhausted, "not enough memory to measure how fast it is read");
  std::memset(memory.get(), 1, kBytes);
  std::atomic<std::size_t> next{0};
  speed.read_gb_per_s = 1e-9 * rate(n_threads, seconds, [&](int /*thread*/) {
                          return read_part(memory.get() + (next++ * kChunk) % kBytes, kChunk);
                        });
  measure_arithmetic(speed, n_threads, seconds);
  return speed;
}

NarrowPeaks measure_narrow_peaks(int n_threads, double seconds) {
  NarrowPeaks peaks;
  measure_narrow(peaks, n_threads, seconds);
  return peaks;
}

std::string cpu_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  std::string line;
  while (std::getline(cpuinfo, line)) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace openllm::base
