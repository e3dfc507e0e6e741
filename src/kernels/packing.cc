#include "kernels/packing.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/file_blocks.h"
#include "tensor/quant/quant.h"

namespace openllm::kernels {

namespace {

PackTraits traits_of(PackFormat format) { return kPackTraits[static_cast<std::size_t>(format)]; }

std::int64_t element_bytes(PackFormat format) { return format == PackFormat::kF32 ? 4 : 2; }

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

unsigned char* scales_of(const PackedMatrix& matrix, unsigned char* data, std::int64_t row) {
  return data + row / kTileRows * matrix.tile_bytes + matrix.codes_bytes;
}

/// Where the code of k (0..31) of a row lies in panel order.
std::int64_t panel_index(std::int64_t k, std::int64_t lane) {
  return k / 4 * 64 + lane * 4 + k % 4;
}

std::uint32_t read_u32(const void* p) {
  std::uint32_t v = 0;
  std::memcpy(&v, p, 4);
  return v;
}

void write_u32(unsigned char* p, std::uint32_t v) { std::memcpy(p, &v, 4); }

/// The codes' bits above the fourth, of 32 codes of 5 or 6 bits.
template <int kBits>
void put_top_bits(unsigned char* group, std::int64_t lane, const std::uint8_t* codes) {
  std::uint32_t four[2] = {};
  for (int j = 0; j < 8; ++j) {
    const std::uint32_t top = (read_u32(codes + 4 * j) >> 4U) & 0x03030303U;
    if constexpr (kBits == 5) {
      const std::uint32_t bits = (top | top >> 7U | top >> 14U | top >> 21U) & 15U;
      unsigned char& pair = group[256 + 8 * j + lane / 2];
      pair = static_cast<unsigned char>(pair | (bits << (lane % 2 * 4)));
    } else {
      four[j / 4] |= top << static_cast<unsigned>(j % 4 * 2);
    }
  }
  if constexpr (kBits == 6) {
    write_u32(group + 256 + 4 * lane, four[0]);
    write_u32(group + 320 + 4 * lane, four[1]);
  }
}

/// Puts the 32 codes of a row into a group of its tile, four neighbours (one lane of a dot product)
/// at a time; of up to 6 bits, the codes 16 further on are the upper halves of the same bytes.
void put_codes(unsigned char* group, int bits, std::int64_t lane, const std::uint8_t* codes) {
  if (bits == 8) {
    for (int j = 0; j < 8; ++j) write_u32(group + 64 * j + 4 * lane, read_u32(codes + 4 * j));
    return;
  }
  for (int j = 0; j < 4; ++j) {
    const std::uint32_t low = read_u32(codes + 4 * j) & 0x0F0F0F0FU;
    const std::uint32_t high = read_u32(codes + 4 * j + 16) & 0x0F0F0F0FU;
    write_u32(group + 64 * j + 4 * lane, low | high << 4U);
  }
  if (bits == 5) put_top_bits<5>(group, lane, codes);
  if (bits == 6) put_top_bits<6>(group, lane, codes);
}

std::uint8_t get_code(const unsigned char* group, const PackTraits traits, std::int64_t index) {
  if (traits.bits == 8) return group[index];
  int code = (group[index % 256] >> (index >= 256 ? 4 : 0)) & 15;
  if (traits.bits == 5) {
    code |= ((group[256 + index / 8] >> (index % 8)) & 1) << 4;
  } else if (traits.bits == 6) {
    code |= ((group[256 + index / 256 * 64 + index % 64] >> (index / 64 % 4 * 2)) & 3) << 4;
  }
  return static_cast<std::uint8_t>(code);
}

bool has_f32_scale(const PackTraits traits) {
  return traits.scale == ScaleKind::kF32 || traits.scale == ScaleKind::kF32Zero ||
         traits.scale == ScaleKind::kF32Affine;
}

void put_scales(const FileGroup& file, const PackTraits traits, std::int64_t n_groups,
                std::int64_t lane, unsigned char* record) {
  const std::int64_t bytes = scale_record_bytes(traits);
  const std::int64_t both = traits.has_min ? 2 : 1;
  if (traits.scale == ScaleKind::kSuper) {
    std::memcpy(record + 2 * lane, &file.scale[0], 2);
    if (traits.has_min) std::memcpy(record + 32 + 2 * lane, &file.minimum[0], 2);
    unsigned char* sub = record + 32 * both + lane;
    for (int i = 0; i < 8 * traits.n_sub; ++i) {
      std::memcpy(sub + i * 16 * both, &file.sub_scale[i], 1);
      if (traits.has_min) std::memcpy(sub + i * 16 * both + 16, &file.sub_minimum[i], 1);
    }
    return;
  }
  for (std::int64_t g = 0; g < n_groups; ++g, record += bytes) {
    if (has_f32_scale(traits)) {
      for (int s = 0; s < traits.n_sub; ++s) {
        std::memcpy(record + 64 * s + 4 * lane, &file.scale_f32[g * traits.n_sub + s], 4);
      }
      if (traits.scale == ScaleKind::kF32Zero) std::memcpy(record + 64 + lane, &file.zero[g], 1);
      if (traits.scale == ScaleKind::kF32Affine) {
        std::memcpy(record + 64 + 4 * lane, &file.zero_f32[g], 4);
      }
      continue;
    }
    std::memcpy(record + 2 * lane, &file.scale[g], 2);
    if (traits.has_min) std::memcpy(record + 32 + 2 * lane, &file.minimum[g], 2);
  }
}

float half_at(const unsigned char* p) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, p, 2);
  return tensor::f16_to_f32(bits);
}

struct Factors {
  float scale = 0.0F;
  float minimum = 0.0F;
  float zero = 0;  ///< Subtracted from the code, beside its offset.
};

Factors factors_at(const unsigned char* scales, const PackTraits traits, std::int64_t k,
                   std::int64_t lane) {
  const std::int64_t bytes = scale_record_bytes(traits);
  const std::int64_t both = traits.has_min ? 2 : 1;
  Factors f;
  if (has_f32_scale(traits)) {
    const unsigned char* group = scales + k / kGroup * bytes;
    const std::int64_t sub = k % kGroup / (kGroup / traits.n_sub);
    std::memcpy(&f.scale, group + 64 * sub + 4 * lane, 4);
    if (traits.scale == ScaleKind::kF32Zero) f.zero = static_cast<std::int8_t>(group[64 + lane]);
    if (traits.scale == ScaleKind::kF32Affine) std::memcpy(&f.zero, group + 64 + 4 * lane, 4);
    return f;
  }
  const bool super = traits.scale == ScaleKind::kSuper;
  const unsigned char* record = scales + k / (super ? kSuperGroup : kGroup) * bytes;
  f.scale = half_at(record + 2 * lane);
  if (traits.has_min) f.minimum = half_at(record + 32 + 2 * lane);
  if (super) {
    const std::int64_t i = k % kSuperGroup / (kGroup / traits.n_sub);
    const unsigned char* sub = record + 32 * both + i * 16 * both + lane;
    f.scale *= static_cast<float>(static_cast<std::int8_t>(sub[0]));
    if (traits.has_min) f.minimum *= static_cast<float>(static_cast<std::int8_t>(sub[16]));
  }
  return f;
}

int value_of(std::uint8_t code, const PackTraits traits) {
  if (traits.table == 1) return kIq4Table[code] - 128;
  if (traits.table == 2) return kMxfp4Table[code] - 128;
  return traits.offset_shift < 0 ? code : code - (1 << traits.offset_shift);
}

/// Where an element lies in its tile: [k][16], or [k / 2][16][2] for BF16.
std::int64_t plain_offset(PackFormat format, std::int64_t k, std::int64_t lane) {
  if (format == PackFormat::kBF16) return ((k / 2 * kTileRows + lane) * 2 + k % 2) * 2;
  return (k * kTileRows + lane) * element_bytes(format);
}

/// Writes a row whose 256 elements from k on (or the n there are) `read(k, n, group)` gives.
template <typename Read>
void put_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row, Read read) {
  const PackTraits traits = traits_of(matrix.format);
  const std::int64_t lane = row % kTileRows;
  unsigned char* codes = data + row / kTileRows * matrix.tile_bytes;
  unsigned char* record = scales_of(matrix, data, row);
  const std::int64_t records = traits.scale == ScaleKind::kSuper ? 1 : 8;
  FileGroup file;
  for (std::int64_t k = 0; k < matrix.k; k += kSuperGroup) {
    const std::int64_t n = std::min(kSuperGroup, matrix.k - k);
    read(k, n, file);
    for (std::int64_t i = 0; i < n; i += kGroup) {
      put_codes(codes + (k + i) / kGroup * group_bytes(traits), traits.bits, lane, file.codes + i);
    }
    put_scales(file, traits, n / kGroup, lane, record);
    record += records * scale_record_bytes(traits);
  }
}

/// Every kTileRows-th of `n` places gets one.
template <typename Element>
void spread(const unsigned char* elements, std::int64_t n, unsigned char* to) {
  for (std::int64_t i = 0; i < n; ++i)
    std::memcpy(to + i * kTileRows * std::int64_t{sizeof(Element)},
                elements + i * std::int64_t{sizeof(Element)}, sizeof(Element));
}

void pack_plain_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
                    const unsigned char* elements) {
  const std::int64_t lane = row % kTileRows;
  unsigned char* to =
      data + row / kTileRows * matrix.tile_bytes + plain_offset(matrix.format, 0, lane);
  if (matrix.format == PackFormat::kF32) return spread<std::uint32_t>(elements, matrix.k, to);
  if (matrix.format == PackFormat::kF16) return spread<std::uint16_t>(elements, matrix.k, to);
  spread<std::uint32_t>(elements, matrix.k / 2, to);  // BF16 in pairs
  if (matrix.k % 2 == 0) return;
  const std::int64_t last = matrix.k - 1;
  std::memcpy(to + plain_offset(matrix.format, last, 0), elements + last * 2, 2);
}

void unpack_plain_row(const PackedMatrix& matrix, std::int64_t row, float* out) {
  const unsigned char* tile = matrix.data + row / kTileRows * matrix.tile_bytes;
  for (std::int64_t k = 0; k < matrix.k; ++k) {
    const unsigned char* p = tile + plain_offset(matrix.format, k, row % kTileRows);
    if (matrix.format == PackFormat::kF32) {
      std::memcpy(out + k, p, 4);
      continue;
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, p, 2);
    out[k] =
        matrix.format == PackFormat::kF16 ? tensor::f16_to_f32(bits) : tensor::bf16_to_f32(bits);
  }
}

/// A row of codes of floats.
void pack_float_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
                    const unsigned char* blocks) {
  const PackTraits traits = traits_of(matrix.format);
  const std::int64_t lane = row % kTileRows;
  const std::int64_t bytes = file_bytes_per_256(matrix.format) / 8;
  unsigned char* codes = data + row / kTileRows * matrix.tile_bytes + lane;
  unsigned char* scales = scales_of(matrix, data, row);
  for (std::int64_t k = 0; k < matrix.k; k += kGroup, blocks += bytes, scales += 64) {
    FileGroup file;
    read_blocks(matrix.format, blocks, kGroup, file);
    std::memcpy(scales + 4 * lane, &file.scale_f32[0], 4);
    for (std::int64_t i = 0; i < kGroup; ++i) {
      if (traits.bits == 8) {
        codes[(k + i) * kTileRows] = file.codes[i];
      } else {
        unsigned char& pair = codes[(k + i) / 2 * kTileRows];
        pair = static_cast<unsigned char>(pair | file.codes[i] << (i % 2 * 4));
      }
    }
  }
}

float float_of(FloatCode kind, std::uint8_t code) {
  switch (kind) {
    case FloatCode::kE4M3:
      return tensor::quant::f8_e4m3_to_f32(code);
    case FloatCode::kE5M2:
      return tensor::quant::f8_e5m2_to_f32(code);
    case FloatCode::kNF4:
      return kNf4Floats[code];
    case FloatCode::kFP4:
      return kFp4Floats[code];
    case FloatCode::kNone:
      break;
  }
  return 0.0F;
}

void unpack_float_row(const PackedMatrix& matrix, std::int64_t row, float* out) {
  const PackTraits traits = traits_of(matrix.format);
  const std::int64_t lane = row % kTileRows;
  const unsigned char* tile = matrix.data + row / kTileRows * matrix.tile_bytes;
  const unsigned char* scales = tile + matrix.codes_bytes;
  for (std::int64_t k = 0; k < matrix.k; ++k) {
    float scale = 0.0F;
    std::memcpy(&scale, scales + k / kGroup * 64 + 4 * lane, 4);
    const unsigned code = traits.bits == 8 ? tile[k * kTileRows + lane]
                                           : (tile[k / 2 * kTileRows + lane] >> (k % 2 * 4)) & 15U;
    out[k] = scale * float_of(traits.floats, static_cast<std::uint8_t>(code));
  }
}

}  // namespace

std::optional<PackFormat> pack_format(tensor::DType dtype) noexcept {
  using tensor::DType;
  switch (dtype) {
    case DType::kF32:
      return PackFormat::kF32;
    case DType::kF16:
      return PackFormat::kF16;
    case DType::kBF16:
      return PackFormat::kBF16;
    case DType::kQ4_0:
      return PackFormat::kQ4_0;
    case DType::kQ4_1:
      return PackFormat::kQ4_1;
    case DType::kQ5_0:
      return PackFormat::kQ5_0;
    case DType::kQ5_1:
      return PackFormat::kQ5_1;
    case DType::kQ8_0:
      return PackFormat::kQ8_0;
    case DType::kQ2_K:
      return PackFormat::kQ2_K;
    case DType::kQ3_K:
      return PackFormat::kQ3_K;
    case DType::kQ4_K:
      return PackFormat::kQ4_K;
    case DType::kQ5_K:
      return PackFormat::kQ5_K;
    case DType::kQ6_K:
      return PackFormat::kQ6_K;
    case DType::kIQ4_NL:
      return PackFormat::kIQ4_NL;
    case DType::kIQ4_XS:
      return PackFormat::kIQ4_XS;
    case DType::kMXFP4:
      return PackFormat::kMXFP4;
    case DType::kCodes4By32:
      return PackFormat::kU4;
    case DType::kCodes8By32:
      return PackFormat::kU8;
    case DType::kAffine4By32:
      return PackFormat::kAffine4;
    case DType::kAffine8By32:
      return PackFormat::kAffine8;
    case DType::kI8By16:
      return PackFormat::kI8By16;
    case DType::kE2M1By16:
      return PackFormat::kE2M1By16;
    case DType::kE4M3By32:
      return PackFormat::kE4M3;
    case DType::kE5M2By32:
      return PackFormat::kE5M2;
    case DType::kNF4By32:
      return PackFormat::kNF4;
    case DType::kFP4By32:
      return PackFormat::kFP4;
    default:
      return std::nullopt;
  }
}

bool is_quantised(PackFormat format) noexcept {
  const PackTraits traits = traits_of(format);
  return traits.bits != 0 && traits.floats == FloatCode::kNone;
}

PackedMatrix packed_shape(PackFormat format, std::int64_t n_rows, std::int64_t k) noexcept {
  PackedMatrix matrix;
  matrix.format = format;
  matrix.n_rows = n_rows;
  matrix.k = k;
  const PackTraits traits = traits_of(format);
  if (traits.bits == 0) {
    const std::int64_t columns = format == PackFormat::kBF16 ? round_up(k, 2) : k;
    matrix.codes_bytes = columns * kTileRows * element_bytes(format);
    matrix.tile_bytes = round_up(matrix.codes_bytes, 64);
    return matrix;
  }
  const std::int64_t span = traits.scale == ScaleKind::kSuper ? kSuperGroup : kGroup;
  matrix.codes_bytes = k / kGroup * group_bytes(traits);
  matrix.tile_bytes = round_up(matrix.codes_bytes + k / span * scale_record_bytes(traits), 64);
  return matrix;
}

std::size_t packed_bytes(const PackedMatrix& matrix) noexcept {
  return static_cast<std::size_t>((matrix.n_rows + kTileRows - 1) / kTileRows * matrix.tile_bytes);
}

void pack_row(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
              const unsigned char* blocks) {
  const PackTraits traits = traits_of(matrix.format);
  if (traits.bits == 0) return pack_plain_row(matrix, data, row, blocks);
  if (traits.floats != FloatCode::kNone) return pack_float_row(matrix, data, row, blocks);
  const std::int64_t bytes = file_bytes_per_256(matrix.format);
  put_row(matrix, data, row, [&](std::int64_t k, std::int64_t n, FileGroup& file) {
    read_blocks(matrix.format, blocks + k / kSuperGroup * bytes, n, file);
  });
}

std::uint64_t layout_fingerprint(PackFormat format) {
  // Packs a matrix of two tiles and two super groups made of every byte, and hashes what comes.
  constexpr std::int64_t kColumns = 2 * kSuperGroup;
  constexpr std::int64_t kRows = kTileRows + 1;
  const PackedMatrix matrix = packed_shape(format, kRows, kColumns);
  std::vector<unsigned char> data(packed_bytes(matrix));
  std::vector<unsigned char> row(
      static_cast<std::size_t>(file_bytes_per_256(format) * (kColumns / kSuperGroup)));
  std::uint64_t hash = 0xCBF29CE484222325U ^ static_cast<std::uint64_t>(matrix.tile_bytes);
  std::uint64_t state = 1;
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (unsigned char& byte : row) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      byte = static_cast<unsigned char>(state >> 56U);
    }
    pack_row(matrix, data.data(), r, row.data());
  }
  for (const unsigned char byte : data) hash = (hash ^ byte) * 0x100000001B3U;
  return hash;
}

void pack_codes(const PackedMatrix& matrix, unsigned char* data, std::int64_t row,
                const CodeRow& source) {
  const PackTraits traits = traits_of(matrix.format);
  put_row(matrix, data, row, [&](std::int64_t k, std::int64_t n, FileGroup& file) {
    std::memcpy(file.codes, source.codes + k, static_cast<std::size_t>(n));
    for (std::int64_t g = 0; g < n / kGroup; ++g) {
      const float scale = source.scales[k / kGroup + g];
      const int zero = source.zeros[k / kGroup + g];
      file.scale[g] = tensor::f32_to_f16(scale);
      file.scale_f32[g] = scale;
      file.zero[g] = static_cast<std::int8_t>(zero - (1 << traits.offset_shift));
    }
  });
}

void unpack_row(const PackedMatrix& matrix, std::int64_t row, float* out) {
  const PackTraits traits = traits_of(matrix.format);
  if (traits.bits == 0) return unpack_plain_row(matrix, row, out);
  if (traits.floats != FloatCode::kNone) return unpack_float_row(matrix, row, out);
  const std::int64_t lane = row % kTileRows;
  const unsigned char* codes = matrix.data + row / kTileRows * matrix.tile_bytes;
  const unsigned char* scales = codes + matrix.codes_bytes;
  const std::int64_t step = kGroup / traits.n_sub;
  for (std::int64_t k = 0; k < matrix.k; k += step) {
    const Factors f = factors_at(scales, traits, k, lane);
    const unsigned char* group = codes + k / kGroup * group_bytes(traits);
    for (std::int64_t i = 0; i < step; ++i) {
      const std::uint8_t code = get_code(group, traits, panel_index((k + i) % kGroup, lane));
      const float product = f.scale * (static_cast<float>(value_of(code, traits)) - f.zero);
      out[k + i] = traits.has_min ? product + f.minimum : product;
    }
  }
}

}  // namespace openllm::kernels
