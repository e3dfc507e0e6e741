#include "model/blocks/embedding.h"

#include <cmath>

namespace openllm::model {
namespace {

std::vector<float> sine_rows(const std::vector<float>& frequencies, int n_rows) {
  std::vector<float> rows;
  rows.reserve(static_cast<std::size_t>(n_rows) * frequencies.size() * 2);
  for (int i = 0; i < n_rows; ++i) {
    const auto row = static_cast<float>(i);
    for (const float frequency : frequencies) rows.push_back(std::sin(row * frequency));
    for (const float frequency : frequencies) rows.push_back(std::cos(row * frequency));
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
  load_rest(builder);
}

Embedding::Embedding(const EmbeddingSpec& spec, BlockBuilder& builder, const Embedding& other)
    : spec_(spec), table_(other.table_) {
  load_rest(builder);
}

void Embedding::load_rest(BlockBuilder& builder) {
  if (spec_.width > 0) {
    output_.emplace(builder,
                    std::vector<LinearPart>{{role::kEmbeddingOutput, builder.dim, spec_.is_narrow}},
                    spec_.width, At{});
  }
  const std::int64_t dim = spec_.is_narrow ? spec_.width : builder.dim;
  if (!spec_.sine_frequencies.empty()) {
    positions_ = builder.loader.made_table(spec_.n_positions, dim,
                                           sine_rows(spec_.sine_frequencies, spec_.n_positions));
  } else if (spec_.n_positions > 0) {
    positions_ = builder.loader.table(role::kPositions, spec_.n_positions, dim, false);
  }
  if (spec_.n_token_types > 0) {
    token_types_ = builder.loader.table(role::kTokenTypes, spec_.n_token_types, dim, false);
  }
  if (spec_.has_norm) norm_.emplace(builder, role::kEmbeddingNorm, At{}, dim);
}

void Embedding::run(Run& run, device::Tensor x) const {
  if (output_) {
    const Scratch::Frame frame(run.scratch);
    const device::Tensor narrow = run.scratch.take(x.rows, spec_.width);
    run.device.embed(*table_, {.scale = spec_.scale}, narrow);
    if (spec_.is_narrow) add_rest(run, narrow);
    output_->run(run, narrow, x);
  } else {
    run.device.embed(*table_, {.scale = spec_.scale}, x);
  }
  if (!spec_.is_narrow) add_rest(run, x);
}

void Embedding::add_rest(Run& run, device::Tensor x) const {
  using By = device::Lookup::By;
  if (positions_) {
    run.device.embed(*positions_,
                     {.by = By::kPosition, .offset = spec_.position_offset, .add = true}, x);
  }
  if (token_types_) run.device.embed(*token_types_, {.by = By::kTokenType, .add = true}, x);
  if (norm_) norm_->run(run, x, x);
}

}  // namespace openllm::model
