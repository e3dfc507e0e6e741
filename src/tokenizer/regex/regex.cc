#include "tokenizer/regex/regex.h"

#include "base/error.h"
#include "tokenizer/regex/regex_syntax.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace openllm::tokenizer {
namespace {

constexpr std::size_t kMaxPatternBytes = 64 << 10;
constexpr std::uint32_t kMatchLimit = 10'000'000;  // PCRE2's own default
constexpr std::uint32_t kHeapLimitKib = 64 << 10;
constexpr std::size_t kJitStackStart = 64 << 10;
constexpr std::size_t kJitStackMax = 16 << 20;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Free>;

template <typename T>
Handle<T> own(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return Handle<T>(pointer);
}

std::string pcre_message(int code) {
  unsigned char text[256] = {};
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  Handle<pcre2_code> code;
  bool has_jit = false;
};

struct Regex::Scanner::State {
  Handle<pcre2_match_data> data;
  Handle<pcre2_match_context> context;
  Handle<pcre2_jit_stack> stack;  // only after the small default stack was not enough
};

Regex::Regex(std::string_view pattern, std::string_view where)
    : code_(std::make_unique<Code>()), pattern_(pattern), where_(where) {
  const std::string translated = translate_regex(pattern, where);
  if (translated.size() > kMaxPatternBytes) {
    base::fail(ErrorCode::kUnsupported, where, ": regular expression is too long (at most ",
               kMaxPatternBytes, " bytes, got ", translated.size(), ")");
  }
  const auto compile_context = own(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(compile_context.get(), PCRE2_NEWLINE_LF);
  // In Ruby's syntax ^ and $ match at every line.
  constexpr std::uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE at = 0;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                  translated.size(), kOptions, &error, &at, compile_context.get()));
  if (code_->code == nullptr) {
    base::fail(ErrorCode::kUnsupported, where, ": regular expression: ", pcre_message(error),
               " at offset ", at);
  }
  code_->has_jit = pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Scanner::Scanner(const Regex& regex, std::string_view text)
    : regex_(&regex), text_(text), state_(std::make_unique<State>()) {
  state_->data = own(pcre2_match_data_create(1, nullptr));
  state_->context = own(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(state_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(state_->context.get(), kHeapLimitKib);
}

Regex::Scanner::~Scanner() = default;

void Regex::Scanner::reset(std::string_view text) noexcept {
  text_ = text;
  offset_ = 0;
  last_end_.reset();
}

int Regex::Scanner::match_at(std::size_t offset) {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text_.data());
  const auto attempt = [&] {
    return pcre2_match(regex_->code_->code.get(), subject, text_.size(), offset, PCRE2_NO_UTF_CHECK,
                       state_->data.get(), state_->context.get());
  };
  int rc = attempt();
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT && state_->stack == nullptr) {
    state_->stack = own(pcre2_jit_stack_create(kJitStackStart, kJitStackMax, nullptr));
    pcre2_jit_stack_assign(state_->context.get(), nullptr, state_->stack.get());
    rc = attempt();
  }
  return rc;
}

std::optional<ByteRange> Regex::Scanner::next() {
  while (offset_ <= text_.size()) {
    const int rc = match_at(offset_);
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) {
      base::fail(ErrorCode::kResourceExhausted, regex_->where_,
                 ": regular expression: ", pcre_message(rc), " at byte ", offset_);
    }
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(state_->data.get());
    // \K in a look-ahead can put the start behind the end or before what was matched already.
    ByteRange found{std::max(range[0], offset_), std::max(range[1], offset_)};
    found.begin = std::min(found.begin, found.end);
    offset_ = found.end;
    if (found.begin == found.end) {
      // Past this character, or an empty match would be found for ever.
      const std::size_t here = found.end;
      do ++offset_;
      while (offset_ < text_.size() &&
             (static_cast<unsigned char>(text_[offset_]) & 0xC0U) == 0x80U);
      if (last_end_ == here) continue;
    }
    last_end_ = found.end;
    return found;
  }
  offset_ = text_.size() + 1;
  return std::nullopt;
}

}  // namespace openllm::tokenizer
