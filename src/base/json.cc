#include "base/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>

#include "base/hex.h"
#include "base/utf8.h"

namespace openllm::base {

struct JsonObject::Rep {
  /// Lets names be looked for as they are: a copy would take memory.
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  std::vector<Member> members;
  // Filled above kLinearLimit members.
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> index;

  static constexpr std::size_t kLinearLimit = 16;
  std::size_t find(std::string_view key) const noexcept {
    if (members.size() <= kLinearLimit) {
      for (std::size_t i = 0; i < members.size(); ++i) {
        if (members[i].first == key) return i;
      }
      return members.size();
    }
    const auto it = index.find(key);
    return it == index.end() ? members.size() : it->second;
  }
  void reindex() {
    index.clear();
    if (members.size() <= kLinearLimit) return;
    for (std::size_t i = 0; i < members.size(); ++i) index.emplace(members[i].first, i);
  }
};

JsonObject::JsonObject() = default;
JsonObject::~JsonObject() = default;
JsonObject::JsonObject(const JsonObject& other)
    : rep_(other.rep_ == nullptr ? nullptr : std::make_unique<Rep>(*other.rep_)) {}
JsonObject& JsonObject::operator=(const JsonObject& other) { return *this = JsonObject(other); }
JsonObject::JsonObject(JsonObject&&) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
JsonObject::Rep& JsonObject::rep() {
  if (rep_ == nullptr) rep_ = std::make_unique<Rep>();
  return *rep_;
}
std::size_t JsonObject::size() const noexcept { return rep_ == nullptr ? 0 : rep_->members.size(); }
const Json* JsonObject::find(std::string_view key) const noexcept {
  if (rep_ == nullptr) return nullptr;
  const std::size_t i = rep_->find(key);
  return i == rep_->members.size() ? nullptr : &rep_->members[i].second;
}
Json* JsonObject::find(std::string_view key) noexcept {
  return const_cast<Json*>(std::as_const(*this).find(key));
}
Json& JsonObject::operator[](std::string_view key) {
  Rep& r = rep();
  const std::size_t i = r.find(key);
  if (i < r.members.size()) return r.members[i].second;
  r.members.emplace_back(std::string(key), Json());
  if (r.members.size() == Rep::kLinearLimit + 1) {
    r.reindex();
  } else if (r.members.size() > Rep::kLinearLimit) {
    r.index.emplace(std::string(key), i);
  }
  return r.members.back().second;
}
void JsonObject::erase(std::string_view key) {
  if (rep_ == nullptr) return;
  const std::size_t i = rep_->find(key);
  if (i == rep_->members.size()) return;
  rep_->members.erase(rep_->members.begin() + static_cast<std::ptrdiff_t>(i));
  rep_->reindex();
}
std::vector<JsonObject::Member>::const_iterator JsonObject::begin() const noexcept {
  return rep_ == nullptr ? std::vector<Member>::const_iterator() : rep_->members.cbegin();
}
std::vector<JsonObject::Member>::const_iterator JsonObject::end() const noexcept {
  return rep_ == nullptr ? std::vector<Member>::const_iterator() : rep_->members.cend();
}
std::vector<JsonObject::Member>::iterator JsonObject::begin() noexcept {
  return rep_ == nullptr ? std::vector<Member>::iterator() : rep_->members.begin();
}
std::vector<JsonObject::Member>::iterator JsonObject::end() noexcept {
  return rep_ == nullptr ? std::vector<Member>::iterator() : rep_->members.end();
}

namespace {

/// A word of Python's that stands for a number. The parser gets a text of the same length instead.
struct NumberWord {
  std::size_t text;  ///< How many texts, keys counted, come before.
  double value;
};

/// Replaces the words by texts, so that bytes keep their places.
std::vector<NumberWord> take_number_words(std::string& json) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr std::pair<std::string_view, double> kWords[] = {
      {"NaN", std::numeric_limits<double>::quiet_NaN()},
      {"Infinity", kInfinity},
      {"-Infinity", -kInfinity}};
  std::vector<NumberWord> found;
  std::size_t n_texts = 0;
  for (std::size_t at = 0; at < json.size(); ++at) {
    if (json[at] == '"') {
      for (++at; at < json.size() && json[at] != '"'; ++at) at += json[at] == '\\' ? 1 : 0;
      ++n_texts;
      continue;
    }
    for (const auto& [word, value] : kWords) {
      if (!std::string_view(json).substr(at).starts_with(word)) continue;
      found.push_back({n_texts++, value});
      json.replace(at, word.size(), word.size(), ' ');
      json[at] = json[at + word.size() - 1] = '"';
      at += word.size() - 1;
      break;
    }
  }
  return found;
}

/// Builds the value while the parser reads; keeps its own stack, so deep input cannot overflow
/// ours.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  /// `words`: which texts, keys counted, stand for numbers. `unique`: equal keys are an error.
  Builder(Json& root, int max_depth, std::span<const NumberWord> words, bool unique)
      : root_(root),
        max_depth_(static_cast<std::size_t>(max_depth)),
        words_(words),
        unique_(unique) {}
  bool null() override { return put(Json()); }
  bool boolean(bool value) override { return put(Json(value)); }
  bool number_integer(std::int64_t value) override { return put(Json(value)); }
  bool number_unsigned(std::uint64_t value) override {
    if (value <= static_cast<std::uint64_t>(INT64_MAX))
      return put(Json(static_cast<std::int64_t>(value)));
    return put(Json(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string& /*text*/) override { return put(Json(value)); }
  bool string(std::string& value) override {
    if (const NumberWord* word = next_word()) return put(Json(word->value));
    return put(Json(std::move(value)));
  }
  bool binary(nlohmann::json::binary_t& /*value*/) override { return false; }
  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool key(std::string& value) override {
    if (next_word() != nullptr) {
      message_ = "a number for a key";
      return false;
    }
    keys_.back() = std::move(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    position_ = position;
    message_ = error.what();
    const std::size_t bracket = message_.find("] ");  // ends the library's own prefix
    if (bracket != std::string::npos) message_.erase(0, bracket + 2);
    // The message quotes the last token, which may be as long as the text and no valid UTF-8.
    const bool is_long = message_.size() > kMaxMessage;
    message_ = sanitize_utf8(is_long ? message_.substr(0, kMaxMessage) : message_);
    if (is_long) message_ += "...";
    return false;
  }
  /// Counted from 1; 0 for what the parser does not know the place of (too deep, a bad key).
  std::size_t position() const { return position_; }
  const std::string& message() const { return message_; }
  /// Where a key came a second time, if one did.
  const std::optional<std::string>& repeated() const { return repeated_; }

 private:
  static constexpr std::size_t kMaxMessage = 200;
  static constexpr std::size_t kMaxKey = 60;  // in messages

  /// The number that the text now read stands for, if it does.
  const NumberWord* next_word() {
    const std::size_t text = n_texts_++;
    if (next_word_ == words_.size() || words_[next_word_].text != text) return nullptr;
    return &words_[next_word_++];
  }
  /// Where the next value goes; null when there is one already and must not be.
  Json* place() {
    if (stack_.empty()) return &root_;
    if (JsonArray* items = stack_.back()->if_array()) return &items->emplace_back();
    JsonObject& object = *stack_.back()->if_object();
    const std::size_t n_before = object.size();
    Json& member = object[keys_.back()];
    if (!unique_ || object.size() > n_before) return &member;
    repeated_ = path();
    return nullptr;
  }
  /// Of the value that comes next: "messages[0].role".
  std::string path() const {
    std::string path;
    for (std::size_t i = 0; i < stack_.size(); ++i) {
      if (const JsonArray* items = stack_[i]->if_array()) {
        path += cat("[", items->size() - 1, "]");
      } else {
        path += cat(path.empty() ? "" : ".", sanitize_utf8(keys_[i].substr(0, kMaxKey)));
      }
    }
    return path;
  }
  bool put(Json value) {
    Json* where = place();
    if (where == nullptr) return false;
    *where = std::move(value);
    return true;
  }
  bool open(Json container) {
    if (stack_.size() >= max_depth_) {
      message_ = cat("nesting is too deep (expected at most ", max_depth_, " levels)");
      return false;
    }
    Json* where = place();
    if (where == nullptr) return false;
    *where = std::move(container);
    stack_.push_back(where);
    keys_.emplace_back();
    return true;
  }
  bool close() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  Json& root_;
  std::size_t max_depth_;
  std::span<const NumberWord> words_;
  bool unique_;
  std::size_t next_word_ = 0;
  std::size_t n_texts_ = 0;
  std::vector<Json*> stack_;
  std::vector<std::string> keys_;
  std::size_t position_ = 0;
  std::string message_;
  std::optional<std::string> repeated_;
};

[[noreturn]] void wrong_type(std::string_view where, const char* expected, const Json& got) {
  fail_at(ErrorCode::kInvalidArgument, where, "wrong type (expected ", expected, ", got ",
          got.type_name(), ")");
}

void dump_to(std::string& out, const Json& value);

void dump_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const std::size_t begin = out.size();
  detail::append(out, value);
  // Keep a number that was a double recognisable as one.
  if (out.find_first_of(".e", begin) == std::string::npos) out += ".0";
}

void dump_to(std::string& out, const Json& value) {
  if (value.is_null()) {
    out += "null";
  } else if (const bool* flag = value.if_bool()) {
    out += *flag ? "true" : "false";
  } else if (const std::int64_t* integer = value.if_int()) {
    out += std::to_string(*integer);
  } else if (const std::string* text = value.if_string()) {
    append_json_string(out, *text);
  } else if (const JsonArray* items = value.if_array()) {
    out += '[';
    for (std::size_t i = 0; i < items->size(); ++i) {
      if (i > 0) out += ',';
      dump_to(out, (*items)[i]);
    }
    out += ']';
  } else if (const JsonObject* object = value.if_object()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : *object) {
      if (!first) out += ',';
      first = false;
      append_json_string(out, key);
      out += ':';
      dump_to(out, member);
    }
    out += '}';
  } else {
    dump_number(out, value.as_double("json"));
  }
}

}  // namespace

namespace {

Json parse_text(std::string_view text, std::string_view where, int max_depth,
                std::span<const NumberWord> words, bool unique = false) {
  // The parser takes a NUL for the end of the text and would ignore what follows; JSON has none.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail_at(ErrorCode::kInvalidArgument, where, "invalid JSON at byte ", nul + 1, ": NUL byte");
  }
  Json root;
  Builder builder(root, max_depth, words, unique);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
    if (const auto& path = builder.repeated())
      fail_at(ErrorCode::kInvalidArgument, *path, "given twice in one object");
    if (builder.position() == 0)
      fail_at(ErrorCode::kInvalidArgument, where, "invalid JSON: ", builder.message());
    fail_at(ErrorCode::kInvalidArgument, where, "invalid JSON at byte ", builder.position(), ": ",
            builder.message());
  }
  return root;
}

}  // namespace

Json Json::parse(std::string_view text, std::string_view where, int max_depth) {
  return parse_text(text, where, max_depth, {});
}

Json Json::parse_unique(std::string_view text, std::string_view where, int max_depth) {
  return parse_text(text, where, max_depth, {}, true);
}

Json Json::parse_python(std::string_view text, std::string_view where, int max_depth) {
  const bool has_words =
      text.find("NaN") != std::string_view::npos || text.find("Infinity") != std::string_view::npos;
  if (!has_words) return parse(text, where, max_depth);
  std::string json(text);
  const std::vector<NumberWord> words = take_number_words(json);
  return parse_text(json, where, max_depth, words);
}

const char* Json::type_name() const noexcept {
  constexpr std::array<const char*, 7> kNames = {"null",   "boolean", "integer", "number",
                                                 "string", "array",   "object"};
  return kNames[value_.index()];
}

bool Json::as_bool(std::string_view where) const {
  if (const bool* value = if_bool()) return *value;
  wrong_type(where, "boolean", *this);
}

std::int64_t Json::as_int(std::string_view where) const {
  if (const std::int64_t* value = if_int()) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    if (std::nearbyint(*value) == *value && std::abs(*value) < 9.0e18)
      return static_cast<std::int64_t>(*value);
  }
  wrong_type(where, "integer", *this);
}

double Json::as_double(std::string_view where) const {
  if (const std::int64_t* value = if_int()) return static_cast<double>(*value);
  if (const double* value = std::get_if<double>(&value_)) return *value;
  wrong_type(where, "number", *this);
}

const std::string& Json::as_string(std::string_view where) const {
  if (const std::string* value = if_string()) return *value;
  wrong_type(where, "string", *this);
}

const JsonArray& Json::as_array(std::string_view where) const {
  if (const JsonArray* value = if_array()) return *value;
  wrong_type(where, "array", *this);
}

const JsonObject& Json::as_object(std::string_view where) const {
  if (const JsonObject* value = if_object()) return *value;
  wrong_type(where, "object", *this);
}

const Json* Json::find(std::string_view key) const noexcept {
  const JsonObject* object = if_object();
  return object == nullptr ? nullptr : object->find(key);
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) value_ = JsonObject{};
  JsonObject* object = if_object();
  if (object == nullptr) wrong_type(key, "object", *this);
  return (*object)[key];
}

void Json::push_back(Json value) {
  if (is_null()) value_ = JsonArray{};
  JsonArray* items = if_array();
  if (items == nullptr) wrong_type("push_back", "array", *this);
  items->push_back(std::move(value));
}

bool Json::operator==(const Json& other) const {
  if (is_number() && other.is_number()) {
    if (is_int() && other.is_int()) return *if_int() == *other.if_int();
    return as_double("json") == other.as_double("json");
  }
  if (value_.index() != other.value_.index()) return false;
  if (const JsonObject* object = if_object()) {
    const JsonObject& theirs = *other.if_object();
    if (object->size() != theirs.size()) return false;
    for (const auto& [key, value] : *object) {
      const Json* match = theirs.find(key);
      if (match == nullptr || !(value == *match)) return false;
    }
    return true;
  }
  if (const JsonArray* items = if_array()) return *items == *other.if_array();
  if (const std::string* text = if_string()) return *text == *other.if_string();
  if (const bool* flag = if_bool()) return *flag == *other.if_bool();
  return true;
}

std::string Json::dump() const {
  std::string out;
  dump_to(out, *this);
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t pos = 0;
  while (pos < text.size()) {
    const auto byte = static_cast<unsigned char>(text[pos]);
    if (byte >= 0x80) {
      append_utf8(out, decode_utf8(text, pos));
      continue;
    }
    ++pos;
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          append_hex(out, byte);
        } else {
          out += static_cast<char>(byte);
        }
    }
  }
  out += '"';
}

}  // namespace openllm::base
