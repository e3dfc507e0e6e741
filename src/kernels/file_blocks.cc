#include "kernels/file_blocks.h"

#include <cstring>

namespace openllm::kernels {

namespace {

// Layouts of the blocks: docs/formats.md.

std::uint16_t read_u16(const unsigned char* p) {
  return static_cast<std::uint16_t>(p[0] | (p[1] << 8));
}

constexpr std::uint16_t kHalfSign = 0x8000;

/// 16 bytes of nibbles: low ones are elements 0..15, high ones 16..31.
void split_nibbles(const unsigned char* p, std::uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = p[i] & 15U;
    codes[i + 16] = static_cast<std::uint8_t>(p[i] >> 4U);
  }
}

void read_nibble_block(const unsigned char* p, bool has_min, bool has_fifth, int g,
                       FileGroup& out) {
  out.scale[g] = read_u16(p);
  p += 2;
  if (has_min) {
    out.minimum[g] = read_u16(p);
    p += 2;
  }
  std::uint8_t* codes = out.codes + 32 * g;
  split_nibbles(has_fifth ? p + 4 : p, codes);
  if (has_fifth) {
    for (int i = 0; i < 32; ++i) {
      codes[i] = static_cast<std::uint8_t>(codes[i] | (((p[i / 8] >> (i % 8)) & 1) << 4));
    }
  }
}

void read_q8_0(const unsigned char* p, int g, FileGroup& out) {
  out.scale[g] = read_u16(p);
  for (int i = 0; i < 32; ++i) out.codes[32 * g + i] = static_cast<std::uint8_t>(p[2 + i] ^ 0x80U);
}

void read_mxfp4(const unsigned char* p, int g, FileGroup& out) {
  // Half of the E8M0 factor, since the table holds twice the values; the two smallest are
  // subnormal.
  const std::uint32_t bits = p[0] < 2 ? 0x00200000U << p[0] : (p[0] - 1U) << 23U;
  std::memcpy(&out.scale_f32[g], &bits, 4);
  split_nibbles(p + 1, out.codes + 32 * g);
}

/// Nibbles or bytes that follow `at` bytes of factors.
void read_codes(const unsigned char* p, std::size_t at, bool is_nibble, int g, FileGroup& out) {
  if (is_nibble) {
    split_nibbles(p + at, out.codes + 32 * g);
  } else {
    std::memcpy(out.codes + 32 * g, p + at, 32);
  }
}

void read_zero_block(const unsigned char* p, bool is_nibble, int g, FileGroup& out) {
  std::memcpy(&out.scale_f32[g], p, 4);
  out.zero[g] = static_cast<std::int8_t>(p[4] - (is_nibble ? 8 : 128));
  read_codes(p, 5, is_nibble, g, out);
}

void read_affine_block(const unsigned char* p, bool is_nibble, int g, FileGroup& out) {
  std::memcpy(&out.scale_f32[g], p, 4);
  std::memcpy(&out.zero_f32[g], p + 4, 4);
  if (!is_nibble) out.zero_f32[g] -= 128.0F;
  read_codes(p, 8, is_nibble, g, out);
}

void read_i8_by16(const unsigned char* p, int g, FileGroup& out) {
  std::memcpy(&out.scale_f32[2 * g], p, 8);
  for (int i = 0; i < 32; ++i) out.codes[32 * g + i] = static_cast<std::uint8_t>(p[8 + i] ^ 0x80U);
}

void read_e2m1_by16(const unsigned char* p, int g, FileGroup& out) {
  std::memcpy(&out.scale_f32[2 * g], p, 8);
  read_codes(p, 8, true, g, out);
}

void read_float_block(const unsigned char* p, bool is_nibble, int g, FileGroup& out) {
  std::memcpy(&out.scale_f32[g], p, 4);
  read_codes(p, 4, is_nibble, g, out);
}

/// Scales and minima of 8 groups, 6 bits each, in 12 bytes.
void read_six_bit_pairs(const unsigned char* p, FileGroup& out) {
  for (int j = 0; j < 4; ++j) {
    out.sub_scale[j] = static_cast<std::int8_t>(p[j] & 63);
    out.sub_minimum[j] = static_cast<std::int8_t>(p[j + 4] & 63);
    out.sub_scale[j + 4] = static_cast<std::int8_t>((p[j + 8] & 15) | ((p[j] >> 6) << 4));
    out.sub_minimum[j + 4] = static_cast<std::int8_t>((p[j + 8] >> 4) | ((p[j + 4] >> 6) << 4));
  }
}

/// Q4_K and Q5_K; the latter has 32 bytes of fifth bits between scales and nibbles.
void read_q45_k(const unsigned char* p, bool has_fifth, FileGroup& out) {
  out.scale[0] = read_u16(p);
  out.minimum[0] = read_u16(p + 2) ^ kHalfSign;  // the file's is subtracted
  read_six_bit_pairs(p + 4, out);
  const unsigned char* fifth = p + 16;
  const unsigned char* q = has_fifth ? p + 48 : p + 16;
  for (int pair = 0; pair < 4; ++pair) {
    for (int i = 0; i < 32; ++i) {
      out.codes[64 * pair + i] = q[32 * pair + i] & 15U;
      out.codes[64 * pair + 32 + i] = static_cast<std::uint8_t>(q[32 * pair + i] >> 4U);
    }
  }
  if (!has_fifth) return;
  for (int g = 0; g < 8; ++g) {
    for (int i = 0; i < 32; ++i) {
      const int top = (fifth[i] >> g) & 1;
      out.codes[32 * g + i] = static_cast<std::uint8_t>(out.codes[32 * g + i] | (top << 4));
    }
  }
}

void read_q2_k(const unsigned char* p, FileGroup& out) {
  const unsigned char* q = p + 16;
  out.scale[0] = read_u16(p + 80);
  out.minimum[0] = read_u16(p + 82) ^ kHalfSign;
  for (int i = 0; i < 16; ++i) {
    out.sub_scale[i] = static_cast<std::int8_t>(p[i] & 15);
    out.sub_minimum[i] = static_cast<std::int8_t>(p[i] >> 4);
  }
  for (int e = 0; e < 256; ++e) {
    out.codes[e] = (q[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2)) & 3U;
  }
}

void read_q3_k(const unsigned char* p, FileGroup& out) {
  const unsigned char* high = p;
  const unsigned char* q = p + 32;
  const unsigned char* scales = p + 96;
  out.scale[0] = read_u16(p + 108);
  for (int i = 0; i < 16; ++i) {
    const int low = i < 8 ? scales[i] & 15 : scales[i - 8] >> 4;
    const int top = (scales[8 + i % 4] >> (i / 4 * 2)) & 3;
    out.sub_scale[i] = static_cast<std::int8_t>((low | (top << 4)) - 32);
  }
  for (int e = 0; e < 256; ++e) {
    const int low = (q[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2)) & 3;
    const int top = (high[e % 32] >> (e / 32)) & 1;
    out.codes[e] = static_cast<std::uint8_t>(low | (top << 2));
  }
}

void read_q6_k(const unsigned char* p, FileGroup& out) {
  const unsigned char* high = p + 128;
  out.scale[0] = read_u16(p + 208);
  std::memcpy(out.sub_scale, p + 192, 16);
  for (int half = 0; half < 2; ++half) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const unsigned char* low = p + 64 * half + 32 * (quarter % 2);
      const unsigned char* top = high + 32 * half;
      std::uint8_t* codes = out.codes + 128 * half + 32 * quarter;
      for (int i = 0; i < 32; ++i) {
        codes[i] = static_cast<std::uint8_t>(((low[i] >> (quarter / 2 * 4)) & 15) |
                                             (((top[i] >> (quarter * 2)) & 3) << 4));
      }
    }
  }
}

void read_iq4_xs(const unsigned char* p, FileGroup& out) {
  out.scale[0] = read_u16(p);
  const int high = read_u16(p + 2);
  for (int g = 0; g < 8; ++g) {
    const int low = (p[4 + g / 2] >> (g % 2 * 4)) & 15;
    out.sub_scale[g] = static_cast<std::int8_t>((low | (((high >> (2 * g)) & 3) << 4)) - 32);
    split_nibbles(p + 8 + 16 * g, out.codes + 32 * g);
  }
}

void read_small_block(PackFormat format, const unsigned char* p, int g, FileGroup& out) {
  switch (format) {
    case PackFormat::kQ4_0:
    case PackFormat::kIQ4_NL:
      return read_nibble_block(p, false, false, g, out);
    case PackFormat::kQ4_1:
      return read_nibble_block(p, true, false, g, out);
    case PackFormat::kQ5_0:
      return read_nibble_block(p, false, true, g, out);
    case PackFormat::kQ5_1:
      return read_nibble_block(p, true, true, g, out);
    case PackFormat::kQ8_0:
      return read_q8_0(p, g, out);
    case PackFormat::kMXFP4:
      return read_mxfp4(p, g, out);
    case PackFormat::kU4:
    case PackFormat::kU8:
      return read_zero_block(p, format == PackFormat::kU4, g, out);
    case PackFormat::kAffine4:
    case PackFormat::kAffine8:
      return read_affine_block(p, format == PackFormat::kAffine4, g, out);
    case PackFormat::kI8By16:
      return read_i8_by16(p, g, out);
    case PackFormat::kE2M1By16:
      return read_e2m1_by16(p, g, out);
    case PackFormat::kE4M3:
    case PackFormat::kE5M2:
      return read_float_block(p, false, g, out);
    case PackFormat::kNF4:
    case PackFormat::kFP4:
      return read_float_block(p, true, g, out);
    default:
      return;
  }
}

}  // namespace

std::int64_t file_bytes_per_256(PackFormat format) noexcept {
  switch (format) {
    case PackFormat::kF32:
      return 1024;
    case PackFormat::kF16:
    case PackFormat::kBF16:
      return 512;
    case PackFormat::kQ4_0:
    case PackFormat::kIQ4_NL:
      return 8 * 18;
    case PackFormat::kQ4_1:
      return 8 * 20;
    case PackFormat::kQ5_0:
      return 8 * 22;
    case PackFormat::kQ5_1:
      return 8 * 24;
    case PackFormat::kQ8_0:
      return 8 * 34;
    case PackFormat::kMXFP4:
      return 8 * 17;
    case PackFormat::kQ2_K:
      return 84;
    case PackFormat::kQ3_K:
      return 110;
    case PackFormat::kQ4_K:
      return 144;
    case PackFormat::kQ5_K:
      return 176;
    case PackFormat::kQ6_K:
      return 210;
    case PackFormat::kIQ4_XS:
      return 136;
    case PackFormat::kU4:
      return 8 * 21;
    case PackFormat::kU8:
      return 8 * 37;
    case PackFormat::kAffine4:
    case PackFormat::kE2M1By16:
      return 8 * 24;
    case PackFormat::kAffine8:
    case PackFormat::kI8By16:
      return 8 * 40;
    case PackFormat::kE4M3:
    case PackFormat::kE5M2:
      return 8 * 36;
    case PackFormat::kNF4:
    case PackFormat::kFP4:
      return 8 * 20;
  }
  return 0;
}

void read_blocks(PackFormat format, const unsigned char* blocks, std::int64_t n, FileGroup& out) {
  switch (format) {
    case PackFormat::kQ2_K:
      return read_q2_k(blocks, out);
    case PackFormat::kQ3_K:
      return read_q3_k(blocks, out);
    case PackFormat::kQ4_K:
      return read_q45_k(blocks, false, out);
    case PackFormat::kQ5_K:
      return read_q45_k(blocks, true, out);
    case PackFormat::kQ6_K:
      return read_q6_k(blocks, out);
    case PackFormat::kIQ4_XS:
      return read_iq4_xs(blocks, out);
    default:
      break;
  }
  const std::int64_t bytes = file_bytes_per_256(format) / 8;
  for (int g = 0; g < static_cast<int>(n / kGroup); ++g) {
    read_small_block(format, blocks + g * bytes, g, out);
  }
}

}  // namespace openllm::kernels
