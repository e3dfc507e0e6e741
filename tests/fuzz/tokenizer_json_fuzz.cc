// Any bytes as tokenizer.json, tokenizer_config.json and a text, separated by NUL: an
// openllm::Error, or a tokenizer whose answers are consistent.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/utf8.h"
#include "openllm/error.h"
#include "tokenizer/tokenizer.h"

namespace {

namespace tokenizer = openllm::tokenizer;

std::string_view take_part(std::string_view& rest) {
  const std::string_view part = rest.substr(0, rest.find('\0'));
  rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  return part;
}

void use(const tokenizer::Tokenizer& tok, std::string_view text) {
  for (const bool parse_special : {true, false}) {
    const auto ids =
        tok.encode(text, {.add_special_tokens = parse_special, .parse_special = parse_special});
    for (const tokenizer::TokenId id : ids) {
      if (id < 0 || id >= tok.vocab_size()) std::abort();
    }
    const auto located = tok.encode_with_offsets(
        text, {.add_special_tokens = parse_special, .parse_special = parse_special});
    if (located.size() != ids.size()) std::abort();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] != located[i].id || located[i].begin > located[i].end) std::abort();
    }
    const std::string whole = tok.decode(ids, !parse_special);
    if (!openllm::base::is_valid_utf8(whole)) std::abort();
    tokenizer::IncrementalDecoder decoder(tok, !parse_special);
    std::string parts;
    for (const tokenizer::TokenId id : ids) parts += decoder.push(id);
    if (parts + decoder.flush() != whole) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  try {
    const auto json = openllm::base::Json::parse(take_part(rest), "fuzz");
    const std::string_view config = take_part(rest);
    const auto tok = tokenizer::make_tokenizer(
        json, config.empty() ? openllm::base::Json() : openllm::base::Json::parse(config, "fuzz"));
    use(*tok, rest);
    use(*tok, "Hello  w\xC3\xB6rld 123<s>\n");
  } catch (const openllm::Error&) {
    return 0;
  }
  return 0;
}
