// The encoder of T5 alone, whose rows are embeddings. Sources: transformers models/t5, llama.cpp's
// "t5encoder" architecture.

#include <utility>

#include "model/arch/t5.h"

namespace openllm::model {
namespace {

ModelSpec keep_encoder(ModelSpec spec) {
  StackSpec encoder = std::move(*spec.encoder);
  static_cast<StackSpec&>(spec) = std::move(encoder);
  spec.encoder.reset();
  spec.head.reset();
  spec.decoder_start = -1;
  return spec;
}

ModelSpec from_hf(const Config& config) { return keep_encoder(read_t5(config, {})); }

ModelSpec from_gguf(const Config& config, const format::Checkpoint& checkpoint) {
  return keep_encoder(read_t5_gguf(config, checkpoint, "enc"));
}

ModuleLayout only_encoder(ModuleLayout layout, std::initializer_list<ModuleName> tables) {
  layout.modules = std::exchange(layout.encoder_modules, {});
  layout.modules.insert(layout.modules.end(), tables.begin(), tables.end());
  return layout;
}

}  // namespace

/// Both kinds of folders call themselves t5: the class tells them apart.
Family t5_encoder_family() {
  return {"t5_encoder",
          {"T5EncoderModel", "MT5EncoderModel"},
          {"t5encoder"},
          from_hf,
          from_gguf,
          only_encoder(t5_layout({}),
                       {{role::kEmbedding, "shared"}, {role::kEmbedding, "encoder.embed_tokens"}}),
          only_encoder(t5_gguf_layout(), {{role::kEmbedding, "token_embd"}})};
}

}  // namespace openllm::model
