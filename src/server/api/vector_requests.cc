#include "server/api/vector_requests.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "base/error.h"
#include "base/nearest.h"
#include "fields/values.h"
#include "server/api/fields.h"

namespace openllm::server {
namespace {

constexpr std::size_t kMaxInputs = 2048;  // as OpenAI
constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();

using Names = std::span<const std::string_view>;

constexpr std::string_view kCommon[] = {
    "model",   "user",        "truncate",    "truncate_prompt_tokens", "priority", "request_id",
    "timeout", "prompt_name", "adapter_name"};
constexpr std::string_view kOfEmbeddings[] = {
    "input",   "encoding_format", "dimensions",        "normalize",
    "pooling", "prompt",          "add_special_tokens"};
constexpr std::string_view kOfScores[] = {"text_1", "text_2", "queries", "documents"};
constexpr std::string_view kOfRerank[] = {"query", "documents", "top_n", "return_documents"};
/// What other servers take on these routes and this one cannot honour.
constexpr std::string_view kLacking[] = {"messages",
                                         "input_type",
                                         "task",
                                         "late_chunking",
                                         "embedding_type",
                                         "embedding_types",
                                         "output_dtype",
                                         "output_dimension",
                                         "embed_dtype",
                                         "endianness",
                                         "images",
                                         "instruction",
                                         "chat_template",
                                         "max_chunks_per_doc",
                                         "max_tokens_per_doc",
                                         "rank_fields",
                                         "mm_processor_kwargs",
                                         "cache_salt",
                                         "softmax",
                                         "activation",
                                         "use_activation",
                                         "score_template"};

bool has(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Refuses what is lacking and what is nearly a known name; returns what nobody knows.
fields::UnknownNames check_names(const base::Json& json, Names own) {
  std::vector<std::string> known;
  for (const Names names : {Names(kCommon), own})
    known.insert(known.end(), names.begin(), names.end());
  constexpr std::size_t kMaxUnknown = 100;
  fields::UnknownNames unknown;
  const Fields body(json);
  for (const auto& [name, value] : *json.if_object()) {
    if (has(kCommon, name) || has(own, name)) continue;
    if (has(kLacking, name)) {
      if (value.is_null()) continue;
      body.fail_unsupported(name, "this server does not have that feature");
    }
    const auto near = unknown.size() < kMaxUnknown ? base::nearest(name, known) : std::nullopt;
    if (near) {
      base::fail_with(ErrorCode::kInvalidArgument, {name, ErrorReason::kUnknownField},
                      name.substr(0, 60), ": there is no such field; did you mean ", *near, "?");
    }
    unknown.push_back(name.substr(0, 60));
  }
  return unknown;
}

void read_common(const base::Json& json, Names own, VectorRequest& request) {
  const Fields body(json);
  request.ignored = check_names(json, own);
  if (const std::string* model = body.string("model")) request.model = *model;
  (void)body.string("user");
  EmbedOptions& options = request.options;
  options.truncate = body.boolean("truncate").value_or(false);
  if (const auto n = body.integer("truncate_prompt_tokens", -1, kMaxInt)) {
    if (*n == 0) body.fail_value("truncate_prompt_tokens", "-1 or at least 1", "0");
    options.truncate = true;
    options.max_tokens = std::max<int>(0, static_cast<int>(*n));
  }
  options.priority = static_cast<int>(body.integer("priority", -kMaxInt, kMaxInt).value_or(0));
  if (const std::string* id = body.string("request_id")) options.request_id = *id;
  if (const std::string* name = body.string("prompt_name")) options.prompt_name = *name;
  if (const std::string* name = body.string("adapter_name")) options.adapter_name = *name;
  if (const base::Json* timeout = body.find("timeout")) {
    const double seconds =
        fields::read_number(*timeout, "timeout", {.min = 0, .max = 1e7, .is_above_min = true});
    options.timeout = std::chrono::milliseconds(std::llround(std::ceil(seconds * 1e3)));
  }
}

void check_count(const Fields& body, std::string_view name, std::size_t n) {
  if (n == 0) body.fail_value(name, "at least one text", "an empty array");
  if (n > kMaxInputs)
    body.fail_value(name, base::cat("at most ", kMaxInputs, " of them"), std::to_string(n));
}

Prompt parse_input(const Fields& body, const base::Json& value, const std::string& where) {
  if (const std::string* text = value.if_string()) return *text;
  if (value.if_array() == nullptr) body.fail_type(where, "string or array of token ids", value);
  std::vector<std::int32_t> ids = fields::read_token_ids(value, where);
  if (ids.empty()) body.fail_value(where, "at least one token", "an empty array");
  return ids;
}

void parse_inputs(const Fields& body, EmbeddingRequest& request) {
  const base::Json* value = body.find("input");
  if (value == nullptr) body.fail_missing("input");
  const base::JsonArray* list = value->if_array();
  if (list == nullptr || (!list->empty() && list->front().is_number())) {
    request.inputs.push_back(parse_input(body, *value, "input"));
    return;
  }
  check_count(body, "input", list->size());
  request.inputs.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i)
    request.inputs.push_back(parse_input(body, (*list)[i], base::cat("input[", i, "]")));
}

/// A text, or an object with one, as Cohere and Jina have documents.
std::string parse_text(const Fields& body, const base::Json& value, const std::string& where) {
  if (const std::string* text = value.if_string()) return *text;
  const base::Json* inner = value.is_object() ? value.find("text") : nullptr;
  const std::string* text = inner == nullptr ? nullptr : inner->if_string();
  if (text == nullptr || value.if_object()->size() != 1)
    body.fail_type(where, "string, or object with a text", value);
  return *text;
}

/// A text or several.
std::vector<std::string> parse_texts(const Fields& body, std::string_view name) {
  const base::Json* value = body.find(name);
  if (value == nullptr) body.fail_missing(name);
  const base::JsonArray* list = value->if_array();
  if (list == nullptr) return {parse_text(body, *value, std::string(name))};
  check_count(body, name, list->size());
  std::vector<std::string> texts;
  texts.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i)
    texts.push_back(parse_text(body, (*list)[i], base::cat(name, "[", i, "]")));
  return texts;
}

}  // namespace

EmbeddingRequest parse_embedding_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  EmbeddingRequest request;
  read_common(json, kOfEmbeddings, request);
  parse_inputs(body, request);
  EmbedOptions& options = request.options;
  if (const std::string* format = body.string("encoding_format")) {
    if (*format != "float" && *format != "base64")
      body.fail_value("encoding_format", "float or base64", *format);
    request.base64 = *format == "base64";
  }
  options.dimensions = static_cast<int>(body.integer("dimensions", 1, kMaxInt).value_or(0));
  options.normalize = body.boolean("normalize");
  options.add_special_tokens = body.boolean("add_special_tokens").value_or(true);
  if (const std::string* prompt = body.string("prompt")) options.prompt = *prompt;
  if (const std::string* name = body.string("pooling")) {
    options.pooling = pooling_named(*name);
    if (!options.pooling)
      body.fail_value("pooling", "mean, cls, last, max, mean_sqrt_len or weighted_mean", *name);
  }
  return request;
}

ScoreRequest parse_score_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  ScoreRequest request;
  read_common(json, kOfScores, request);
  const bool has_names = body.find("queries") != nullptr || body.find("documents") != nullptr;
  request.queries = parse_texts(body, has_names ? "queries" : "text_1");
  request.documents = parse_texts(body, has_names ? "documents" : "text_2");
  const std::size_t n = request.queries.size();
  if (n != 1 && n != request.documents.size()) {
    body.fail_value(
        has_names ? "queries" : "text_1",
        base::cat("one text, or as many as the other side has (", request.documents.size(), ")"),
        std::to_string(n));
  }
  return request;
}

RerankRequest parse_rerank_request(std::string_view text) {
  const base::Json json = parse_body(text);
  const Fields body(json);
  RerankRequest request;
  read_common(json, kOfRerank, request);
  const std::string* query = body.string("query");
  if (query == nullptr) body.fail_missing("query");
  request.query = *query;
  request.documents = parse_texts(body, "documents");
  request.top_n = static_cast<int>(body.integer("top_n", 1, kMaxInt).value_or(0));
  request.return_documents = body.boolean("return_documents").value_or(true);
  return request;
}

}  // namespace openllm::server
