// Receipts come from anybody: parsing ends with a receipt or an Error. Bytes that are JSON get the
// hash that fits them, so that what lies behind it is reached.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llm/receipt.h"
#include "openllm/error.h"

namespace {

void parse(std::string_view text) {
  try {
    const openllm::llm::Receipt receipt = openllm::llm::parse_receipt(text);
    if (receipt.choices.empty()) std::abort();
    if (receipt.has_prompt &&
        receipt.n_prompt_tokens != static_cast<std::int64_t>(receipt.request.prompt_ids.size()))
      std::abort();
    for (const auto& choice : receipt.choices) {
      if (choice.token_ids &&
          choice.n_tokens != static_cast<std::int64_t>(choice.token_ids->size()))
        std::abort();
    }
  } catch (const openllm::Error&) {
    return;  // refused, as it should be
  }
}

/// The text with the hash of the whole that fits it; empty for what is no object.
std::string with_hashes(std::string_view text) {
  using openllm::base::Json;
  try {
    Json json = Json::parse_unique(text, "fuzz");
    if (!json.is_object()) return {};
    json.if_object()->erase("sha256");
    const std::string digest = openllm::llm::sha256_of(json.dump());
    json["sha256"] = digest;
    return json.dump();
  } catch (const openllm::Error&) {
    return {};
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  parse(text);
  if (const std::string fitting = with_hashes(text); !fitting.empty()) parse(fitting);
  return 0;
}
