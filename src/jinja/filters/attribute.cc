#include "jinja/filters/attribute.h"

#include <algorithm>

#include "jinja/methods/split.h"
#include "jinja/text/number.h"
#include "jinja/text/text.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

constexpr std::size_t kMaxParts = 64;

bool is_number(std::string_view part) {
  return !part.empty() && part.size() < 18 &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Attribute::Attribute(Runtime& runtime, const Value* attribute, const Value* fallback)
    : runtime_(&runtime), has_fallback_(fallback != nullptr) {
  if (fallback != nullptr) fallback_ = *fallback;
  if (attribute == nullptr) return;
  if (!attribute->is_text()) {
    parts_.push_back(*attribute);
    return;
  }
  for (const std::string_view part : split_on(attribute->text(), ".", -1)) {
    if (parts_.size() >= kMaxParts) fail("an attribute has too many parts");
    parts_.push_back(is_number(part) ? Value(*parse_int(part, 10)) : Value(std::string(part)));
  }
}

std::vector<Attribute> Attribute::list(Runtime& runtime, const Value* attributes) {
  std::vector<Attribute> out;
  if (attributes == nullptr || !attributes->is_text()) {
    out.emplace_back(runtime, attributes);
    return out;
  }
  for (const std::string_view part : split_on(attributes->text(), ",", -1)) {
    if (out.size() >= kMaxParts) fail("an attribute has too many parts");
    const Value text = runtime.make_text(std::string(part));
    out.emplace_back(runtime, &text);
  }
  return out;
}

Value Attribute::of(const Value& item) const {
  runtime_->charge(1);
  Value out = item;
  for (const Value& part : parts_) {
    out = get_item(*runtime_, out, part);
    if (has_fallback_ && out.is_undefined()) out = fallback_;
  }
  return out;
}

Value fold_case(Runtime& runtime, const Value& value) {
  if (!value.is_text()) return value;
  runtime.charge_bytes(value.text().size() * 4);
  return runtime.make_text(text::lower(value.text()));
}

}  // namespace openllm::jinja
