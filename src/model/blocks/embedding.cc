#include "model/blocks/embedding.h"

#include <cmath>
#include <vector>

namespace openllm::model {
namespace {

std::vector<float> make_waves(const WaveSpec& spec, int n_rows, std::int64_t n_cols) {
  const auto half = static_cast<std::size_t>(n_cols / 2);
  const double step = std::log(10000.0) / spec.denominator;
  std::vector<float> rows(static_cast<std::size_t>(n_rows) * half * 2);
  for (std::size_t i = 0; i < half; ++i) {
    const double exact = std::exp(static_cast<double>(i) * -step);
    const float rounded = std::exp(static_cast<float>(i) * -static_cast<float>(step));
    for (std::size_t p = 0; p < static_cast<std::size_t>(n_rows); ++p) {
      const double angle = spec.in_f32 ? static_cast<double>(static_cast<float>(p) * rounded)
                                       : static_cast<double>(p) * exact;
      float* row = rows.data() + p * 2 * half;
      row[i] = static_cast<float>(std::sin(angle));
      row[half + i] = static_cast<float>(std::cos(angle));
    }
  }
  return rows;
}

}  // namespace

Embedding::Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, Role role, int vocab_size,
                     bool is_output)
    : spec_(spec),
      own_table_(builder.loader.table(
          role, vocab_size, spec.width > 0 ? std::int64_t{spec.width} : builder.dim, is_output)),
      table_(own_table_.get()) {
  piece_ = builder.loader.list_module({.ref = {role::kEmbedding},
                                       .n_out = table_->in_features(),
                                       .n_in = vocab_size,
                                       .weight = table_,
                                       .is_table = true,
                                       .table_scale = spec.scale});
  load_rest(builder);
}

Embedding::Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, const Embedding& other)
    : spec_(spec), table_(other.table_), piece_(other.piece_) {
  load_rest(builder);
}

void Embedding::load_rest(BlockBuilder& builder) {
  if (spec_.width > 0) {
    output_.emplace(builder,
                    std::vector<LinearPart>{{role::kEmbeddingOutput, builder.dim, spec_.is_narrow}},
                    spec_.width, At{});
  }
  const std::int64_t dim = spec_.is_narrow ? spec_.width : builder.dim;
  if (spec_.waves && builder.loader.index().find_weight(role::kPositions) == nullptr) {
    positions_ = builder.loader.made_table(spec_.n_positions, dim,
                                           make_waves(*spec_.waves, spec_.n_positions, dim));
  } else if (spec_.n_positions > 0) {
    positions_ = builder.loader.table(role::kPositions, spec_.n_positions, dim, false);
  }
  if (spec_.n_token_types > 0) {
    token_types_ = builder.loader.table(role::kTokenTypes, spec_.n_token_types, dim, false);
  }
  if (spec_.has_norm || spec_.norms_tokens) norm_.emplace(builder, role::kEmbeddingNorm, At{}, dim);
}

void Embedding::run(Run& run, device::Tensor x) const {
  if (output_) {
    const Scratch::Frame frame(run.scratch);
    const device::Tensor narrow = run.scratch.take(x.rows, spec_.width);
    embed(run, narrow);
    if (spec_.is_narrow) add_rest(run, narrow);
    output_->run(run, narrow, x);
  } else {
    embed(run, x);
  }
  if (!spec_.is_narrow) add_rest(run, x);
}

void Embedding::embed(Run& run, device::Tensor x) const {
  run.device.embed(*table_, {.scale = spec_.scale}, x);
  run.device.embed_deltas(run.embedding_deltas(piece_), x);
}

void Embedding::add_rest(Run& run, device::Tensor x) const {
  if (norm_ && spec_.norms_tokens) norm_->run(run, x, x);
  using By = device::Lookup::By;
  if (positions_) {
    run.device.embed(*positions_,
                     {.by = By::kPosition, .offset = spec_.position_offset, .add = true}, x);
  }
  if (token_types_) run.device.embed(*token_types_, {.by = By::kTokenType, .add = true}, x);
  if (norm_ && !spec_.norms_tokens) norm_->run(run, x, x);
}

}  // namespace openllm::model
