#include "llm/receipt.h"

#include <limits>
#include <utility>

#include "base/error.h"
#include "fields/access.h"
#include "fields/values.h"
#include "openllm/receipt.h"
#include "openllm/version.h"
#include "store/sha256.h"

namespace openllm::llm {
namespace {

constexpr std::string_view kWhere = "receipt";
constexpr std::int64_t kFormat = 1;
constexpr std::string_view kDigest = "sha256";
constexpr std::size_t kMaxChoices = 128;
constexpr std::size_t kMaxBytes = std::size_t{64} << 20U;

base::Json ids_json(const std::vector<std::int32_t>& ids) {
  base::Json list = base::Json::array();
  for (const std::int32_t id : ids) list.push_back(id);
  return list;
}

/// The fields that may change the answer, each from where the engine's request has it.
base::Json options_json(const ResolvedRequest& request) {
  base::Json options = base::Json::object();
  for (const fields::Field& field : fields::all()) {
    if (!fields::shapes_answers(field) || field.type == fields::Type::kSeed) continue;
    base::Json value = fields::has_config(field) ? fields::get(field, request.config)
                                                 : fields::get(field, request.options);
    if (!value.is_null()) options[field.name] = std::move(value);
  }
  return options;
}

/// Texts that are no UTF-8 are other texts when they come back.
bool survives_json(const base::Json& json) {
  return base::Json::parse(json.dump(), kWhere) == json;
}

base::Json choice_json(const CompletionChunk& chunk, bool hash_only) {
  base::Json choice = base::Json::object();
  choice["index"] = chunk.index;
  choice["finish_reason"] = to_string(chunk.finish_reason.value_or(FinishReason::kCancelled));
  choice["n_tokens"] = chunk.token_ids.size();
  choice["token_ids_sha256"] = sha256_of(chunk.token_ids);
  choice["text_sha256"] = sha256_of(chunk.text);
  if (!hash_only) choice["token_ids"] = ids_json(chunk.token_ids);
  return choice;
}

/// Why an answer with this end depends on more than the request; empty: it does not.
std::string why_not_replayable(const std::vector<CompletionChunk>& choices) {
  for (const CompletionChunk& chunk : choices) {
    const FinishReason reason = chunk.finish_reason.value_or(FinishReason::kCancelled);
    if (reason == FinishReason::kStop || reason == FinishReason::kLength) continue;
    return base::cat("choice ", chunk.index, " ended by ", to_string(reason));
  }
  return {};
}

/// Hash of everything but itself, as compact JSON.
std::string digest_of(base::Json receipt) {
  receipt.if_object()->erase(kDigest);
  return sha256_of(receipt.dump());
}

// --- reading ---

std::string path_of(std::string_view path, std::string_view name) {
  return base::cat(path, ".", name);
}

/// Members of an object, which must be there.
class Members {
 public:
  Members(const base::Json& json, std::string path) : json_(json), path_(std::move(path)) {
    (void)json.as_object(path_);
  }
  const base::Json& get(std::string_view name) const {
    const base::Json* value = json_.find(name);
    if (value == nullptr)
      base::fail_at(ErrorCode::kInvalidArgument, path_of(path_, name), "missing");
    return *value;
  }
  const base::Json* find(std::string_view name) const {
    const base::Json* value = json_.find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  std::string text(std::string_view name) const {
    return get(name).as_string(path_of(path_, name));
  }
  bool flag(std::string_view name) const { return get(name).as_bool(path_of(path_, name)); }
  std::int64_t count(std::string_view name, std::int64_t max) const {
    return fields::read_integer(get(name), path_of(path_, name), 0, max);
  }
  std::string sha256(std::string_view name) const {
    constexpr std::size_t kDigits = 64;
    std::string text = this->text(name);
    if (text.size() != kDigits || text.find_first_not_of("0123456789abcdef") != std::string::npos)
      fields::fail_value(path_of(path_, name), "64 hexadecimal digits", text);
    return text;
  }
  /// Token ids that must have this number and this hash; nothing where there are none.
  std::optional<std::vector<std::int32_t>> ids(std::int64_t n, const std::string& sha256) const {
    const base::Json* list = find("token_ids");
    if (list == nullptr) return std::nullopt;
    const std::string place = path_of(path_, "token_ids");
    std::vector<std::int32_t> ids = fields::read_token_ids(*list, place);
    if (static_cast<std::int64_t>(ids.size()) != n || sha256_of(ids) != sha256) {
      base::fail_at(ErrorCode::kCorruptData, place,
                    "are not those that the receipt was written with");
    }
    return ids;
  }
  Members object(std::string_view name) const { return {get(name), path_of(path_, name)}; }
  const std::string& path() const noexcept { return path_; }

 private:
  const base::Json& json_;
  std::string path_;
};

void read_origin(const Members& receipt, AnswerOrigin& origin) {
  constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();
  origin.version = receipt.text("openllm");
  const Members model = receipt.object("model");
  origin.name = model.text("name");
  origin.tag = model.text("tag");
  origin.sha256 = model.sha256("sha256");
  const Members backend = receipt.object("backend");
  origin.backend = backend.text("name");
  origin.device = backend.text("device");
  origin.isa = backend.text("isa");
  origin.kv_dtype = backend.text("kv_dtype");
  origin.kv_block_size = static_cast<int>(backend.count("kv_block_size", kMaxInt));
  origin.max_model_len = static_cast<int>(backend.count("max_model_len", kMaxInt));
  origin.fast_activations = backend.flag("fast_activations");
}

void read_prompt(const Members& prompt, Receipt& receipt) {
  receipt.n_prompt_tokens = prompt.count("n_tokens", std::numeric_limits<std::int32_t>::max());
  receipt.prompt_sha256 = prompt.sha256("sha256");
  auto ids = prompt.ids(receipt.n_prompt_tokens, receipt.prompt_sha256);
  receipt.has_prompt = ids.has_value();
  if (ids) receipt.request.prompt_ids = *std::move(ids);
}

void read_options(const base::Json& json, ResolvedRequest& request) {
  constexpr std::string_view kPath = "receipt.options";
  request.config = fields::initial_config();
  for (const auto& [name, value] : json.as_object(kPath)) {
    const std::string place = path_of(kPath, name);
    const fields::Field* field = fields::find(name);
    if (field == nullptr || !fields::shapes_answers(*field) || value.is_null()) {
      base::fail_at(ErrorCode::kInvalidArgument, place,
                    "no field of receipts (of another version?)");
    }
    if (fields::has_config(*field)) {
      fields::set(*field, request.config, value, place);
    } else {
      fields::set(*field, request.options, value, place, field->range);
    }
  }
  fields::check(request.config, kPath);
  fields::check(request.options);
}

ReceiptChoice read_choice(const Members& json) {
  ReceiptChoice choice;
  choice.finish_reason = json.text("finish_reason");
  choice.n_tokens = json.count("n_tokens", std::numeric_limits<std::int32_t>::max());
  choice.token_ids_sha256 = json.sha256("token_ids_sha256");
  choice.text_sha256 = json.sha256("text_sha256");
  choice.token_ids = json.ids(choice.n_tokens, choice.token_ids_sha256);
  return choice;
}

void check_format(const Members& receipt) {
  const base::Json* format = receipt.find("receipt");
  if (format == nullptr || !format->is_int())
    base::fail_at(ErrorCode::kInvalidArgument, kWhere, "is no receipt (it has no format version)");
  if (*format->if_int() != kFormat) {
    base::fail_at(ErrorCode::kUnsupported, "receipt.receipt", "another format (expected ", kFormat,
                  ", got ", *format->if_int(), ")");
  }
}

}  // namespace

base::Json begin_receipt(const AnswerOrigin& origin, const ResolvedRequest& request, bool hash_only,
                         std::string_view why_not) {
  base::Json json = base::Json::object();
  json["receipt"] = kFormat;
  json["openllm"] = origin.version;
  base::Json& model = json["model"];
  model["name"] = origin.name;
  model["tag"] = origin.tag;
  model["sha256"] = origin.sha256;
  base::Json& backend = json["backend"];
  backend["name"] = origin.backend;
  backend["device"] = origin.device;
  backend["isa"] = origin.isa;
  backend["fast_activations"] = origin.fast_activations;
  backend["kv_dtype"] = origin.kv_dtype;
  backend["kv_block_size"] = origin.kv_block_size;
  backend["max_model_len"] = origin.max_model_len;
  base::Json& prompt = json["prompt"];
  prompt["n_tokens"] = request.prompt_ids.size();
  prompt["sha256"] = sha256_of(request.prompt_ids);
  if (!hash_only) prompt["token_ids"] = ids_json(request.prompt_ids);
  json["seed"] = static_cast<std::int64_t>(request.options.seed.value());
  json["options"] = options_json(request);
  std::string reason(why_not);
  if (reason.empty() && !survives_json(json["options"]))
    reason = "an option has text that is no UTF-8";
  json["reason"] = reason.empty() ? base::Json() : base::Json(reason);
  return json;
}

std::string end_receipt(base::Json receipt, const std::string& request_id,
                        const std::vector<CompletionChunk>& choices) {
  const bool hash_only = receipt["prompt"].find("token_ids") == nullptr;
  base::Json reason = receipt["reason"];
  receipt.if_object()->erase("reason");
  base::Json& list = receipt["choices"] = base::Json::array();
  for (const CompletionChunk& chunk : choices) list.push_back(choice_json(chunk, hash_only));
  receipt["request_id"] = request_id;
  if (reason.is_null()) {
    const std::string why_not = why_not_replayable(choices);
    if (!why_not.empty()) reason = why_not;
  }
  receipt["replayable"] = reason.is_null();
  receipt["reason"] = std::move(reason);
  receipt[kDigest] = digest_of(receipt);
  return receipt.dump();
}

Receipt parse_receipt(std::string_view text) {
  if (text.size() > kMaxBytes)
    base::fail_at(ErrorCode::kInvalidArgument, kWhere, "too long (expected at most ", kMaxBytes,
                  " bytes, got ", text.size(), ")");
  const base::Json json = base::Json::parse_unique(text, kWhere);
  const Members members(json, std::string(kWhere));
  check_format(members);
  if (members.sha256(kDigest) != digest_of(json)) {
    base::fail_at(ErrorCode::kCorruptData, kWhere,
                  "was changed after it was written (its sha256 is that of another content)");
  }
  Receipt receipt;
  read_origin(members, receipt.origin);
  read_prompt(members.object("prompt"), receipt);
  read_options(members.get("options"), receipt.request);
  receipt.request.options.seed = static_cast<std::uint64_t>(fields::read_integer(
      members.get("seed"), "receipt.seed", std::numeric_limits<std::int64_t>::min(),
      std::numeric_limits<std::int64_t>::max()));
  const base::JsonArray& choices = members.get("choices").as_array("receipt.choices");
  if (choices.empty() || choices.size() > kMaxChoices) {
    fields::fail_value("receipt.choices", base::cat("1 to ", kMaxChoices, " choices"),
                       base::cat(choices.size()));
  }
  for (std::size_t i = 0; i < choices.size(); ++i)
    receipt.choices.push_back(read_choice({choices[i], base::cat("receipt.choices[", i, "]")}));
  if (!members.flag("replayable")) receipt.why_not_replayable = members.text("reason");
  return receipt;
}

std::string sha256_of(const std::vector<std::int32_t>& ids) {
  store::Sha256 hash;
  std::string bytes;
  bytes.reserve(4 * ids.size());
  for (const std::int32_t id : ids) {
    for (unsigned shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>((static_cast<std::uint32_t>(id) >> shift) & 0xFFU);
  }
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_of(std::string_view text) {
  store::Sha256 hash;
  hash.update(text);
  return hash.hex();
}

}  // namespace openllm::llm

namespace openllm {

ReceiptModel receipt_model(const std::string& text) {
  const llm::AnswerOrigin origin = llm::parse_receipt(text).origin;
  ReceiptModel model{origin.tag, origin.name, origin.sha256, {}};
  model.load.backend = origin.backend;
  model.load.device = origin.device;
  model.load.fast_activations = origin.fast_activations;
  if (!origin.kv_dtype.empty()) model.load.kv_dtype = origin.kv_dtype;
  model.load.kv_block_size = origin.kv_block_size;
  model.load.max_model_len = origin.max_model_len;
  return model;
}

}  // namespace openllm
