#include "backend/pt/frames.h"

#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"

namespace openllm::backend::pt {
namespace {

constexpr int kMaxDepth = 8;
constexpr const char* kWhere = "pt: the worker's answer";

ErrorCode code_of(const std::string& kind) {
  if (kind == "unavailable") return ErrorCode::kUnavailable;
  if (kind == "unsupported") return ErrorCode::kUnsupported;
  if (kind == "invalid") return ErrorCode::kInvalidArgument;
  if (kind == "out_of_memory") return ErrorCode::kResourceExhausted;
  return ErrorCode::kInternal;
}

/// An object that reports no error.
base::Json parse_answer(std::string_view text) {
  std::optional<base::Json> answer;
  try {
    answer = base::Json::parse_unique(text, kWhere, kMaxDepth);
    (void)answer->as_object(kWhere);
  } catch (const Error& error) {
    base::fail(ErrorCode::kIo, error.what());
  }
  const base::Json* error = answer->find("error");
  if (error == nullptr) return *std::move(answer);
  const base::Json* kind = answer->find("kind");
  if (!error->is_string() || kind == nullptr || !kind->is_string())
    base::fail(ErrorCode::kIo, kWhere, ": an error without a message or a kind");
  base::fail(code_of(*kind->if_string()), "pt: ", *error->if_string());
}

std::int64_t read_count(const base::Json& answer, const char* name, std::int64_t least) {
  const base::Json* value = answer.find(name);
  const std::int64_t* number = value == nullptr ? nullptr : value->if_int();
  if (number == nullptr || *number < least || *number > std::numeric_limits<std::int32_t>::max()) {
    base::fail(ErrorCode::kIo, kWhere, ": ", name, " (expected a number from ", least, " on, got ",
               value == nullptr ? "nothing" : value->dump(), ")");
  }
  return *number;
}

std::string read_text(const base::Json& answer, const char* name) {
  const base::Json* value = answer.find(name);
  if (value == nullptr || !value->is_string())
    base::fail(ErrorCode::kIo, kWhere, ": ", name, " (expected a text)");
  return *value->if_string();
}

template <typename Number>
base::Json array_of(std::span<const Number> numbers) {
  base::JsonArray array;
  array.reserve(numbers.size());
  for (const Number number : numbers) array.emplace_back(std::int64_t{number});
  return array;
}

}  // namespace

std::string make_frame(const base::Json& message) {
  const std::string text = message.dump();
  if (text.size() > std::numeric_limits<std::uint32_t>::max())
    base::fail(ErrorCode::kResourceExhausted, "pt: a message to the worker is too long");
  std::string frame;
  frame.reserve(kHeadBytes + text.size());
  for (unsigned shift = 0; shift < 32; shift += 8)
    frame.push_back(static_cast<char>((text.size() >> shift) & 0xFFU));
  return frame += text;
}

std::uint32_t parse_head(std::string_view head) {
  base::check(head.size() == kHeadBytes, "pt: a head of ", head.size(), " bytes");
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < kHeadBytes; ++i)
    length |= std::uint32_t{static_cast<unsigned char>(head[i])} << (8 * i);
  if (length == 0 || length > kMaxAnswerBytes) {
    base::fail(ErrorCode::kIo, kWhere, ": bad length (expected 1 to ", kMaxAnswerBytes, ", got ",
               length, ")");
  }
  return length;
}

LoadedModel parse_loaded(std::string_view text) {
  const base::Json answer = parse_answer(text);
  return {.vocab_size = static_cast<int>(read_count(answer, "vocab_size", 1)),
          .n_layers = static_cast<int>(read_count(answer, "n_layers", 0)),
          .device = read_text(answer, "device"),
          .dtype = read_text(answer, "dtype"),
          .way = read_text(answer, "way"),
          .versions = read_text(answer, "versions")};
}

std::int64_t parse_step_done(std::string_view text) {
  return read_count(parse_answer(text), "rows", 0);
}

void parse_mounted(std::string_view text) {
  try {
    (void)parse_answer(text);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kIo) throw;
    base::fail_at(error.code(), "adapters", error.what());
  }
}

std::string make_step_frame(std::span<const SequenceOrder> sequences,
                            std::span<const std::int64_t> freed) {
  base::JsonArray list;
  for (const SequenceOrder& sequence : sequences) {
    base::Json entry;
    entry["id"] = sequence.id;
    entry["past"] = sequence.past_len;
    entry["tokens"] = array_of(sequence.tokens);
    entry["outputs"] = array_of(std::span<const std::int64_t>(sequence.outputs));
    entry["rope"] = sequence.rope_len;
    base::JsonArray adapters;
    for (const AdapterPart& part : sequence.adapters)
      adapters.push_back(base::JsonArray{part.adapter, double{part.factor}});
    if (!adapters.empty()) entry["adapters"] = std::move(adapters);
    list.push_back(std::move(entry));
  }
  base::Json message;
  message["op"] = "step";
  message["sequences"] = std::move(list);
  message["free"] = array_of(freed);
  return make_frame(message);
}

std::string make_free_frame(std::span<const std::int64_t> freed) {
  base::Json message;
  message["op"] = "free";
  message["ids"] = array_of(freed);
  return make_frame(message);
}

std::string make_mount_frame(std::int64_t adapter, const std::string& path) {
  base::Json message;
  message["op"] = "mount";
  message["adapter"] = adapter;
  message["path"] = path;
  return make_frame(message);
}

std::string make_drop_frame(std::span<const std::int64_t> adapters) {
  base::Json message;
  message["op"] = "drop";
  message["adapters"] = array_of(adapters);
  return make_frame(message);
}

}  // namespace openllm::backend::pt
