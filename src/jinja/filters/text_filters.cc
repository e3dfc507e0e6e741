#include <algorithm>
#include <charconv>

#include "base/utf8.h"
#include "jinja/filters/filters.h"
#include "jinja/format/format.h"
#include "jinja/methods/split.h"
#include "jinja/text/text.h"
#include "jinja/values/iterables.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

bool is_markup(const Value& value) { return value.is_text() && value.is_markup(); }

template <std::string (*convert)(std::string_view)>
Value converted(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("filter", args, {});
  const StrView text(runtime, self);
  runtime.charge_bytes(text.view().size() * 4);
  return runtime.make_text(convert(text.view()), is_markup(self));
}

bool begins_word(char32_t before) {
  return text::is_space(before) || before == '-' || before == '(' || before == '{' ||
         before == '[' || before == '<';
}

/// Unlike str.title, only white space and opening brackets begin a word; never markup.
Value filter_title(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("title", args, {});
  const StrView view(runtime, self);
  const std::string_view text = view.view();
  runtime.charge_bytes(text.size() * 4);
  std::string out;
  for (std::size_t pos = 0; pos < text.size();) {
    const char32_t first = base::decode_utf8(text, pos);
    text::append_upper(out, first);
    if (begins_word(first)) continue;
    std::size_t end = pos;
    for (std::size_t next = pos; next < text.size(); end = next) {
      if (begins_word(base::decode_utf8(text, next))) break;
    }
    out += text::lower(text.substr(pos, end - pos));
    pos = end;
  }
  return runtime.make_text(std::move(out));
}

Value filter_trim(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("trim", args, {"chars"});
  const StrView text(runtime, self);
  const std::string_view out = a.set(0) == nullptr
                                   ? text::strip(text.view())
                                   : strip_chars(runtime, text.view(), a.text(0), true, true);
  return runtime.make_text(std::string(out), is_markup(self));
}

Value filter_replace(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("replace", args, {"old", "new", "count"}, 2);
  const StrView text(runtime, self);
  const StrView from(runtime, a.at(0));
  const StrView to(runtime, a.at(1));
  return runtime.make_text(replace(runtime, text.view(), from.view(), to.view(), a.integer(2, -1)));
}

Value filter_string(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("string", args, {});
  return self.is_text() ? self : runtime.make_text(str(runtime, self));
}

Value filter_escape(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("escape", args, {});
  if (is_markup(self)) return self;
  const StrView text(runtime, self);
  return runtime.make_text(escape_html(text.view()), true);
}

Value filter_forceescape(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("forceescape", args, {});
  const StrView text(runtime, self);
  return runtime.make_text(escape_html(text.view()), true);
}

Value filter_safe(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("safe", args, {});
  return runtime.make_text(str(runtime, self), true);
}

Value filter_format(Runtime& runtime, const Value& self, const Args& args) {
  if (!args.positional.empty() && !args.keywords.empty()) {
    fail("can't handle positional and keyword arguments at the same time");
  }
  Dict named;
  for (const auto& [name, value] : args.keywords) {
    runtime.set_member(named, runtime.make_text(name), value);
  }
  const StrView format(runtime, self);
  return runtime.make_text(
      percent_format(runtime, format.view(), args.positional,
                     args.keywords.empty() ? nullptr : &named, !args.keywords.empty()),
      is_markup(self));
}

Value filter_indent(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("indent", args, {"width", "first", "blank"});
  require_defined(self);
  if (!self.is_text()) fail("indent needs a text (expected str, got ", self.type_name(), ")");
  const std::string indention =
      a.has(0) && a.at(0).is_text() ? a.text(0) : repeat(runtime, " ", a.integer(0, 4));
  const bool blank = a.boolean(runtime, 2, false);
  const std::string text = self.text() + "\n";
  std::string out = a.boolean(runtime, 1, false) ? indention : std::string();
  bool first = true;
  for (const std::string_view line : split_lines(text, false)) {
    if (!first) {
      out += '\n';
      if (blank || !line.empty()) out += indention;
    }
    first = false;
    out += line;
    runtime.charge_bytes(indention.size() + line.size());
    runtime.check_growth(out);
  }
  return runtime.make_text(std::move(out), is_markup(self));
}

Value filter_truncate(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("truncate", args, {"length", "killwords", "end", "leeway"});
  const std::int64_t limit = a.integer(0, 255);
  const std::int64_t leeway = a.integer(3, 5);
  const std::string end = a.has(2) ? a.text(2) : "...";
  const auto end_size = static_cast<std::int64_t>(text::length(end));
  if (limit < end_size) fail("expected length >= ", end_size, ", got ", limit);
  if (leeway < 0) fail("expected leeway >= 0, got ", leeway);
  const auto size = static_cast<std::int64_t>(length(runtime, self));
  if (size - leeway <= limit) return self;
  if (!self.is_text()) fail("truncate needs a text (expected str, got ", self.type_name(), ")");
  const std::string& text = self.text();
  runtime.charge_bytes(text.size());
  std::string out = text.substr(0, text::offset(text, static_cast<std::size_t>(limit - end_size)));
  if (!a.boolean(runtime, 1, false)) {
    const std::size_t space = out.rfind(' ');
    if (space != std::string::npos) out.resize(space);
  }
  return runtime.make_text(out + end, is_markup(self));
}

Value filter_center(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("center", args, {"width"});
  const StrView text(runtime, self);
  Args width;
  width.positional.emplace_back(a.integer(0, 80));
  const Value value = runtime.make_text(std::string(text.view()));
  return find_builtin(text_methods(), "center")(runtime, value, width);
}

Value filter_wordcount(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("wordcount", args, {});
  const StrView text(runtime, self);
  runtime.charge_bytes(text.view().size() * 4);
  std::size_t n = 0;
  bool inside = false;
  for (std::size_t pos = 0; pos < text.view().size();) {
    const bool word = text::is_word(base::decode_utf8(text.view(), pos));
    n += word && !inside ? 1U : 0U;
    inside = word;
  }
  return Value::integer(n);
}

std::string quote_url(std::string_view text, std::string_view safe) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       safe.find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

Value filter_urlencode(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("urlencode", args, {});
  constexpr std::string_view kSafe = "_.-~/";
  if (self.is_text() || try_iterate(runtime, self) == nullptr) {
    const StrView text(runtime, self);
    return runtime.make_text(quote_url(text.view(), kSafe));
  }
  const auto query = [&runtime](const Value& value) {
    const StrView text(runtime, value);
    std::string out;
    for (const std::string_view part : split_on(text.view(), " ", -1)) {
      if (!out.empty() || part.data() != text.view().data()) out += '+';
      out += quote_url(part, "_.-~");
    }
    return out;
  };
  std::string out;
  const auto add = [&](const Value& key, const Value& value) {
    if (!out.empty()) out += '&';
    out += base::cat(query(key), "=", query(value));
    runtime.check_growth(out);
  };
  if (self.is_dict()) {
    for (const auto& [key, value] : self.dict().members()) add(key, value);
    return runtime.make_text(std::move(out));
  }
  for (const Value& pair : collect(runtime, self)) {
    if (!pair.is_sequence() || pair.items().size() != 2) fail("urlencode needs pairs of values");
    add(pair.items()[0], pair.items()[1]);
  }
  return runtime.make_text(std::move(out));
}

/// Comments and tags go; what is not closed stays.
std::string without_tags(std::string_view text) {
  std::string out;
  std::size_t pos = 0;
  while (true) {
    const std::size_t begin = text.find('<', pos);
    if (begin == std::string_view::npos) break;
    const bool comment = text.substr(begin).starts_with("<!--");
    const std::string_view close = comment ? "-->" : ">";
    const std::size_t end = text.find(close, begin + (comment ? 4 : 0));
    if (end == std::string_view::npos) break;
    out += text.substr(pos, begin - pos);
    pos = end + close.size();
  }
  return out += text.substr(pos);
}

struct Entity {
  std::string_view name, text;
};
// Of HTML's two thousand, those that texts escaped for HTML have. The order is that of the search.
constexpr Entity kEntities[] = {{"amp;", "&"},         {"amp", "&"},        {"lt;", "<"},
                                {"lt", "<"},           {"gt;", ">"},        {"gt", ">"},
                                {"quot;", "\""},       {"quot", "\""},      {"apos;", "'"},
                                {"nbsp;", "\xC2\xA0"}, {"nbsp", "\xC2\xA0"}};

/// The reference at the start of `text`, without its `&`; false if it is none.
bool read_entity(std::string_view& text, std::string& out) {
  for (const Entity& entity : kEntities) {
    if (!text.starts_with(entity.name)) continue;
    out += entity.text;
    text.remove_prefix(entity.name.size());
    return true;
  }
  if (!text.starts_with('#')) return false;
  const bool hex = text.size() > 1 && (text[1] == 'x' || text[1] == 'X');
  std::size_t pos = hex ? 2 : 1;
  std::uint32_t code = 0;
  const auto* end = text.data() + std::min(text.size(), pos + 7);
  const auto read = std::from_chars(text.data() + pos, end, code, hex ? 16 : 10);
  const bool printable =
      code >= 0xA0 || (code >= ' ' && code < 0x7F) || code == '\n' || code == '\t';
  if (read.ec != std::errc() || !printable || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
    return false;
  base::append_utf8(out, code);
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  if (text.starts_with(';')) text.remove_prefix(1);
  return true;
}

Value filter_striptags(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("striptags", args, {});
  const StrView view(runtime, self);
  runtime.charge_bytes(view.view().size() * 2);
  const std::string plain = without_tags(view.view());
  std::string squeezed;
  for (const std::string_view word : split_space(plain, -1)) {
    if (!squeezed.empty()) squeezed += ' ';
    squeezed += word;
  }
  std::string out;
  for (std::string_view left = squeezed; !left.empty();) {
    const std::size_t at = left.find('&');
    out += left.substr(0, at);
    if (at == std::string_view::npos) break;
    left.remove_prefix(at + 1);
    if (!read_entity(left, out)) out += '&';
  }
  return runtime.make_text(std::move(out));
}

JsonStyle json_style(Runtime& runtime, const Args& args) {
  const Bound a("tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = a.boolean(runtime, 0, false);
  style.sort_keys = a.boolean(runtime, 3, false);
  if (const Value* indent = a.set(1)) {
    style.indented = true;
    style.item_separator.resize(1);  // "," and then the new line
    style.indent = indent->is_text()
                       ? indent->text()
                       : repeat(runtime, " ", std::max<std::int64_t>(0, to_int(*indent, "indent")));
  }
  if (const Value* separators = a.set(2)) {
    const std::vector<Value> both = collect(runtime, *separators);
    if (both.size() != 2 || !both[0].is_text() || !both[1].is_text()) {
      fail("tojson: separators are wrong (expected two texts)");
    }
    style.item_separator = both[0].text();
    style.key_separator = both[1].text();
  }
  return style;
}

Value filter_tojson(Runtime& runtime, const Value& self, const Args& args) {
  return runtime.make_text(to_json(runtime, self, json_style(runtime, args)));
}

Value filter_pprint(Runtime& runtime, const Value& self, const Args& args) {
  const Bound a("pprint", args, {});
  return runtime.make_text(repr(runtime, self));
}

constexpr BuiltinEntry kFilters[] = {
    {"capitalize", converted<text::capitalize>},
    {"center", filter_center},
    {"e", filter_escape},
    {"escape", filter_escape},
    {"forceescape", filter_forceescape},
    {"format", filter_format},
    {"indent", filter_indent},
    {"lower", converted<text::lower>},
    {"pprint", filter_pprint},
    {"replace", filter_replace},
    {"safe", filter_safe},
    {"string", filter_string},
    {"striptags", filter_striptags},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", converted<text::upper>},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
};

}  // namespace

std::span<const BuiltinEntry> text_filters() noexcept { return kFilters; }

}  // namespace openllm::jinja
