// Any bytes as a GGUF vocabulary: an openllm::Error, or a tokenizer whose answers are consistent.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/utf8.h"
#include "openllm/error.h"
#include "tokenizer/tokenizer.h"

namespace {

namespace tokenizer = openllm::tokenizer;

/// Reads the fuzzer's bytes; zeros behind the end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}
  int byte() {
    if (rest_.empty()) return 0;
    const int value = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view text() {
    const std::string_view part = rest_.substr(0, static_cast<std::size_t>(byte() % 16));
    rest_.remove_prefix(std::min(part.size(), rest_.size()));
    return part;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

std::optional<tokenizer::TokenId> maybe_id(Input& in) {
  const int value = in.byte();
  if (value % 2 == 0) return std::nullopt;
  return value / 2 - 3;
}

tokenizer::GgufVocab read_vocab(Input& in) {
  constexpr const char* kPres[] = {"gpt-2",   "smollm", "llama-bpe", "qwen2",
                                   "default", "tekken", "falcon",    "bloom",
                                   "kimi-k2", "afmoe",  "jais-2",    "sarvam-moe"};
  tokenizer::GgufVocab vocab;
  const int flags = in.byte();
  constexpr const char* kModels[] = {"llama", "gpt2", "gemma4", "gpt2",
                                     "bert",  "t5",   "rwkv",   "plamo2"};
  vocab.model = kModels[(flags & 1) + ((flags >> 5) & 6)];
  vocab.pre = kPres[in.byte() % 12];
  for (int n = in.byte(); n > 0; --n) vocab.tokens.push_back(in.text());
  if ((flags & 2) != 0) {
    for (std::size_t i = 0; i < vocab.tokens.size(); ++i) {
      float score = 0;
      const int byte = in.byte();
      if (byte > 250) {
        score = std::strtof(byte % 2 == 0 ? "nan" : "inf", nullptr);
      } else {
        score = static_cast<float>(byte % 32);
      }
      vocab.scores.push_back(score);
    }
  }
  if ((flags & 4) != 0) {
    for (std::size_t i = 0; i < vocab.tokens.size(); ++i)
      vocab.token_types.push_back(in.byte() % 8);
  }
  for (int n = in.byte(); n > 0; --n) vocab.merges.push_back(in.text());
  vocab.bos_id = maybe_id(in);
  vocab.eos_id = maybe_id(in);
  vocab.eot_id = maybe_id(in);
  vocab.unk_id = maybe_id(in);
  if ((flags & 8) != 0) vocab.add_bos = (flags & 16) != 0;
  if ((flags & 32) != 0) vocab.add_space_prefix = (flags & 64) != 0;
  return vocab;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  try {
    const auto tok = tokenizer::make_tokenizer(read_vocab(in));
    for (const bool parse_special : {true, false}) {
      const auto ids = tok->encode(in.rest(), {.parse_special = parse_special});
      for (const tokenizer::TokenId id : ids) {
        if (id < 0 || id >= tok->vocab_size()) std::abort();
      }
      if (!openllm::base::is_valid_utf8(tok->decode(ids, parse_special))) std::abort();
    }
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
