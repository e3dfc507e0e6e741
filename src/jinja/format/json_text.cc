#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"
#include "jinja/format/format.h"
#include "jinja/values/operators.h"

namespace openllm::jinja {
namespace {

std::string json_float(double value) {
  std::string out = float_repr(value);
  if (out == "nan") return "NaN";
  if (out == "inf") return "Infinity";
  return out == "-inf" ? "-Infinity" : out;
}

void append_escaped(std::string& out, char32_t unit) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += "\\u";
  for (unsigned shift = 16; shift > 0; shift -= 4) out += kHex[(unit >> (shift - 4)) & 15U];
}

/// Turns everything outside ASCII of a finished JSON text into \u escapes.
std::string to_ascii(std::string_view text) {
  std::string out;
  for (std::size_t pos = 0; pos < text.size();) {
    char32_t c = base::decode_utf8(text, pos);
    if (c < 0x7F) {
      out += static_cast<char>(c);
    } else if (c < 0x10000) {
      append_escaped(out, c);
    } else {
      c -= 0x10000;
      append_escaped(out, 0xD800 + (c >> 10U));
      append_escaped(out, 0xDC00 + (c & 0x3FFU));
    }
  }
  return out;
}

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value, std::size_t depth) {
    const Runtime::Level level(runtime_);
    runtime_.charge(1);
    if (value.is_text()) {
      add_text(value.text());
    } else if (value.is_none()) {
      add("null");
    } else if (value.is_bool()) {
      add(value.boolean() ? "true" : "false");
    } else if (value.is_int()) {
      add(std::to_string(value.integral()));
    } else if (value.is_float()) {
      add(json_float(value.number()));
    } else if (value.is_sequence()) {
      write_list(value.items(), depth);
    } else if (value.is_dict()) {
      write_dict(value.dict(), depth);
    } else {
      fail("Object of type ", value.type_name(), " is not JSON serializable");
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void add(std::string_view text) {
    runtime_.charge_bytes(text.size());
    out_ += text;
    runtime_.check_growth(out_);
  }
  void add_text(std::string_view text) {
    std::string quoted;
    runtime_.charge_bytes(text.size());
    base::append_json_string(quoted, text);
    add(style_.ascii ? to_ascii(quoted) : quoted);
  }
  void new_line(std::size_t depth) {
    if (!style_.indented) return;
    add("\n");
    for (std::size_t i = 0; i < depth; ++i) add(style_.indent);
  }
  void write_list(const std::vector<Value>& items, std::size_t depth) {
    if (items.empty()) return add("[]");
    add("[");
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(style_.item_separator);
      new_line(depth + 1);
      write(items[i], depth + 1);
    }
    new_line(depth);
    add("]");
  }
  void write_key(const Value& key) {
    if (key.is_text()) return add_text(key.text());
    std::string name;
    if (key.is_none()) {
      name = "null";
    } else if (key.is_bool()) {
      name = key.boolean() ? "true" : "false";
    } else if (key.is_int()) {
      name = std::to_string(key.integral());
    } else if (key.is_float()) {
      name = json_float(key.number());
    } else {
      fail("keys must be str, int, float, bool or None, not ", key.type_name());
    }
    add_text(name);
  }
  void write_dict(const Dict& dict, std::size_t depth) {
    if (dict.size() == 0) return add("{}");
    std::vector<const Dict::Member*> members;
    for (const Dict::Member& member : dict.members()) members.push_back(&member);
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(), [this](const auto* a, const auto* b) {
        return ordered(runtime_, Op::kLt, a->first, b->first);
      });
    }
    add("{");
    bool first = true;
    for (const Dict::Member* member : members) {
      if (!first) add(style_.item_separator);
      first = false;
      new_line(depth + 1);
      write_key(member->first);
      add(style_.key_separator);
      write(member->second, depth + 1);
    }
    new_line(depth);
    add("}");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  Writer writer(runtime, style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace openllm::jinja
