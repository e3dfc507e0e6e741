#include <algorithm>

#include "base/utf8.h"
#include "jinja/methods/methods.h"
#include "jinja/text/text.h"

namespace openllm::jinja {
namespace {

/// True when there is a character and all of them pass.
template <bool (*test)(char32_t) noexcept>
Value all_of(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("is...", args, {});
  const std::string& bytes = self.text();
  runtime.charge_bytes(bytes.size() * 4);
  for (std::size_t pos = 0; pos < bytes.size();) {
    if (!test(base::decode_utf8(bytes, pos))) return Value(false);
  }
  return Value(!bytes.empty());
}

bool is_alnum(char32_t c) noexcept {
  return text::is_alpha(c) || text::is_decimal(c) || text::is_digit(c) || text::is_numeric(c);
}

/// islower and isupper: some letter of that case, none of the other.
template <bool (*wanted)(char32_t) noexcept, bool (*other)(char32_t) noexcept>
Value has_case(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("is...", args, {});
  const std::string& bytes = self.text();
  runtime.charge_bytes(bytes.size() * 4);
  bool found = false;
  for (std::size_t pos = 0; pos < bytes.size();) {
    const char32_t c = base::decode_utf8(bytes, pos);
    if (other(c)) return Value(false);
    found = found || wanted(c);
  }
  return Value(found);
}

Value is_title(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("istitle", args, {});
  const std::string& bytes = self.text();
  runtime.charge_bytes(bytes.size() * 4);
  bool inside = false;
  bool found = false;
  for (std::size_t pos = 0; pos < bytes.size();) {
    const char32_t c = base::decode_utf8(bytes, pos);
    const bool upper = text::is_upper(c);
    const bool lower = text::is_lower(c);
    if ((upper && inside) || (lower && !inside)) return Value(false);
    inside = upper || lower;
    found = found || inside;
  }
  return Value(found);
}

Value is_ascii(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("isascii", args, {});
  runtime.charge_bytes(self.text().size());
  return Value(std::all_of(self.text().begin(), self.text().end(),
                           [](char c) { return static_cast<unsigned char>(c) < 0x80U; }));
}

Value is_printable(Runtime& runtime, const Value& self, const Args& args) {
  return self.text().empty() ? Value(true) : all_of<text::is_printable>(runtime, self, args);
}

Value is_identifier(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("isidentifier", args, {});
  const std::string& bytes = self.text();
  if (bytes.empty()) return Value(false);
  std::size_t pos = 0;
  const char32_t first = base::decode_utf8(bytes, pos);
  if (first != '_' && !text::is_alpha(first)) return Value(false);
  return all_of<text::is_word>(runtime, self, args);
}

constexpr BuiltinEntry kPredicates[] = {
    {"isalnum", all_of<is_alnum>},
    {"isalpha", all_of<text::is_alpha>},
    {"isascii", is_ascii},
    {"isdecimal", all_of<text::is_decimal>},
    {"isdigit", all_of<text::is_digit>},
    {"isidentifier", is_identifier},
    {"islower", has_case<text::is_lower, text::is_upper>},
    {"isnumeric", all_of<text::is_numeric>},
    {"isprintable", is_printable},
    {"isspace", all_of<text::is_space>},
    {"istitle", is_title},
    {"isupper", has_case<text::is_upper, text::is_lower>},
};

}  // namespace

std::span<const BuiltinEntry> text_predicates() noexcept { return kPredicates; }

}  // namespace openllm::jinja
