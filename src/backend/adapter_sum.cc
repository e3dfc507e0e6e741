#include "backend/adapter_sum.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace openllm::backend {
namespace {

constexpr std::size_t kMaxTerms = 16;
constexpr float kMaxFactor = 1e6F;

[[noreturn]] void fail_sum(std::string_view text, const char* what) {
  base::fail_at(ErrorCode::kInvalidArgument, "adapter_name", what,
                " (expected a name, or a sum as name*0.5+name*2; got ", text, ")");
}

AdapterTerm parse_term(std::string_view text, std::string_view term) {
  const std::size_t star = term.rfind('*');
  AdapterTerm parsed{std::string(term.substr(0, star)), 1.0F};
  if (parsed.name.empty()) fail_sum(text, "a part without a name");
  if (star == std::string_view::npos) return parsed;
  const std::string_view number = term.substr(star + 1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), parsed.factor);
  if (error != std::errc() || end != number.data() + number.size() ||
      !(std::fabs(parsed.factor) <= kMaxFactor)) {
    fail_sum(text, "a factor that is no number");
  }
  return parsed;
}

}  // namespace

std::vector<AdapterTerm> parse_adapter_sum(std::string_view text) {
  std::vector<AdapterTerm> terms;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('+', begin), text.size());
    terms.push_back(parse_term(text, text.substr(begin, end - begin)));
    const auto same = [&](const AdapterTerm& term) { return term.name == terms.back().name; };
    if (std::count_if(terms.begin(), terms.end(), same) > 1)
      fail_sum(text, "one adapter given twice");
    if (terms.size() > kMaxTerms) fail_sum(text, "more than 16 adapters");
    begin = end + 1;
  }
  return terms;
}

void require_adapter_name(const std::string& name) {
  if (name != "none" && name.find_first_of("+*") == std::string::npos) return;
  base::fail_at(ErrorCode::kInvalidArgument, "adapters",
                "a name that requests cannot have (expected neither + nor *, and not none; got ",
                name, ")");
}

}  // namespace openllm::backend
