#include "device/cpu/weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "device/upload_error.h"
#include "kernels/packing.h"

namespace openllm::device::cpu {

namespace {

using kernels::PackFormat;

/// A checked part: where its rows are.
struct RowSource {
  const WeightPart* part = nullptr;
  PackFormat format = PackFormat::kF32;
  std::int64_t n_rows = 0;
  std::int64_t n_columns = 0;
};

void check_bytes(const WeightPart& part) {
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  const std::int64_t n = part.view.shape.n_elems();
  const std::size_t size = tensor::byte_size(part.view.dtype, static_cast<std::size_t>(n));
  if (n % type.block_elems != 0 || part.view.bytes.size() != size) {
    base::fail(ErrorCode::kCorruptData, "tensor ", part.name, ": wrong size for ", type.name, " ",
               part.view.shape.to_string(), " (expected ", size, " bytes, got ",
               part.view.bytes.size(), ")");
  }
}

RowSource check_matrix(const WeightPart& part) {
  if (part.view.shape.n_dims() != 2) {
    base::fail(ErrorCode::kCorruptData, "tensor ", part.name,
               ": wrong shape (expected two dimensions, got ", part.view.shape.to_string(), ")");
  }
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  const auto format = kernels::pack_format(part.view.dtype);
  if (!format || (part.transposed && type.block_elems != 1)) {
    base::fail(ErrorCode::kUnsupported, "tensor ", part.name, ": the cpu device does not take ",
               part.transposed ? "transposed " : "", type.name);
  }
  check_bytes(part);
  RowSource rows{&part, *format, part.view.shape[0], part.view.shape[1]};
  if (part.transposed) std::swap(rows.n_rows, rows.n_columns);
  if (!part.transposed && rows.n_columns % type.block_elems != 0) {
    base::fail(ErrorCode::kCorruptData, "tensor ", part.name, ": row length does not fit ",
               type.name, " (expected a multiple of ", type.block_elems, ", got ", rows.n_columns,
               ")");
  }
  return rows;
}

/// Row i of the part as the file's bytes; a transposed one is gathered into `buffer`.
const unsigned char* row_bytes(const RowSource& rows, std::int64_t i,
                               std::vector<unsigned char>& buffer) {
  const WeightPart& part = *rows.part;
  const auto* bytes = reinterpret_cast<const unsigned char*>(part.view.bytes.data());
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  if (!part.transposed) {
    return bytes + i * (rows.n_columns / type.block_elems * type.block_bytes);
  }
  const auto size = static_cast<std::size_t>(type.block_bytes);
  buffer.resize(static_cast<std::size_t>(rows.n_columns) * size);
  for (std::int64_t k = 0; k < rows.n_columns; ++k) {
    std::memcpy(buffer.data() + static_cast<std::size_t>(k) * size,
                bytes + static_cast<std::size_t>(k * rows.n_rows + i) * size, size);
  }
  return buffer.data();
}

/// Throws what is wrong with row i of the part, in which a value is not finite.
[[noreturn]] void fail_in_row(const RowSource& rows, std::int64_t i) {
  const WeightPart& part = *rows.part;
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  std::vector<unsigned char> buffer;
  std::vector<float> values(static_cast<std::size_t>(rows.n_columns));
  const unsigned char* bytes = row_bytes(rows, i, buffer);
  type.to_f32(bytes, values.data(), values.size());
  const std::size_t k = tensor::find_not_finite(part.view.dtype, bytes, values.size()).value_or(0);
  const auto column = static_cast<std::int64_t>(k);
  fail_not_finite(part, part.transposed ? column * rows.n_rows + i : i * rows.n_columns + column,
                  values[k]);
}

/// Lowers `least` to `value` if that is less.
void keep_least(std::atomic<std::int64_t>& least, std::int64_t value) noexcept {
  std::int64_t seen = least.load(std::memory_order_relaxed);
  while (value < seen && !least.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

Segment pack_segment(std::span<const RowSource> parts, std::int64_t first_row,
                     base::ThreadTeam& team) {
  std::int64_t n_rows = 0;
  for (const RowSource& part : parts) n_rows += part.n_rows;
  Segment segment;
  segment.first_row = first_row;
  segment.matrix = kernels::packed_shape(parts[0].format, n_rows, parts[0].n_columns);
  segment.memory = AlignedMemory(kernels::packed_bytes(segment.matrix));
  segment.matrix.data = segment.memory.data();
  const tensor::DType dtype = parts[0].part->view.dtype;
  const auto n_columns = static_cast<std::size_t>(parts[0].n_columns);
  const std::int64_t n_tiles = (n_rows + kernels::kTileRows - 1) / kernels::kTileRows;
  std::atomic<std::int64_t> first_bad{n_rows};
  team.run(static_cast<std::size_t>(n_tiles), [&](std::size_t tile) {
    std::vector<unsigned char> buffer;
    const std::int64_t begin = static_cast<std::int64_t>(tile) * kernels::kTileRows;
    const std::int64_t end = std::min(begin + kernels::kTileRows, n_rows);
    std::size_t part = 0;
    std::int64_t part_begin = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      while (row - part_begin >= parts[part].n_rows) part_begin += parts[part++].n_rows;
      const unsigned char* bytes = row_bytes(parts[part], row - part_begin, buffer);
      if (tensor::find_not_finite(dtype, bytes, n_columns)) keep_least(first_bad, row);
      kernels::pack_row(segment.matrix, segment.memory.data(), row, bytes);
    }
  });
  std::int64_t bad = first_bad.load(std::memory_order_relaxed);
  for (const RowSource& part : parts) {
    if (bad < part.n_rows) fail_in_row(part, bad);
    bad -= part.n_rows;
  }
  return segment;
}

std::vector<float> read_vector(const WeightSource& source) {
  std::vector<float> values;
  for (const WeightPart& part : source.parts) {
    const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
    if (type.to_f32 == nullptr) {
      base::fail(ErrorCode::kUnsupported, "tensor ", part.name, ": the cpu device does not take ",
                 type.name);
    }
    check_bytes(part);
    const auto n = static_cast<std::size_t>(part.view.shape.n_elems());
    const std::size_t begin = values.size();
    values.resize(begin + n);
    type.to_f32(part.view.bytes.data(), values.data() + begin, n);
    if (const auto bad = tensor::find_not_finite(part.view.dtype, part.view.bytes.data(), n))
      fail_not_finite(part, static_cast<std::int64_t>(*bad), values[begin + *bad]);
  }
  return values;
}

}  // namespace

std::size_t CpuWeight::bytes() const noexcept {
  std::size_t n = vector_.size() * sizeof(float);
  for (const Segment& segment : segments_) n += kernels::packed_bytes(segment.matrix);
  return n;
}

void CpuWeight::read_row(std::int64_t row, float* out) const {
  std::size_t i = segments_.size() - 1;
  while (segments_[i].first_row > row) --i;
  kernels::unpack_row(segments_[i].matrix, row - segments_[i].first_row, out);
}

std::unique_ptr<CpuWeight> CpuWeight::upload(const WeightSource& source, WeightRole role,
                                             base::ThreadTeam& team) {
  base::check(!source.parts.empty(), "device: a weight without parts");
  auto weight = std::make_unique<CpuWeight>();
  if (role == WeightRole::kVector) {
    weight->vector_ = read_vector(source);
    weight->out_features_ = 1;
    weight->in_features_ = static_cast<std::int64_t>(weight->vector_.size());
    return weight;
  }
  std::vector<RowSource> parts;
  for (const WeightPart& part : source.parts) {
    parts.push_back(check_matrix(part));
    if (parts.back().n_columns != parts.front().n_columns) {
      base::fail(ErrorCode::kCorruptData, "tensor ", part.name,
                 ": not as wide as the one it is stacked on (expected ", parts.front().n_columns,
                 ", got ", parts.back().n_columns, ")");
    }
  }
  weight->in_features_ = parts.front().n_columns;
  for (std::size_t begin = 0; begin < parts.size();) {
    std::size_t end = begin;
    std::int64_t n_rows = 0;
    while (end < parts.size() && parts[end].format == parts[begin].format) {
      n_rows += parts[end++].n_rows;
    }
    const auto run = std::span<const RowSource>(parts).subspan(begin, end - begin);
    if (n_rows > 0) weight->segments_.push_back(pack_segment(run, weight->out_features_, team));
    weight->out_features_ += n_rows;
    begin = end;
  }
  return weight;
}

}  // namespace openllm::device::cpu
