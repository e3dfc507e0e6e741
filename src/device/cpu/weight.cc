#include "device/cpu/weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"
#include "device/cpu/grouped_part.h"
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
  std::shared_ptr<const GroupedPart> grouped{};
  /// To the type whose layout is packed, where the file's has none.
  const tensor::Transcoding* transcoding = nullptr;
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
  if (part.grouped) {
    auto grouped = std::make_shared<const GroupedPart>(part);
    const GroupedRows& rows = grouped->rows();
    return {&part, grouped->format(), rows.n_rows(), rows.n_columns(), std::move(grouped)};
  }
  if (part.view.shape.n_dims() != 2) {
    base::fail(ErrorCode::kCorruptData, "tensor ", part.name,
               ": wrong shape (expected two dimensions, got ", part.view.shape.to_string(), ")");
  }
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  const tensor::Transcoding* transcoding = tensor::find_transcoding(part.view.dtype);
  const auto format =
      kernels::pack_format(transcoding == nullptr ? part.view.dtype : transcoding->to);
  if (!format || (part.transposed && type.block_elems != 1)) {
    base::fail(ErrorCode::kUnsupported, "tensor ", part.name, ": the cpu device does not take ",
               part.transposed ? "transposed " : "", type.name);
  }
  if (part.rows == nullptr) check_bytes(part);
  RowSource rows{&part, *format, part.view.shape[0], part.view.shape[1], nullptr, transcoding};
  if (part.transposed) std::swap(rows.n_rows, rows.n_columns);
  if (!part.transposed && rows.n_columns % type.block_elems != 0) {
    base::fail(ErrorCode::kCorruptData, "tensor ", part.name, ": row length does not fit ",
               type.name, " (expected a multiple of ", type.block_elems, ", got ", rows.n_columns,
               ")");
  }
  return rows;
}

/// Row i of the part as the file's bytes; one that is made or transposed is put into `buffer`.
const unsigned char* row_bytes(const RowSource& rows, std::int64_t i,
                               std::vector<unsigned char>& buffer) {
  const WeightPart& part = *rows.part;
  const auto* bytes = reinterpret_cast<const unsigned char*>(part.view.bytes.data());
  const tensor::DTypeInfo& type = tensor::info(part.view.dtype);
  if (part.rows != nullptr) {
    buffer.resize(tensor::byte_size(part.view.dtype, static_cast<std::size_t>(rows.n_columns)));
    part.rows->read_row(i, reinterpret_cast<std::byte*>(buffer.data()));
    return buffer.data();
  }
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
  fail_not_finite(part.name,
                  part.transposed ? column * rows.n_rows + i : i * rows.n_columns + column,
                  values[k]);
}

/// Lowers `least` to `value` if that is less.
void keep_least(std::atomic<std::int64_t>& least, std::int64_t value) noexcept {
  std::int64_t seen = least.load(std::memory_order_relaxed);
  while (value < seen && !least.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

/// Packs row `row` of the part as row `to` of the segment. False when a value is not finite.
bool pack_row(const RowSource& rows, std::int64_t row, Segment& segment, std::int64_t to,
              std::vector<unsigned char>& buffer) {
  if (rows.grouped) {
    rows.grouped->pack_row(row, segment.matrix, segment.memory.data(), to);
    return true;
  }
  const unsigned char* bytes = row_bytes(rows, row, buffer);
  const auto n = static_cast<std::size_t>(rows.n_columns);
  if (tensor::find_not_finite(rows.part->view.dtype, bytes, n)) return false;
  if (rows.transcoding == nullptr) {
    kernels::pack_row(segment.matrix, segment.memory.data(), to, bytes);
    return true;
  }
  std::vector<unsigned char> blocks(tensor::byte_size(rows.transcoding->to, n));
  rows.transcoding->convert(bytes, blocks.data(), n);
  kernels::pack_row(segment.matrix, segment.memory.data(), to, blocks.data());
  return true;
}

/// Packs a tile of the stacked parts; lowers `first_bad` to a row with a value that is not finite.
void pack_tile(std::span<const RowSource> parts, std::int64_t tile, Segment& segment,
               std::atomic<std::int64_t>& first_bad) {
  std::vector<unsigned char> buffer;
  const std::int64_t begin = tile * kernels::kTileRows;
  const std::int64_t end = std::min(begin + kernels::kTileRows, segment.matrix.n_rows);
  std::size_t part = 0;
  std::int64_t part_begin = 0;
  for (std::int64_t row = begin; row < end; ++row) {
    while (row - part_begin >= parts[part].n_rows) part_begin += parts[part++].n_rows;
    if (!pack_row(parts[part], row - part_begin, segment, row, buffer)) keep_least(first_bad, row);
  }
}

std::vector<const WeightPart*> parts_of(std::span<const RowSource> rows) {
  std::vector<const WeightPart*> parts;
  for (const RowSource& row : rows) parts.push_back(row.part);
  return parts;
}

/// Packs all rows into the segment's memory, which is zeroed.
void pack_rows(std::span<const RowSource> parts, base::ThreadTeam& team, Segment& segment) {
  const std::int64_t n_rows = segment.matrix.n_rows;
  const std::int64_t n_tiles = (n_rows + kernels::kTileRows - 1) / kernels::kTileRows;
  std::atomic<std::int64_t> first_bad{n_rows};
  std::atomic<bool> no_memory{false};
  team.run(static_cast<std::size_t>(n_tiles), [&](std::size_t tile) {
    try {
      pack_tile(parts, static_cast<std::int64_t>(tile), segment, first_bad);
    } catch (const std::bad_alloc&) {  // must not leave a thread of the team
      no_memory.store(true, std::memory_order_relaxed);
    }
  });
  if (no_memory.load(std::memory_order_relaxed)) throw std::bad_alloc();
  std::int64_t bad = first_bad.load(std::memory_order_relaxed);
  for (const RowSource& part : parts) {
    if (bad < part.n_rows) fail_in_row(part, bad);
    bad -= part.n_rows;
  }
}

Segment pack_segment(std::span<const RowSource> parts, std::int64_t first_row,
                     base::ThreadTeam* team, Arena* arena, KnownLayouts* known) {
  std::int64_t n_rows = 0;
  for (const RowSource& part : parts) n_rows += part.n_rows;
  Segment segment;
  segment.first_row = first_row;
  segment.matrix = kernels::packed_shape(parts[0].format, n_rows, parts[0].n_columns);
  if (team == nullptr) return segment;
  const std::size_t n_bytes = kernels::packed_bytes(segment.matrix);
  std::uint64_t layout = 0;
  if (known != nullptr) {
    layout = known->fingerprint(segment.matrix.format);
    for (const RowSource& part : parts)
      layout = layout * 31 + known->fingerprint(part.part->view.dtype);
    const auto packed = known->packed().find(parts_of(parts), layout, n_bytes);
    segment.matrix.data = reinterpret_cast<const unsigned char*>(packed.data());
    if (!packed.empty()) return segment;
  }
  segment.memory = arena == nullptr ? AlignedMemory(n_bytes) : arena->take(n_bytes);
  segment.matrix.data = segment.memory.data();
  pack_rows(parts, *team, segment);
  if (known != nullptr) {
    known->packed().note(parts_of(parts), layout,
                         std::as_bytes(std::span(segment.matrix.data, n_bytes)));
  }
  return segment;
}

/// The order of the inputs that the quantised parts share.
std::vector<std::int32_t> common_order(std::span<const RowSource> parts) {
  const std::vector<std::int32_t>* order = nullptr;
  const std::vector<std::int32_t> none;
  for (const RowSource& part : parts) {
    if (!kernels::is_quantised(part.format)) continue;
    const auto& own = part.grouped ? part.grouped->column_order() : none;
    if (order == nullptr) order = &own;
    if (own != *order) {
      base::fail(ErrorCode::kUnsupported, "tensor ", part.part->name,
                 ": the cpu device does not stack parts whose inputs are grouped differently");
    }
  }
  return order == nullptr ? none : *order;
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
      fail_not_finite(part.name, static_cast<std::int64_t>(*bad), values[begin + *bad]);
  }
  return values;
}

}  // namespace

std::uint64_t KnownLayouts::fingerprint(kernels::PackFormat format) {
  const auto [found, is_new] = formats_.try_emplace(format, 0);
  if (is_new) found->second = kernels::layout_fingerprint(format);
  return found->second;
}

std::uint64_t KnownLayouts::fingerprint(tensor::DType from) {
  const tensor::Transcoding* transcoding = tensor::find_transcoding(from);
  if (transcoding == nullptr) return 0;
  const auto [found, is_new] = types_.try_emplace(from, 0);
  if (!is_new) return found->second;
  constexpr std::size_t kElements = 1024;
  std::vector<unsigned char> blocks(tensor::byte_size(from, kElements));
  std::uint64_t state = 1;
  for (unsigned char& byte : blocks) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<unsigned char>(state >> 56U);
  }
  std::vector<unsigned char> made(tensor::byte_size(transcoding->to, kElements));
  transcoding->convert(blocks.data(), made.data(), kElements);
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const unsigned char byte : made) hash = (hash ^ byte) * 0x100000001B3U;
  return found->second = hash;
}

std::size_t CpuWeight::bytes() const noexcept {
  std::size_t n = vector_.size() * sizeof(float) + column_order_.size() * sizeof(std::int32_t);
  for (const Segment& segment : segments_) n += kernels::packed_bytes(segment.matrix);
  return n;
}

void CpuWeight::read_row(std::int64_t row, float* out) const {
  std::size_t i = segments_.size() - 1;
  while (segments_[i].first_row > row) --i;
  kernels::unpack_row(segments_[i].matrix, row - segments_[i].first_row, out);
}

std::unique_ptr<CpuWeight> CpuWeight::upload(const WeightSource& source, WeightRole role,
                                             base::ThreadTeam* team, Arena* arena,
                                             KnownLayouts* known) {
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
  weight->column_order_ = common_order(parts);
  for (std::size_t begin = 0; begin < parts.size();) {
    std::size_t end = begin;
    std::int64_t n_rows = 0;
    while (end < parts.size() && parts[end].format == parts[begin].format) {
      n_rows += parts[end++].n_rows;
    }
    const auto run = std::span<const RowSource>(parts).subspan(begin, end - begin);
    if (n_rows > 0)
      weight->segments_.push_back(pack_segment(run, weight->out_features_, team, arena, known));
    weight->out_features_ += n_rows;
    begin = end;
  }
  return weight;
}

}  // namespace openllm::device::cpu
