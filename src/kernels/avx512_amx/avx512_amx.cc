// What AMX adds to the AVX-512 kernels: BF16 weights times activations in BF16, or in three of
// them, by tiles. The packed matrix is what the instructions want. simd.h must come before the
// kernels written over it.
// clang-format off
#include "kernels/isa_tables.h"
#include "kernels/avx512/simd.h"
#include "kernels/common/tiles.h"
// clang-format on

namespace openllm::kernels {
namespace {

constexpr int kTilesTogether = 4;
constexpr std::int64_t kBlockRows = 16;  ///< Rows of x that a tile holds.
constexpr std::int64_t kStep = 32;       ///< Columns that it holds.

/// Operand of ldtilecfg: palette 1.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t n_rows[16] = {};
};

/// Keeps what is written before from being moved behind an instruction on tiles, or left out:
/// compilers do not know all that those read.
OPENLLM_INLINE void finish_writes(const void* p) { __asm__ volatile("" ::"r"(p) : "memory"); }

/// Registers 0 to 3: sums, one for each tile of weights; 4: rows; 6 and 7: weights. A sum takes the
/// products of 32 columns with the first plane, with the others, and then those of the next 32,
/// whatever the number of rows.
template <int kPlanes>
class TiledProduct {
 public:
  explicit TiledProduct(const LinearArgs& args)
      : args_(args), plane_((args.weight->k + 1) / 2 * 2), whole_(args.weight->k / kStep * kStep) {}

  void run() {
    for (std::int64_t tile = args_.tile_begin; tile < args_.tile_end; tile += kTilesTogether) {
      const std::int64_t left = args_.tile_end - tile;
      if (left >= 4) {
        all_rows<4>(tile);
      } else if (left == 3) {
        all_rows<3>(tile);
      } else if (left == 2) {
        all_rows<2>(tile);
      } else {
        all_rows<1>(tile);
      }
    }
    _tile_release();
  }

 private:
  void shape_tiles(int n_rows, std::int64_t n_columns) {
    const int n_pairs = static_cast<int>(n_columns < kStep ? (n_columns + 1) / 2 : kStep / 2);
    if (n_rows == shaped_rows_ && n_pairs == shaped_pairs_) return;
    shaped_rows_ = n_rows;
    shaped_pairs_ = n_pairs;
    TileShapes shapes;
    for (int i = 0; i < 8; ++i) {
      shapes.row_bytes[i] = static_cast<std::uint16_t>(i == 4 ? 4 * n_pairs : 64);
      shapes.n_rows[i] = static_cast<std::uint8_t>(i >= 6 ? n_pairs : n_rows);
    }
    finish_writes(&shapes);
    _tile_loadconfig(&shapes);
  }

  /// In blocks of nearly equal size.
  template <int kTiles>
  void all_rows(std::int64_t tile) {
    std::int64_t n = 0;
    for (std::int64_t row = args_.row_begin; row < args_.row_end; row += n) {
      const std::int64_t left = args_.row_end - row;
      const std::int64_t n_blocks = (left + kBlockRows - 1) / kBlockRows;
      n = (left + n_blocks - 1) / n_blocks;
      block<kTiles>(tile, row, static_cast<int>(n));
    }
  }

  template <int kTiles>
  void block(std::int64_t tile, std::int64_t row, int n_rows) {
    const std::int64_t k = args_.weight->k;
    if (whole_ > 0) {
      shape_tiles(n_rows, kStep);
      clear_sums<kTiles>();
      columns<kTiles>(tile, row, 0, whole_);
    }
    if (whole_ < k) {
      if (whole_ > 0) store_sums<kTiles>();
      shape_tiles(n_rows, k - whole_);  // clears all registers if it changes something
      clear_sums<kTiles>();
      if (whole_ > 0) load_sums<kTiles>();
      columns<kTiles>(tile, row, whole_, k);
    }
    store_sums<kTiles>();
    for (int m = 0; m < n_rows; ++m) {
      for (int n = 0; n < kTiles; ++n) {
        const VF sum = load(sums_[m][n]);
        finish_tile<1>(args_, tile + n, row + m, &sum);
      }
    }
  }

  template <int kTiles>
  OPENLLM_INLINE void clear_sums() {
    _tile_zero(0);
    if constexpr (kTiles > 1) _tile_zero(1);
    if constexpr (kTiles > 2) _tile_zero(2);
    if constexpr (kTiles > 3) _tile_zero(3);
  }

  template <int kTiles>
  OPENLLM_INLINE void store_sums() {
    _tile_stored(0, sums_[0][0], sizeof(sums_[0]));
    if constexpr (kTiles > 1) _tile_stored(1, sums_[0][1], sizeof(sums_[0]));
    if constexpr (kTiles > 2) _tile_stored(2, sums_[0][2], sizeof(sums_[0]));
    if constexpr (kTiles > 3) _tile_stored(3, sums_[0][3], sizeof(sums_[0]));
  }

  template <int kTiles>
  OPENLLM_INLINE void load_sums() {
    _tile_loadd(0, sums_[0][0], sizeof(sums_[0]));
    if constexpr (kTiles > 1) _tile_loadd(1, sums_[0][1], sizeof(sums_[0]));
    if constexpr (kTiles > 2) _tile_loadd(2, sums_[0][2], sizeof(sums_[0]));
    if constexpr (kTiles > 3) _tile_loadd(3, sums_[0][3], sizeof(sums_[0]));
  }

  template <int kTiles>
  OPENLLM_INLINE void columns(std::int64_t tile, std::int64_t row, std::int64_t begin,
                              std::int64_t end) {
    const std::int64_t bytes = args_.weight->tile_bytes;
    const unsigned char* w = args_.weight->data + tile * bytes;
    const std::uint16_t* x = args_.x_bf16 + row * kPlanes * plane_;
    for (std::int64_t k = begin; k < end; k += kStep) {
#pragma GCC unroll 3
      for (int p = 0; p < kPlanes; ++p) add_products<kTiles>(w + k * 32, bytes, x + p * plane_ + k);
    }
  }

  template <int kTiles>
  OPENLLM_INLINE void add_products(const unsigned char* w, std::int64_t bytes,
                                   const std::uint16_t* x) const {
    _tile_loadd(4, x, kPlanes * plane_ * 2);
    _tile_loadd(6, w, 64);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kTiles > 1) {
      _tile_loadd(7, w + bytes, 64);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (kTiles > 2) {
      _tile_loadd(6, w + 2 * bytes, 64);
      _tile_dpbf16ps(2, 4, 6);
    }
    if constexpr (kTiles > 3) {
      _tile_loadd(7, w + 3 * bytes, 64);
      _tile_dpbf16ps(3, 4, 7);
    }
  }

  const LinearArgs& args_;
  const std::int64_t plane_;  ///< Elements from a row's plane to its next.
  const std::int64_t whole_;  ///< Columns in whole steps.
  int shaped_rows_ = 0;
  int shaped_pairs_ = 0;
  alignas(64) float sums_[kBlockRows][kTilesTogether][16];
};

}  // namespace

void linear_bf16_avx512_amx(const LinearArgs* args) {
  if (args->bf16_planes == kSplitPlanes) {
    TiledProduct<kSplitPlanes>(*args).run();
  } else {
    TiledProduct<1>(*args).run();
  }
}

void split_bf16_avx512_amx(const float* x, std::int64_t k, std::uint16_t* out) {
  const std::int64_t plane = (k + 1) / 2 * 2;
  for (std::int64_t i = 0; i < k; i += 16) {
    const std::int64_t left = k - i < 16 ? k - i : 16;
    const __mmask16 lanes = first_lanes((left + 1) / 2 * 2);  // the last pair is always whole
    VF rest = load_some(x + i, left);
#pragma GCC unroll 3
    for (int p = 0; p < kSplitPlanes; ++p) {
      const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest));
      _mm256_mask_storeu_epi16(out + p * plane + i, lanes, rounded);
      rest = sub(rest, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16)));
    }
  }
}

}  // namespace openllm::kernels
