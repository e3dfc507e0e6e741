#include "device/cpu/weight.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
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

std::string where(const WeightSource& source) { return "weight " + source.name; }

void check_bytes(const WeightSource& source, const WeightPart& part) {
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  const std::int64_t n = part.view.shape.n_elems();
  if (n % type.block_elems != 0 ||
      part.view.bytes.size() != tensor::byte_size(part.view.dtype, static_cast<std::size_t>(n))) {
    base::fail(ErrorCode::kCorruptData, where(source), ": bad size for ", type.name, " ",
               part.view.shape.to_string(), " (got ", part.view.bytes.size(), " bytes)");
  }
}

RowSource check_matrix(const WeightSource& source, const WeightPart& part) {
  if (part.view.shape.n_dims() != 2) {
    base::fail(ErrorCode::kCorruptData, where(source), ": bad shape (expected 2 dimensions, got ",
               part.view.shape.to_string(), ")");
  }
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  const auto format = kernels::pack_format(part.view.dtype);
  if (!format || (part.transposed && type.block_elems != 1)) {
    base::fail(ErrorCode::kUnsupported, where(source), ": the cpu device does not take ",
               part.transposed ? "transposed " : "", type.name);
  }
  check_bytes(source, part);
  RowSource rows{&part, *format, part.view.shape[0], part.view.shape[1]};
  if (part.transposed) std::swap(rows.n_rows, rows.n_columns);
  if (!part.transposed && rows.n_columns % type.block_elems != 0) {
    base::fail(ErrorCode::kCorruptData, where(source), ": rows of ", rows.n_columns,
               " are not whole blocks of ", type.name);
  }
  const auto& order = part.row_permutation;
  const bool in_range = std::all_of(order.begin(), order.end(),
                                    [&](std::int32_t r) { return r >= 0 && r < rows.n_rows; });
  if (!in_range || (!order.empty() && static_cast<std::int64_t>(order.size()) != rows.n_rows)) {
    base::fail(ErrorCode::kInternal, where(source), ": bad row permutation");
  }
  return rows;
}

/// Row i of the part as the file's bytes; a transposed one is gathered into `buffer`.
const unsigned char* row_bytes(const RowSource& rows, std::int64_t i,
                               std::vector<unsigned char>& buffer) {
  const WeightPart& part = *rows.part;
  const auto* bytes = reinterpret_cast<const unsigned char*>(part.view.bytes.data());
  const std::int64_t from =
      part.row_permutation.empty() ? i : part.row_permutation[static_cast<std::size_t>(i)];
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  if (!part.transposed) {
    return bytes + from * (rows.n_columns / type.block_elems * type.block_bytes);
  }
  const auto size = static_cast<std::size_t>(type.block_bytes);
  buffer.resize(static_cast<std::size_t>(rows.n_columns) * size);
  for (std::int64_t k = 0; k < rows.n_columns; ++k) {
    std::memcpy(buffer.data() + static_cast<std::size_t>(k) * size,
                bytes + static_cast<std::size_t>(k * rows.n_rows + from) * size, size);
  }
  return buffer.data();
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
  const std::int64_t n_tiles = (n_rows + kernels::kTileRows - 1) / kernels::kTileRows;
  team.run(static_cast<std::size_t>(n_tiles), [&](std::size_t tile) {
    std::vector<unsigned char> buffer;
    const std::int64_t begin = static_cast<std::int64_t>(tile) * kernels::kTileRows;
    const std::int64_t end = std::min(begin + kernels::kTileRows, n_rows);
    std::size_t part = 0;
    std::int64_t part_begin = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      while (row - part_begin >= parts[part].n_rows) part_begin += parts[part++].n_rows;
      kernels::pack_row(segment.matrix, segment.memory.data(), row,
                        row_bytes(parts[part], row - part_begin, buffer));
    }
  });
  return segment;
}

std::vector<float> read_vector(const WeightSource& source) {
  std::vector<float> values;
  for (const WeightPart& part : source.parts) {
    const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
    if (type.to_f32 == nullptr) {
      base::fail(ErrorCode::kUnsupported, where(source), ": the cpu device does not take ",
                 type.name);
    }
    check_bytes(source, part);
    const auto n = static_cast<std::size_t>(part.view.shape.n_elems());
    std::vector<float> part_values(n);
    type.to_f32(part.view.bytes.data(), part_values.data(), n);
    if (part.row_permutation.empty()) {
      values.insert(values.end(), part_values.begin(), part_values.end());
      continue;
    }
    if (part.row_permutation.size() != n) {
      base::fail(ErrorCode::kInternal, where(source), ": bad row permutation");
    }
    for (const std::int32_t i : part.row_permutation) {
      values.push_back(part_values.at(static_cast<std::size_t>(i)));
    }
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
  if (source.parts.empty()) base::fail(ErrorCode::kInternal, where(source), ": has no parts");
  auto weight = std::make_unique<CpuWeight>();
  if (role == WeightRole::kVector) {
    weight->vector_ = read_vector(source);
    weight->out_features_ = 1;
    weight->in_features_ = static_cast<std::int64_t>(weight->vector_.size());
    return weight;
  }
  std::vector<RowSource> parts;
  for (const WeightPart& part : source.parts) {
    parts.push_back(check_matrix(source, part));
    if (parts.back().n_columns != parts.front().n_columns) {
      base::fail(ErrorCode::kCorruptData, where(source), ": parts differ in width (expected ",
                 parts.front().n_columns, ", got ", parts.back().n_columns, ")");
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
