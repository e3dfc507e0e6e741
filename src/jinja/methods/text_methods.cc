#include <algorithm>

#include "base/utf8.h"
#include "jinja/format/format.h"
#include "jinja/methods/methods.h"
#include "jinja/methods/split.h"
#include "jinja/text/text.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

/// A text made from `self`; a method of a Markup gives a Markup.
Value made(Runtime& runtime, const Value& self, std::string text) {
  return runtime.make_text(std::move(text), self.is_markup());
}

template <std::string (*convert)(std::string_view)>
Value converted(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("str method", args, {});
  runtime.charge_bytes(self.text().size() * 4);
  return made(runtime, self, convert(self.text()));
}

template <bool left, bool right>
Value strip(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("strip", args, {"chars"});
  std::string_view text = self.text();
  if (a.set(0) != nullptr) {
    text = strip_chars(runtime, text, a.text(0), left, right);
  } else {
    if (left) text.remove_prefix(text::leading_space(text));
    if (right) text.remove_suffix(text::trailing_space(text));
  }
  return made(runtime, self, std::string(text));
}

Value list_of(Runtime& runtime, const Value& self, const std::vector<std::string_view>& parts) {
  runtime.charge(parts.size());
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const std::string_view part : parts) items.push_back(made(runtime, self, std::string(part)));
  return runtime.make_list(std::move(items));
}

template <bool from_right>
Value split(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("split", args, {"sep", "maxsplit"});
  const std::int64_t limit = a.integer(1, -1);
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  if (a.set(0) == nullptr) {
    return list_of(runtime, self,
                   from_right ? rsplit_space(text, limit) : split_space(text, limit));
  }
  const std::string& separator = a.text(0);
  if (separator.empty()) fail("empty separator");
  return list_of(
      runtime, self,
      from_right ? rsplit_on(runtime, text, separator, limit) : split_on(text, separator, limit));
}

Value splitlines(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("splitlines", args, {"keepends"});
  runtime.charge_bytes(self.text().size());
  return list_of(runtime, self, split_lines(self.text(), a.boolean(runtime, 0, false)));
}

template <bool last>
Value partition(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("partition", args, {"sep"}, 1);
  const std::string_view text = self.text();
  const std::string& separator = a.text(0);
  if (separator.empty()) fail("empty separator");
  runtime.charge_bytes(text.size());
  const std::size_t at =
      last ? find_last(runtime, text, separator, text.size()) : text::find(text, separator);
  std::string_view parts[3] = {text, "", ""};
  if (at != std::string_view::npos) {
    parts[0] = text.substr(0, at);
    parts[1] = separator;
    parts[2] = text.substr(at + separator.size());
  } else if (last) {
    std::swap(parts[0], parts[2]);
  }
  std::vector<Value> items;
  for (const std::string_view part : parts) items.push_back(made(runtime, self, std::string(part)));
  return runtime.make_tuple(std::move(items));
}

/// The byte range of code points [start, stop) that a search is limited to; nothing when start lies
/// behind the end.
std::optional<std::pair<std::size_t, std::size_t>> window(Runtime& runtime, const Value& self,
                                                          const Bound& a) {
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  if (a.set(1) == nullptr && a.set(2) == nullptr)
    return std::pair<std::size_t, std::size_t>(0, text.size());
  const auto size = static_cast<std::int64_t>(text::length(text));
  const auto clamp = [size](std::int64_t at) {
    return at < 0 ? std::max(std::int64_t{0}, std::max(at, -size) + size) : at;
  };
  const std::int64_t start = clamp(a.integer(1, 0));
  const std::int64_t stop = std::min(size, clamp(a.integer(2, size)));
  if (start > size || start > stop) return std::nullopt;
  return std::pair(text::offset(text, static_cast<std::size_t>(start)),
                   text::offset(text, static_cast<std::size_t>(stop)));
}

template <bool last, bool must>
Value find(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a(must ? "index" : "find", args, {"sub", "start", "end"}, 1);
  const std::string_view text = self.text();
  const std::string& needle = a.text(0);
  std::size_t at = std::string_view::npos;
  if (const auto range = window(runtime, self, a)) {
    const std::string_view part = text.substr(0, range->second);
    if (last) {
      at = find_last(runtime, part, needle, part.size());
      if (at != std::string_view::npos && at < range->first) at = std::string_view::npos;
    } else {
      at = text::find(part, needle, range->first);
    }
  }
  if (at != std::string_view::npos) return Value::integer(text::length(text.substr(0, at)));
  if (must) fail("substring not found");
  return Value(std::int64_t{-1});
}

Value count(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("count", args, {"sub", "start", "end"}, 1);
  const std::string& needle = a.text(0);
  const auto range = window(runtime, self, a);
  if (!range) return Value(std::int64_t{0});
  const std::string_view part =
      std::string_view(self.text()).substr(range->first, range->second - range->first);
  if (needle.empty()) return Value::integer(text::length(part) + 1);
  std::size_t n = 0;
  for (std::size_t at = text::find(part, needle); at != std::string_view::npos;
       at = text::find(part, needle, at + needle.size())) {
    ++n;
  }
  return Value::integer(n);
}

template <bool end>
bool matches(std::string_view text, const Value& affix) {
  require_defined(affix);
  if (!affix.is_text()) {
    fail(end ? "endswith" : "startswith", " first arg must be str or a tuple of str, not ",
         affix.type_name());
  }
  const std::string& part = affix.text();
  return end ? text.size() >= part.size() && text.substr(text.size() - part.size()) == part
             : text.substr(0, part.size()) == part;
}

template <bool end>
Value has_affix(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a(end ? "endswith" : "startswith", args, {"affix", "start", "end"}, 1);
  const auto range = window(runtime, self, a);
  if (!range) return Value(false);
  const std::string_view part =
      std::string_view(self.text()).substr(range->first, range->second - range->first);
  if (!a.at(0).is_tuple()) return Value(matches<end>(part, a.at(0)));
  for (const Value& affix : a.at(0).items()) {
    runtime.charge(1);
    if (matches<end>(part, affix)) return Value(true);
  }
  return Value(false);
}

template <bool end>
Value remove_affix(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a(end ? "removesuffix" : "removeprefix", args, {"affix"}, 1);
  std::string_view text = self.text();
  const std::string& part = a.text(0);
  if (matches<end>(text, a.at(0))) {
    text = end ? text.substr(0, text.size() - part.size()) : text.substr(part.size());
  }
  return made(runtime, self, std::string(text));
}

Value replace_in(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("replace", args, {"old", "new", "count"}, 2);
  return made(runtime, self, replace(runtime, self.text(), a.text(0), a.text(1), a.integer(2, -1)));
}

Value join(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("join", args, {"iterable"}, 1);
  std::string out;
  bool first = true;
  std::size_t n = 0;
  const std::unique_ptr<Iterator> it = iterate(runtime, a.at(0));
  for (Value item; it->next(item); ++n) {
    require_defined(item);
    if (!item.is_text()) {
      fail("sequence item ", n, ": expected str instance, ", item.type_name(), " found");
    }
    if (!first) out += self.text();
    first = false;
    out += self.is_markup() && !item.is_markup() ? escape_html(item.text()) : item.text();
    runtime.charge_bytes(self.text().size() + item.text().size());
    runtime.check_growth(out);
  }
  return made(runtime, self, std::move(out));
}

enum class Side { kLeft, kRight, kBoth };

template <Side side>
Value pad(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("just", args, {"width", "fillchar"}, 1);
  const std::string fill = a.has(1) ? a.text(1) : " ";
  if (text::length(fill) != 1) fail("The fill character must be exactly one character long");
  const auto size = static_cast<std::int64_t>(text::length(self.text()));
  const std::int64_t width = a.integer(0, 0);
  const std::int64_t space = width > size ? width - size : 0;
  // Python's center puts the odd one on the left when the width is odd.
  const std::int64_t left = side == Side::kLeft    ? 0
                            : side == Side::kRight ? space
                                                   : space / 2 + (space & width & 1);
  std::string out = repeat(runtime, fill, left);
  out += self.text();
  out += repeat(runtime, fill, space - left);
  return made(runtime, self, std::move(out));
}

Value zfill(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("zfill", args, {"width"}, 1);
  const std::string& text = self.text();
  const auto size = static_cast<std::int64_t>(text::length(text));
  const std::int64_t width = a.integer(0, 0);
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  std::string out = sign ? text.substr(0, 1) : std::string();
  if (width > size) out += repeat(runtime, "0", width - size);
  out += text.substr(sign ? 1 : 0);
  return made(runtime, self, std::move(out));
}

Value expandtabs(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("expandtabs", args, {"tabsize"});
  const std::int64_t size = std::clamp<std::int64_t>(a.integer(0, 8), 0, 1 << 20);
  std::string out;
  std::int64_t column = 0;
  const std::string& bytes = self.text();
  for (std::size_t pos = 0; pos < bytes.size();) {
    const char32_t c = base::decode_utf8(bytes, pos);
    if (c == '\t') {
      const std::int64_t n = size > 0 ? size - column % size : 0;
      out += repeat(runtime, " ", n);
      column += n;
    } else {
      base::append_utf8(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    runtime.check_growth(out);
  }
  return made(runtime, self, std::move(out));
}

Value format(Runtime& runtime, const Value& self, const Args& args) {
  return made(runtime, self, brace_format(runtime, self.text(), args));
}

Value format_map(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("format_map", args, {"mapping"}, 1);
  Args named;
  if (!a.at(0).is_dict()) fail("format_map() needs a mapping (got ", a.at(0).type_name(), ")");
  for (const auto& [key, value] : a.at(0).dict().members()) {
    if (key.is_text()) named.keywords.emplace_back(key.text(), value);
  }
  return made(runtime, self, brace_format(runtime, self.text(), named));
}

constexpr BuiltinEntry kMethods[] = {
    {"strip", strip<true, true>},
    {"split", split<false>},
    {"startswith", has_affix<false>},
    {"endswith", has_affix<true>},
    {"replace", replace_in},
    {"lstrip", strip<true, false>},
    {"rstrip", strip<false, true>},
    {"upper", converted<text::upper>},
    {"lower", converted<text::lower>},
    {"casefold", converted<text::casefold>},
    {"title", converted<text::title>},
    {"capitalize", converted<text::capitalize>},
    {"swapcase", converted<text::swapcase>},
    {"join", join},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count},
    {"format", format},
    {"format_map", format_map},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"ljust", pad<Side::kLeft>},
    {"rjust", pad<Side::kRight>},
    {"center", pad<Side::kBoth>},
    {"zfill", zfill},
    {"expandtabs", expandtabs},
};

}  // namespace

std::span<const BuiltinEntry> text_methods() noexcept { return kMethods; }

}  // namespace openllm::jinja
