// Speed of the cpu device's products, alone: GB/s of weights for few rows, GOP/s for many, beside
// the machine's limits measured in the same run. Usage: kernel_bench [threads] [isa] [MB of
// weights, default 160: more than the caches hold] [fast: round activations once]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/machine_speed.h"
#include "base/rng.h"
#include "device/cpu/cpu_device.h"
#include "device/device.h"
#include "tensor/dtype.h"

namespace {

using openllm::tensor::DType;
namespace device = openllm::device;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Best time of a call, over at least five calls and `seconds`.
template <typename Call>
double best_time(Call call, double seconds = 0.15) {
  double best = 1e9;
  const double end = now() + seconds;
  for (int i = 0; i < 5 || now() < end; ++i) {
    const double start = now();
    call();
    best = std::min(best, now() - start);
  }
  return best;
}

std::vector<std::byte> random_bytes(DType type, std::int64_t n) {
  std::vector<std::byte> bytes(openllm::tensor::byte_size(type, static_cast<std::size_t>(n)));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    // Bytes of 32 to 63 give neither infinite nor denormal numbers in any format.
    bytes[i] = static_cast<std::byte>(0x20U | (openllm::base::mix64(i) & 0x3FU));
  }
  return bytes;
}

struct Case {
  DType type;
  std::int64_t out;
  std::int64_t in;
};

/// Enough copies that every call reads from memory, not from a cache.
std::vector<std::unique_ptr<device::Weight>> make_weights(device::Device& dev, const Case& c,
                                                          std::size_t min_bytes) {
  const auto bytes = random_bytes(c.type, c.out * c.in);
  const std::size_t n = min_bytes / bytes.size() + 1;
  std::vector<std::unique_ptr<device::Weight>> weights;
  for (std::size_t i = 0; i < n; ++i) {
    device::WeightSource source;
    source.parts.push_back({{c.type, {c.out, c.in}, bytes}, "bench"});
    weights.push_back(dev.upload(source, device::WeightRole::kLinear));
  }
  return weights;
}

void run_case(device::Device& dev, const Case& c, const openllm::base::MachineSpeed& machine,
              std::size_t min_bytes) {
  const auto weights = make_weights(dev, c, min_bytes);
  const auto buffer = dev.allocate(static_cast<std::size_t>(512 * (c.in + c.out)) * sizeof(float));
  auto* const values = static_cast<float*>(buffer->data());
  for (std::int64_t i = 0; i < 512 * c.in; ++i) {
    values[i] =
        static_cast<float>(openllm::base::random_unit(1, 2, static_cast<std::uint64_t>(i)) - 0.5);
  }
  std::printf("%-7s %6ld x %-5ld", std::string(openllm::tensor::info(c.type).name).c_str(), c.out,
              c.in);
  for (const std::int64_t rows : {1, 2, 4, 8, 32, 512}) {
    const device::Tensor x{values, rows, c.in, c.in};
    const device::Tensor out{values + 512 * c.in, rows, c.out, c.out};
    const std::size_t n = rows > 8 ? 1 : weights.size();
    const double seconds = best_time([&] {
      for (std::size_t i = 0; i < n; ++i) dev.linear(*weights[i], nullptr, {}, x, out);
    });
    const double bytes = static_cast<double>(weights[0]->bytes() * n);
    const double ops = 2.0 * static_cast<double>(rows * c.out * c.in) * static_cast<double>(n);
    if (rows <= 8) {
      std::printf(" | %2ld: %5.1f GB/s %3.0f%%", rows, bytes / seconds * 1e-9,
                  100.0 * bytes / seconds * 1e-9 / machine.read_gb_per_s);
    } else {
      const bool plain = openllm::tensor::info(c.type).block_elems == 1;
      const double peak = plain ? machine.f32_gflop_per_s : machine.int8_gop_per_s;
      std::printf(" | %3ld: %6.0f GOP/s %3.0f%%", rows, ops / seconds * 1e-9,
                  peak > 0 ? 100.0 * ops / seconds * 1e-9 / peak : 0.0);
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

/// Attention of the last token of one sequence, and of its last rows as of a prompt: 30 layers of 9
/// heads on 3 of 64, so that the keys and values of a long context fit no cache.
void run_attention(device::Device& dev, device::KvType type, int context,
                   const openllm::base::MachineSpeed& machine) {
  constexpr int kLayers = 30;
  constexpr const char* kNames[] = {"f32", "f16", "int8", "int16"};
  const device::AttentionSpec spec{9, 3, 64, 64, 0.125F};
  const int n_blocks = context / 32 + 1;
  device::KvCacheSpec cache_spec{32, type, {}, {n_blocks}};
  for (int i = 0; i < kLayers; ++i) cache_spec.layers.push_back({0, 3, 64, 64});
  const auto cache = dev.allocate_kv(cache_spec);
  const auto buffer = dev.allocate(512 * 1024 * sizeof(float));
  auto* const values = static_cast<float*>(buffer->data());
  for (std::int64_t i = 0; i < 512 * 1024; ++i)
    values[i] =
        static_cast<float>(openllm::base::random_unit(1, 2, static_cast<std::uint64_t>(i)) - 0.5);
  openllm::step::Step step;
  step.block_tables.resize(1);
  for (int b = 0; b < n_blocks; ++b) step.block_tables[0].ids.push_back(b);
  step.block_tables[0].begin = {0, n_blocks};
  const auto run = [&](int past, int n, bool write) {
    step.sequences = {{0, n, past}};
    step.token_ids.assign(static_cast<std::size_t>(n), 0);
    step.positions.assign(static_cast<std::size_t>(n), past);
    const device::Tensor q{values, n, 576, 576};
    const device::Tensor kv{values, n, 192, 192};
    dev.begin_step(step);
    for (int layer = 0; layer < kLayers; ++layer) {
      if (write) dev.write_kv(*cache, layer, kv, kv);
      if (!write) dev.attention(spec, *cache, layer, q, {values + 300 * 1024, n, 576, 576});
    }
    dev.finish_step();
  };
  for (int past = 0; past < context; past += 256) run(past, std::min(256, context - past), true);
  const double seconds = best_time([&] { run(context - 1, 1, false); }, 1.0);
  const double bytes =
      double{kLayers} * 6 * static_cast<double>(device::kv_head_bytes(type, 64)) * context;
  std::printf("attention %-5s %6d tokens: %6.2f ms, %5.1f GB/s %3.0f%%",
              kNames[static_cast<int>(type)], context, seconds * 1e3, bytes / seconds * 1e-9,
              100.0 * bytes / seconds * 1e-9 / machine.read_gb_per_s);
  for (const int rows : {32, 256}) {
    const double prompt_s = best_time([&] { run(context - rows, rows, false); }, 1.0);
    const double flop = double{kLayers} * 9 * 64 * 4 * rows * (context - (rows - 1) * 0.5);
    std::printf(" | %3d rows: %4.0f GFLOP/s %3.0f%%", rows, flop / prompt_s * 1e-9,
                100.0 * flop / prompt_s * 1e-9 / machine.f32_gflop_per_s);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && argv[1][0] == '-') {
    std::printf("usage: kernel_bench [THREADS] [ISA] [MIB OF WEIGHTS PER CASE] [fast]\n");
    return 0;
  }
  const int n_threads = argc > 1 ? std::atoi(argv[1]) : 0;
  const auto dev = device::make_cpu_device(
      {n_threads, argc > 2 ? argv[2] : "", argc > 4 && std::string(argv[4]) == "fast"});
  const openllm::base::MachineSpeed machine =
      openllm::base::measure_machine(n_threads > 0 ? n_threads : 2);
  std::printf("%s: read %.1f GB/s, F32 %.0f GFLOP/s, INT8 %.0f GOP/s\n", dev->isa().c_str(),
              machine.read_gb_per_s, machine.f32_gflop_per_s, machine.int8_gop_per_s);
  const std::size_t min_bytes = static_cast<std::size_t>(argc > 3 ? std::atoi(argv[3]) : 160)
                                << 20U;
  for (const int context : {512, 8000}) {
    for (const auto type : {device::KvType::kF32, device::KvType::kF16, device::KvType::kInt16,
                            device::KvType::kInt8}) {
      run_attention(*dev, type, context, machine);
    }
  }
  const openllm::step::Step step;  // the operations that are timed ask nothing of it
  dev->begin_step(step);
  const std::vector<Case> cases = {
      {DType::kQ4_1, 3072, 576},  {DType::kQ4_1, 576, 1536},  {DType::kQ4_1, 960, 576},
      {DType::kQ8_0, 49152, 576}, {DType::kQ5_0, 4096, 640},  {DType::kQ4_K, 640, 2048},
      {DType::kQ6_K, 640, 2048},  {DType::kQ4_0, 4096, 4096}, {DType::kF32, 3072, 576},
      {DType::kBF16, 3072, 576},  {DType::kF16, 3072, 576},
  };
  for (const Case& c : cases) run_case(*dev, c, machine, min_bytes);
  return 0;
}
