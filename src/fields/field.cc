#include "fields/field.h"

#include <cmath>

#include "base/error.h"
#include "base/nearest.h"

namespace openllm::fields {

const Field* find(std::string_view name) noexcept {
  if (name.empty()) return nullptr;
  for (const Field& field : all()) {
    if (name == field.name || name == field.openai || name == field.alias) return &field;
  }
  return nullptr;
}

const AbsentField* find_absent(std::string_view name) noexcept {
  for (const AbsentField& field : absent()) {
    if (name == field.name) return &field;
  }
  return nullptr;
}

std::string did_you_mean(std::string_view name) {
  std::vector<std::string> known;
  for (const Field& field : all()) {
    for (const std::string_view each : {field.name, field.openai, field.alias}) {
      if (!each.empty()) known.emplace_back(each);
    }
  }
  for (const AbsentField& field : absent()) known.emplace_back(field.name);
  const std::optional<std::string> meant = base::nearest(name, known);
  return meant ? base::cat("; did you mean ", *meant, "?") : std::string();
}

const char* to_string(Type type) noexcept {
  switch (type) {
    case Type::kBoolean:
      return "boolean";
    case Type::kInteger:
    case Type::kSeed:
      return "integer";
    case Type::kNumber:
      return "number";
    case Type::kSeconds:
      return "seconds";
    case Type::kText:
      return "text";
    case Type::kJson:
      return "JSON";
    case Type::kTexts:
      return "texts";
    case Type::kTokenIds:
      return "token ids";
    case Type::kTokenNumbers:
      return "numbers of token ids";
  }
  return "";
}

const char* to_string(Group group) noexcept {
  switch (group) {
    case Group::kLength:
      return "Length";
    case Group::kSampling:
      return "Sampling";
    case Group::kStop:
      return "Stops";
    case Group::kOutput:
      return "Output";
    case Group::kPrompt:
      return "Prompt";
    case Group::kScheduling:
      return "Scheduling";
  }
  return "";
}

std::string to_string(const Range& range) {
  constexpr double kMaxInt = std::numeric_limits<int>::max();
  const auto shown = [](double bound) {
    const bool is_whole = std::nearbyint(bound) == bound && std::abs(bound) < 1e15;
    return is_whole ? std::to_string(static_cast<std::int64_t>(bound)) : base::cat(bound);
  };
  const bool has_max = std::isfinite(range.max) && range.max != kMaxInt;
  if (!std::isfinite(range.min)) return has_max ? "at most " + shown(range.max) : std::string();
  const std::string min = shown(range.min);
  if (!has_max) return (range.is_above_min ? "above " : "at least ") + min;
  return base::cat(range.is_above_min ? "above " : "", min, " to ", shown(range.max));
}

}  // namespace openllm::fields
