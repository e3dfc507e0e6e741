#include "model/adapters/name_pattern.h"

#include <new>
#include <string>

#include "format/tensor_list.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace openllm::model {
namespace {

constexpr std::size_t kMaxPatternBytes = 4096;
constexpr std::size_t kMaxPatterns = 65536;
constexpr std::uint32_t kMatchLimit = 100'000;
constexpr std::uint32_t kHeapLimitKib = 1024;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

template <typename T>
Handle<T> own(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return Handle<T>(pointer);
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

/// Null for what is no pattern.
Handle<pcre2_code> compile(std::string_view pattern) {
  const std::string whole = base::cat("(?:.*\\.)?(?:", pattern, ")$");
  int error = 0;
  PCRE2_SIZE where = 0;
  return Handle<pcre2_code>(pcre2_compile(units(whole), whole.size(),
                                          PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF,
                                          &error, &where, nullptr));
}

}  // namespace

struct NamePatterns::Entry {
  std::string place;
  std::string text;
  Handle<pcre2_code> code;
  double number = 0.0;
};

bool is_name_of(std::string_view name, std::string_view module) noexcept {
  if (!module.ends_with(name)) return false;
  return module.size() == name.size() || module[module.size() - name.size() - 1] == '.';
}

NamePatterns::~NamePatterns() = default;

NamePatterns::NamePatterns(const Config& config, std::string_view key, double min, double max) {
  const base::Json* value = config.find(key);
  if (value == nullptr) return;
  const base::JsonObject* members = value->if_object();
  if (members == nullptr) config.corrupt(key, "wrong type (expected an object)");
  if (members->size() > kMaxPatterns) config.unsupported(key, "more than 65536 patterns");
  for (const auto& [pattern, number] : *members) {
    auto entry = std::make_unique<Entry>();
    entry->place = config.place(key);
    entry->text = format::printable(pattern);
    if (pattern.size() <= kMaxPatternBytes) entry->code = compile(pattern);
    if (entry->code == nullptr)
      config.unsupported(key, "no regular expression that is read here (got ", entry->text, ")");
    entry->number = number.is_number() ? number.as_double(key) : min - 1.0;
    if (!(entry->number >= min && entry->number <= max)) {
      config.corrupt(key, "bad value for ", entry->text, " (expected a number from ", min, " to ",
                     max, ", got ", format::printable(number.dump()), ")");
    }
    entries_.push_back(std::move(entry));
  }
}

std::optional<double> NamePatterns::find(std::string_view module) const {
  if (entries_.empty()) return std::nullopt;
  const auto match = own(pcre2_match_data_create(1, nullptr));
  const auto limits = own(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(limits.get(), kMatchLimit);
  pcre2_set_heap_limit(limits.get(), kHeapLimitKib);
  for (const auto& entry : entries_) {
    const int found = pcre2_match(entry->code.get(), units(module), module.size(), 0, 0,
                                  match.get(), limits.get());
    if (found >= 0) return entry->number;
    if (found != PCRE2_ERROR_NOMATCH) {
      base::fail_at(ErrorCode::kUnsupported, entry->place, "the pattern ", entry->text,
                    " takes too many steps for ", format::printable(module));
    }
  }
  return std::nullopt;
}

}  // namespace openllm::model
