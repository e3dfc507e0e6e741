#pragma once

#include <cstddef>
#include <cstdint>

// Included by files compiled for different instruction sets: plain data and constant expressions
// only.

namespace openllm::kernels {

/// Layouts of packed weights: one per file format that has its own, and those of codes that come
/// with scales and zero points apart.
enum class PackFormat : std::uint8_t {
  kF32,
  kF16,
  kBF16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kU4,       ///< Codes of at most 4 bits.
  kU8,       ///< Of 8 bits.
  kAffine4,  ///< Of at most 4 bits, with zero points that are no integers.
  kAffine8,
  kI8By16,  ///< Signed codes of 8 bits, with a scale for every 16.
  kE2M1By16,
  kE4M3,  ///< From here on: codes of floats, multiplied in f32.
  kE5M2,
  kNF4,
  kFP4,
};

/// How the factor of a group is kept.
enum class ScaleKind : std::uint8_t {
  kNone,
  kF16,        ///< [G][16] f16, each followed by the minimum's 16 if any.
  kF32,        ///< [G][16] f32, or [G][2][16].
  kF32Zero,    ///< [G][16] f32, each followed by 16 int8: the zero points less the offset of the
               ///< codes. min = -scale * that.
  kF32Affine,  ///< [G][16] f32, each followed by as many zero points, f32. min = -scale * that.
  kSuper,  ///< Per 256 elements: 16 f16 factors (and 16 of the minimum), then 16 int8 per subgroup
           ///< (and 16).
};

/// What codes of floats stand for.
enum class FloatCode : std::uint8_t { kNone, kE4M3, kE5M2, kNF4, kFP4 };

/// value = scale * (code - offset) + min; codes are unsigned. With a table: value = scale *
/// (table[code] - 128). Of floats: value = scale * float of the code.
struct PackTraits {
  std::uint8_t bits;  ///< 4, 5, 6, 8: layout of the codes; 0: plain elements.
  ScaleKind scale;
  bool has_min;
  std::uint8_t n_sub;        ///< Scales per group of 32: 1 or 2.
  std::int8_t offset_shift;  ///< offset = 1 << offset_shift; -1: no offset.
  std::uint8_t table;        ///< 0: none, 1: IQ4, 2: MXFP4.
  FloatCode floats = FloatCode::kNone;
};

constexpr PackTraits kPackTraits[] = {
    {0, ScaleKind::kNone, false, 1, -1, 0},                   // F32
    {0, ScaleKind::kNone, false, 1, -1, 0},                   // F16
    {0, ScaleKind::kNone, false, 1, -1, 0},                   // BF16
    {4, ScaleKind::kF16, false, 1, 3, 0},                     // Q4_0
    {4, ScaleKind::kF16, true, 1, -1, 0},                     // Q4_1
    {5, ScaleKind::kF16, false, 1, 4, 0},                     // Q5_0
    {5, ScaleKind::kF16, true, 1, -1, 0},                     // Q5_1
    {8, ScaleKind::kF16, false, 1, 7, 0},                     // Q8_0
    {4, ScaleKind::kSuper, true, 2, -1, 0},                   // Q2_K
    {4, ScaleKind::kSuper, false, 2, 2, 0},                   // Q3_K
    {4, ScaleKind::kSuper, true, 1, -1, 0},                   // Q4_K
    {5, ScaleKind::kSuper, true, 1, -1, 0},                   // Q5_K
    {6, ScaleKind::kSuper, false, 2, 5, 0},                   // Q6_K
    {4, ScaleKind::kF16, false, 1, 7, 1},                     // IQ4_NL
    {4, ScaleKind::kSuper, false, 1, 7, 1},                   // IQ4_XS
    {4, ScaleKind::kF32, false, 1, 7, 2},                     // MXFP4
    {4, ScaleKind::kF32Zero, true, 1, 3, 0},                  // U4
    {8, ScaleKind::kF32Zero, true, 1, 7, 0},                  // U8
    {4, ScaleKind::kF32Affine, true, 1, -1, 0},               // Affine4
    {8, ScaleKind::kF32Affine, true, 1, 7, 0},                // Affine8
    {8, ScaleKind::kF32, false, 2, 7, 0},                     // I8By16
    {4, ScaleKind::kF32, false, 2, 7, 2},                     // E2M1By16
    {8, ScaleKind::kF32, false, 1, -1, 0, FloatCode::kE4M3},  // E4M3
    {8, ScaleKind::kF32, false, 1, -1, 0, FloatCode::kE5M2},  // E5M2
    {4, ScaleKind::kF32, false, 1, -1, 0, FloatCode::kNF4},   // NF4
    {4, ScaleKind::kF32, false, 1, -1, 0, FloatCode::kFP4},   // FP4
};

constexpr std::int64_t kTileRows = 16;
constexpr std::int64_t kGroup = 32;
constexpr std::int64_t kSuperGroup = 256;
/// Groups of a span: of activations in codes of two bytes, which have a scale for each; the last
/// span of a row may be shorter.
constexpr std::int64_t kSpanGroups = 8;
constexpr float kWideMost = 127.0F * 256.0F;  ///< The code of a span's largest.

/// Code tables with 128 added, so that table codes are unsigned bytes with offset 128.
constexpr std::uint8_t kIq4Table[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                        129, 141, 153, 166, 181, 197, 217, 241};
constexpr std::uint8_t kMxfp4Table[16] = {128, 129, 130, 131, 132, 134, 136, 140,
                                          128, 127, 126, 125, 124, 122, 120, 116};

/// What codes of 4 bits of floats stand for: those of bitsandbytes, NF4 and FP4.
constexpr float kNf4Floats[16] = {-1.0F,
                                  -0.6961928009986877F,
                                  -0.5250730514526367F,
                                  -0.39491748809814453F,
                                  -0.28444138169288635F,
                                  -0.18477343022823334F,
                                  -0.09105003625154495F,
                                  0.0F,
                                  0.07958029955625534F,
                                  0.16093020141124725F,
                                  0.24611230194568634F,
                                  0.33791524171829224F,
                                  0.44070982933044434F,
                                  0.5626170039176941F,
                                  0.7229568362236023F,
                                  1.0F};
constexpr float kFp4Floats[16] = {
    0.0F,  0.0625F / 12.0F,  8.0F / 12.0F,  1.0F,  4.0F / 12.0F,  0.5F,  2.0F / 12.0F,  0.25F,
    -0.0F, -0.0625F / 12.0F, -8.0F / 12.0F, -1.0F, -4.0F / 12.0F, -0.5F, -2.0F / 12.0F, -0.25F};

/// Bytes of a tile's group of 32 codes. 4 bits: low nibbles hold k 0..15, high ones k 16..31, each
/// byte [k / 4][row][k % 4]. 5 bits: then one bit per code in panel order. 6 bits: then two bits
/// per code: byte i of half h holds those of panel bytes i + 64 * (4 h .. 4 h + 3). 8 bits: [k /
/// 4][row][k % 4], the "panel order". Of floats: [k][row], or [k / 2][row] with even k in the low
/// nibbles.
constexpr std::int64_t group_bytes(const PackTraits traits) {
  return traits.bits == 8 ? 512 : 256 + 64 * (traits.bits - 4);
}

/// Bytes of one record of scales: per group, or per 256 elements for kSuper.
constexpr std::int64_t scale_record_bytes(const PackTraits traits) {
  const std::int64_t both = traits.has_min ? 2 : 1;
  if (traits.scale == ScaleKind::kF16) return 32 * both;
  if (traits.scale == ScaleKind::kF32) return std::int64_t{64} * traits.n_sub;
  if (traits.scale == ScaleKind::kF32Affine) return 64 + 64;
  if (traits.scale == ScaleKind::kF32Zero) return 64 + 16;
  return 32 * both + 8 * traits.n_sub * 16 * both;
}

}  // namespace openllm::kernels
