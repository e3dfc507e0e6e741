#include "model/source_encoder.h"

#include <memory>

namespace openllm::model {

namespace {

std::unique_ptr<Embedding> make_embedding(const EmbeddingSpec& spec, BlockBuilder& builder,
                                          const Embedding& tokens, int vocab_size) {
  if (!spec.own_table) return std::make_unique<Embedding>(spec, builder, tokens);
  return std::make_unique<Embedding>(spec, builder, role::kEmbedding, vocab_size, false);
}

}  // namespace

SourceEncoder::SourceEncoder(const StackSpec& spec, BlockBuilder& builder, const Embedding& tokens,
                             int vocab_size)
    : stack_(spec, builder, make_embedding(spec.embedding, builder, tokens, vocab_size)) {}

/// The source texts as sequences of their own, with the block tables of the sequences they belong
/// to.
void SourceEncoder::plan(const step::Step& step) {
  own_.block_tables.resize(step.block_tables.size());
  own_.clear();
  own_.token_ids = step.source_ids;
  for (step::BlockTable& table : own_.block_tables) table.begin.push_back(0);
  for (std::size_t s = 0; s < step.sequences.size(); ++s) {
    const std::int32_t n = step.sequences[s].n_source_rows;
    if (n == 0) continue;
    own_.sequences.push_back({.first_row = static_cast<std::int32_t>(own_.positions.size()),
                              .n_rows = n,
                              .adapter = step.sequences[s].adapter});
    for (std::int32_t i = 0; i < n; ++i) own_.positions.push_back(i);
    for (std::size_t g = 0; g < step.block_tables.size(); ++g) {
      const step::BlockTable& from = step.block_tables[g];
      step::BlockTable& to = own_.block_tables[g];
      to.ids.insert(to.ids.end(), from.ids.begin() + from.begin[s],
                    from.ids.begin() + from.begin[s + 1]);
      to.begin.push_back(static_cast<std::int32_t>(to.ids.size()));
    }
  }
}

void SourceEncoder::run(const Run& given, std::int64_t dim, const Adapters& adapters,
                        std::vector<Layer>& decoder_layers) {
  plan(given.step);
  adapters.find_rows(own_, step_adapters_);
  given.device.begin_step(own_);
  Run run{given.device, own_, given.kv, given.ropes, given.scratch};
  run.use(step_adapters_);
  const Scratch::Frame frame(run.scratch);
  const device::Tensor x = run.scratch.take(own_.n_rows(), dim);
  stack_.run(run, x);
  for (Layer& layer : decoder_layers) layer.remember_source(run, x);
  given.device.finish_step();
}

}  // namespace openllm::model
