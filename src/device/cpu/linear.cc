#include <algorithm>

#include "base/error.h"
#include "device/cpu/cpu_device_impl.h"
#include "kernels/packing.h"

namespace openllm::device::cpu {

namespace {

// Rough speeds of one core, only to choose chunks: results do not depend on them.
constexpr double kBytesPerNs = 15;
constexpr double kMacsPerNs = 80;
constexpr double kChunkNs = 2000;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t round_to_even(std::int64_t k) { return (k + 1) / 2 * 2; }

/// Ranges of rows and tiles that one chunk of work has. `n_planes` of the activations, if the
/// weight is quantised.
struct ChunkSize {
  std::int64_t tiles = 0;
  std::int64_t rows = 0;
};
ChunkSize chunk_size(const kernels::PackedMatrix& matrix, std::int64_t n_rows, int n_planes,
                     int n_threads) {
  if (!kernels::is_quantised(matrix.format)) n_planes = 1;
  const std::int64_t n_tiles = ceil_div(matrix.n_rows, kernels::kTileRows);
  ChunkSize chunk;
  // Rows that stay in the second-level cache while the tiles of a chunk pass by.
  chunk.rows = ceil_div(n_rows, ceil_div(n_rows * n_planes, 256));
  const double macs = static_cast<double>(16 * matrix.k * chunk.rows * n_planes);
  const double tile_ns =
      std::max(static_cast<double>(matrix.tile_bytes) / kBytesPerNs, macs / kMacsPerNs);
  const auto worth = static_cast<std::int64_t>(kChunkNs / tile_ns) + 1;
  const std::int64_t fair = ceil_div(n_tiles, std::int64_t{6} * n_threads);
  const std::int64_t unit = 4;  // whole register blocks
  chunk.tiles = ceil_div(std::clamp(std::max(worth, fair), std::int64_t{1}, n_tiles), unit) * unit;
  if (chunk.rows * n_planes > 4 && worth <= 2) {
    chunk.tiles = std::max<std::int64_t>(2, fair / 2 * 2);
  }
  return chunk;
}

}  // namespace

CpuDevice::Forms CpuDevice::forms_of(const CpuWeight& weight) const noexcept {
  Forms forms;
  forms.order = weight.column_order();
  for (const Segment& segment : weight.segments()) {
    forms.quantised |= kernels::is_quantised(segment.matrix.format);
    forms.bf16 |= takes_bf16(segment.matrix.format);
  }
  return forms;
}

void CpuDevice::convert(Forms forms, Tensor x, std::int64_t row) {
  const float* from = row_of(x, row);
  if (forms.bf16) {
    auto* rows = reinterpret_cast<std::uint16_t*>(bf16_memory_.data());
    rows += row * n_bf16_planes() * round_to_even(x.cols);
    if (n_bf16_planes() > 1) {
      kernels_.split_bf16(from, x.cols, rows);
    } else {
      kernels_.to_bf16(from, x.cols, rows);
    }
  }
  if (!forms.quantised) return;
  if (forms.order != nullptr) {
    float* sorted = reinterpret_cast<float*>(sorted_memory_.data()) + row * x.cols;
    for (std::int64_t k = 0; k < x.cols; ++k) sorted[k] = from[forms.order[k]];
    from = sorted;
  }
  kernels_.quantise_row(from, x.cols, row, &quant_);
}

void CpuDevice::reserve_forms(Forms forms, std::int64_t n_rows, std::int64_t k, Rows rows) {
  if (forms.quantised) reserve_quant(n_rows, k, rows);
  if (forms.order != nullptr) {
    sorted_memory_.reserve(static_cast<std::size_t>(n_rows * k) * sizeof(float));
  }
  if (forms.bf16) {
    bf16_memory_.reserve(static_cast<std::size_t>(n_rows * n_bf16_planes() * round_to_even(k)) * 2);
  }
}

void CpuDevice::reserve_quant(std::int64_t n_rows, std::int64_t k, Rows rows) {
  const std::int64_t groups = n_rows * (k / kernels::kGroup);
  const auto padded = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  quant_.n_planes = precision_ == Precision::kFine ? 2 : 1;
  quant_.n_rows = n_rows;
  // A product takes all rows that lie group by group.
  quant_.by_group = rows == Rows::kTogether && kernels_.wants_by_group(n_rows, k, quant_.n_planes);
  const std::int64_t codes = padded(n_rows * quant_.n_planes * k);
  const std::int64_t one = padded(groups * 4);
  const std::int64_t two = padded(groups * 8);
  quant_memory_.reserve(static_cast<std::size_t>(codes + 3 * one + 2 * two));
  unsigned char* p = quant_memory_.data();
  const auto take = [&p](std::int64_t bytes) {
    unsigned char* at = p;
    p += bytes;
    return at;
  };
  quant_.codes = reinterpret_cast<std::int8_t*>(take(codes));
  quant_.scales = reinterpret_cast<float*>(take(one));
  quant_.neg_sums = reinterpret_cast<std::int32_t*>(take(one));
  quant_.sums = reinterpret_cast<float*>(take(one));
  quant_.neg_sums16 = reinterpret_cast<std::int32_t*>(take(two));
  quant_.sums16 = reinterpret_cast<float*>(take(two));
}

void CpuDevice::multiply(std::span<const Product> products, const Epilogue& epilogue) {
  cuts_.clear();
  std::int64_t n_chunks = 0;
  for (const Product& product : products) {
    const std::int64_t n_rows = product.row_end - product.row_begin;
    if (n_rows == 0) continue;
    for (const Segment& segment : product.weight->segments()) {
      const ChunkSize size = chunk_size(segment.matrix, n_rows, quant_.n_planes, team_.n_threads());
      const std::int64_t n_row_chunks = ceil_div(n_rows, size.rows);
      cuts_.push_back({&product, &segment, size.tiles, size.rows, n_row_chunks, n_chunks});
      n_chunks +=
          n_row_chunks * ceil_div(ceil_div(segment.matrix.n_rows, kernels::kTileRows), size.tiles);
    }
  }
  team_.run(static_cast<std::size_t>(n_chunks), [&](std::size_t index) {
    const auto chunk = static_cast<std::int64_t>(index);
    const auto after =
        std::upper_bound(cuts_.begin(), cuts_.end(), chunk,
                         [](std::int64_t i, const Cut& cut) { return i < cut.first_chunk; });
    run_chunk(*(after - 1), chunk, epilogue);
  });
}

void CpuDevice::run_chunk(const Cut& cut, std::int64_t chunk, const Epilogue& epilogue) const {
  const Segment& segment = *cut.segment;
  const Product& product = *cut.product;
  const std::int64_t index = chunk - cut.first_chunk;
  const std::int64_t n_tiles = ceil_div(segment.matrix.n_rows, kernels::kTileRows);
  kernels::LinearArgs args;
  args.weight = &segment.matrix;
  args.tile_begin = index / cut.n_row_chunks * cut.tiles;
  args.tile_end = std::min(args.tile_begin + cut.tiles, n_tiles);
  args.row_begin = product.row_begin + index % cut.n_row_chunks * cut.rows;
  args.row_end = std::min(args.row_begin + cut.rows, product.row_end);
  args.quant = &quant_;
  args.x = row_of(product.x, 0);
  args.x_stride = product.x.stride;
  args.out = row_of(product.out, 0) + segment.first_row;
  args.out_stride = product.out.stride;
  args.bias = product.bias == nullptr ? nullptr : product.bias + segment.first_row;
  if (!product.in_f32 && takes_bf16(segment.matrix.format)) {
    args.bf16_planes = n_bf16_planes();
    args.x_bf16 = reinterpret_cast<const std::uint16_t*>(bf16_memory_.data());
    kernels_.linear_bf16(&args);
  } else {
    kernels_.linear(&args);
  }

  if (epilogue.scale == 1.0F && epilogue.soft_cap == 0.0F) return;
  const std::int64_t begin = args.tile_begin * kernels::kTileRows;
  const std::int64_t n =
      std::min(args.tile_end * kernels::kTileRows, segment.matrix.n_rows) - begin;
  for (std::int64_t row = args.row_begin; row < args.row_end; ++row) {
    kernels_.scale_cap(args.out + row * args.out_stride + begin, n, epilogue.scale,
                       epilogue.soft_cap);
  }
}

template <typename Prepare>
void CpuDevice::prepare_and_multiply(const CpuWeight& weight, const Weight* bias,
                                     LinearDeltas deltas, Tensor x, Tensor out, double row_ns,
                                     Prepare prepare) {
  const Forms forms = forms_of(weight);
  reserve_forms(forms, x.rows, x.cols, Rows::kTogether);
  for_rows(x.rows, row_ns, [&](std::int64_t row) {
    prepare(row);
    convert(forms, x, row);
  });
  const Product product{&weight, vector_of(bias), 0, x.rows, x, out};
  multiply({&product, 1}, {});
  apply_deltas(deltas, bias, x, out);
}

void CpuDevice::linear(const Weight& weight, const Weight* bias, LinearDeltas deltas, Tensor x,
                       Tensor out) noexcept {
  guarded([&] {
    const double row_ns = forms_of(as_cpu(weight)).any() ? 0.3 * static_cast<double>(x.cols) : 0.0;
    prepare_and_multiply(as_cpu(weight), bias, deltas, x, out, row_ns, [](std::int64_t) {});
  });
}

void CpuDevice::norm_linear(const NormSpec& spec, const Weight& norm_weight,
                            const Weight* norm_bias, const Weight& weight, const Weight* bias,
                            LinearDeltas deltas, Tensor x, Tensor scratch, Tensor out) noexcept {
  guarded([&] {
    const float* shift = vector_of(norm_bias);
    prepare_and_multiply(as_cpu(weight), bias, deltas, scratch, out,
                         0.6 * static_cast<double>(x.cols), [&](std::int64_t row) {
                           norm_row(spec, as_cpu(norm_weight), shift, row_of(x, row), x.cols,
                                    row_of(scratch, row));
                         });
  });
}

void CpuDevice::gated_linear(Activation act, const Weight& weight, const Weight* bias,
                             LinearDeltas deltas, Tensor gate_up, Tensor scratch,
                             Tensor out) noexcept {
  guarded([&] {
    const std::int64_t n = scratch.cols;
    prepare_and_multiply(as_cpu(weight), bias, deltas, scratch, out, 1.2 * static_cast<double>(n),
                         [&](std::int64_t row) {
                           const float* gate = row_of(gate_up, row);
                           kernels_.gate(to_act(act), gate, gate + n, n, row_of(scratch, row));
                         });
  });
}

void CpuDevice::logits(const Weight& weight, const Weight* bias, LinearDeltas deltas, float scale,
                       float soft_cap, Tensor x, float* host_out) noexcept {
  guarded([&] {
    const CpuWeight& table = as_cpu(weight);
    const Forms forms = forms_of(table);
    if (forms.any()) {
      reserve_forms(forms, x.rows, x.cols, Rows::kTogether);
      for_rows(x.rows, 0.3 * static_cast<double>(x.cols),
               [&](std::int64_t row) { convert(forms, x, row); });
    }
    const std::int64_t n = table.out_features();
    const Tensor out{host_out, x.rows, n, n};
    const Product product{&table, vector_of(bias), 0, x.rows, x, out};
    if (deltas.empty()) return multiply({&product, 1}, {scale, soft_cap});
    multiply({&product, 1}, {});
    apply_deltas(deltas, bias, x, out);
    for_rows(x.rows, static_cast<double>(n),
             [&](std::int64_t t) { kernels_.scale_cap(row_of(out, t), n, scale, soft_cap); });
  });
}

}  // namespace openllm::device::cpu
