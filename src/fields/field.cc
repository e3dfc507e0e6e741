#include "fields/field.h"

#include <cmath>

#include "base/error.h"
#include "base/nearest.h"

namespace openllm::fields {

namespace {

template <typename Row>
const Row* find_row(std::span<const Row> rows, std::string_view name) noexcept {
  for (const Row& row : rows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

bool shapes_answers(const Field& field) noexcept {
  return field.in_receipts.value_or(field.group != Group::kPrompt &&
                                    field.group != Group::kScheduling);
}

std::vector<std::string_view> names_of(const Field& field) {
  std::vector<std::string_view> names;
  if (!field.openai.empty()) names.push_back(field.openai);
  names.push_back(field.name);
  if (!field.transformers.empty()) names.push_back(field.transformers);
  for (const std::string_view alias : field.aliases) {
    if (!alias.empty()) names.push_back(alias);
  }
  return names;
}

const Field* find(std::string_view name) noexcept {
  if (name.empty()) return nullptr;
  for (const Field& field : all()) {
    if (name == field.name || name == field.openai || name == field.transformers) return &field;
    for (const std::string_view alias : field.aliases) {
      if (name == alias) return &field;
    }
  }
  return nullptr;
}

const AbsentField* find_absent(std::string_view name) noexcept { return find_row(absent(), name); }
const BodyMember* find_member(std::string_view name) noexcept {
  return find_row(body_members(), name);
}
const HarmlessMember* find_harmless(std::string_view name) noexcept {
  return find_row(harmless(), name);
}

std::string_view transformers_name(const Field& field) noexcept {
  return field.transformers.empty() ? field.name : field.transformers;
}
std::string_view openai_name(const Field& field) noexcept {
  return field.openai.empty() ? field.name : field.openai;
}

std::string did_you_mean(std::string_view name) {
  if (const std::string_view advice = tokenizer_advice(name); !advice.empty())
    return base::cat("; ", advice);
  if (find(name) != nullptr || find_absent(name) != nullptr) return {};  // known, but not there
  std::vector<std::string> known;
  for (const Field& field : all()) {
    for (const std::string_view each : names_of(field)) known.emplace_back(each);
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
    case Type::kTokenIdOrIds:
      return "token id or ids";
    case Type::kTokenNumbers:
      return "numbers of token ids";
    case Type::kTokenLists:
      return "lists of token ids";
    case Type::kListNumbers:
      return "numbers of lists of token ids";
    case Type::kLengthDecay:
      return "length and factor";
    case Type::kEarlyStopping:
      return "boolean or never";
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
  return base::cat(range.is_above_min ? "above " : "", min,
                   range.is_below_max ? " to below " : " to ", shown(range.max));
}

}  // namespace openllm::fields
