#include "server/api/json_text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace openllm::server {

void append_logprob(std::string& out, float value) {
  constexpr std::string_view kImpossible = "-9999.0";
  if (!std::isfinite(value)) {
    out += kImpossible;
    return;
  }
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), result.ptr);
}

void append_int(std::string& out, std::int64_t value) {
  std::array<char, 24> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  out.append(text.data(), result.ptr);
}

void append_ids(std::string& out, const std::vector<std::int32_t>& ids) {
  out += '[';
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_int(out, ids[i]);
  }
  out += ']';
}

void append_usage(std::string& out, const Usage& usage) {
  out += R"({"prompt_tokens":)";
  append_int(out, usage.n_prompt);
  out += R"(,"completion_tokens":)";
  append_int(out, usage.n_completion);
  out += R"(,"total_tokens":)";
  append_int(out, usage.n_prompt + usage.n_completion);
  out += R"(,"prompt_tokens_details":{"cached_tokens":)";
  append_int(out, usage.n_cached);
  out += "}}";
}

}  // namespace openllm::server
