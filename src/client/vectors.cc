#include "client/vectors.h"

#include <chrono>
#include <limits>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "client/server_error.h"

namespace openllm::client {
namespace {

using base::Json;

void refuse(bool is_given, std::string_view name, std::string_view why) {
  if (!is_given) return;
  base::fail_with(ErrorCode::kUnsupported, {name, ErrorReason::kUnsupportedField}, name,
                  ": cannot be asked of a server (", why, ")");
}

/// The members that all routes take.
Json common_body(const std::string& model, const EmbedOptions& options) {
  refuse(!options.tenant.empty(), "tenant", "its keys tell on whose behalf a call is");
  refuse(!options.group.empty(), "group", "each call is a group of its own");
  refuse(options.max_wait.has_value(), "max_wait", "it has one of its own");
  Json body = Json::object();
  if (!model.empty()) body["model"] = model;
  if (options.truncate)
    body["truncate_prompt_tokens"] = options.max_tokens > 0 ? options.max_tokens : -1;
  if (!options.prompt_name.empty()) body["prompt_name"] = std::string(options.prompt_name);
  if (!options.adapter_name.empty()) body["adapter_name"] = std::string(options.adapter_name);
  if (options.priority != 0) body["priority"] = options.priority;
  if (!options.request_id.empty()) body["request_id"] = std::string(options.request_id);
  if (options.timeout) body["timeout"] = static_cast<double>(options.timeout->count()) / 1e3;
  return body;
}

Json list_of(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

Json input_of(const Prompt& input) {
  if (const std::string* text = input.text()) return {*text};
  const auto* ids = input.token_ids();
  if (ids == nullptr)
    base::fail_at(ErrorCode::kUnsupported, "input",
                  "messages cannot be embedded (expected a text)");
  Json list = Json::array();
  for (const std::int32_t id : *ids) list.push_back(id);
  return list;
}

Json ask(const Caller& caller, const char* path, const Json& body, const EmbedOptions& options) {
  net::HttpCall request = caller.make_call(path);
  request.body = body.dump();
  request.stop_token = options.stop_token;
  if (options.timeout)
    request.deadline = base::deadline_after(std::chrono::steady_clock::now(), *options.timeout);
  const net::HttpAnswer answer = caller.call(request);
  if (answer.was_ended) {
    base::fail(answer.is_late ? ErrorCode::kDeadline : ErrorCode::kCancelled,
               answer.is_late ? "request: deadline passed" : "request: was cancelled");
  }
  return parse_answer(answer.body);
}

[[noreturn]] void fail_shape(std::string_view what) {
  base::fail(ErrorCode::kIo, kAnswer, ": ", what);
}

const base::JsonArray& array_in(const Json& json, std::string_view name, std::size_t most) {
  const Json* member = json.find(name);
  const base::JsonArray* list = member == nullptr ? nullptr : member->if_array();
  if (list == nullptr || list->size() > most)
    fail_shape(base::cat("has no ", name, " as asked for"));
  return *list;
}

/// Which of `n` an entry is about.
std::size_t index_of(const Json& entry, std::size_t n) {
  const Json* index = entry.find("index");
  const std::int64_t* value = index == nullptr ? nullptr : index->if_int();
  if (value == nullptr || *value < 0 || static_cast<std::size_t>(*value) >= n)
    fail_shape("an entry has no index as asked for");
  return static_cast<std::size_t>(*value);
}

float number_in(const Json& entry, std::string_view name) {
  const Json* number = entry.find(name);
  if (number == nullptr || !number->is_number()) fail_shape(base::cat("an entry has no ", name));
  return static_cast<float>(number->as_double(name));
}

std::int64_t tokens_of(const Json& answer) {
  const Json* usage = answer.find("usage");
  for (const char* name : {"prompt_tokens", "total_tokens"}) {
    const Json* count = usage == nullptr ? nullptr : usage->find(name);
    const std::int64_t* value = count == nullptr ? nullptr : count->if_int();
    if (value != nullptr) return *value;
  }
  return 0;
}

}  // namespace

EmbedOutput embed(const Caller& caller, const std::string& model, const std::vector<Prompt>& inputs,
                  const EmbedOptions& options) {
  if (inputs.empty()) return {};
  Json body = common_body(model, options);
  body["input"] = Json::array();
  for (const Prompt& input : inputs) body["input"].push_back(input_of(input));
  body["encoding_format"] = "float";
  if (options.pooling) body["pooling"] = std::string(to_string(*options.pooling));
  if (options.normalize) body["normalize"] = *options.normalize;
  if (options.dimensions > 0) body["dimensions"] = options.dimensions;
  if (options.prompt) body["prompt"] = *options.prompt;
  if (!options.add_special_tokens) body["add_special_tokens"] = false;
  const Json answer = ask(caller, "/v1/embeddings", body, options);
  const base::JsonArray& data = array_in(answer, "data", inputs.size());
  if (data.size() != inputs.size()) fail_shape("has not an embedding for each input");
  EmbedOutput output;
  output.n_tokens = tokens_of(answer);
  output.embeddings.resize(inputs.size());
  for (const Json& entry : data) {
    std::vector<float>& values = output.embeddings[index_of(entry, inputs.size())].values;
    if (!values.empty()) fail_shape("has an embedding twice");
    for (const Json& number : array_in(entry, "embedding", std::numeric_limits<int>::max())) {
      if (!number.is_number()) fail_shape("an embedding is no list of numbers");
      values.push_back(static_cast<float>(number.as_double("embedding")));
    }
  }
  return output;
}

ScoreOutput score(const Caller& caller, const std::string& model, const std::string& query,
                  const std::vector<std::string>& documents, const EmbedOptions& options) {
  if (documents.empty()) return {};
  Json body = common_body(model, options);
  body["text_1"] = query;
  body["text_2"] = list_of(documents);
  const Json answer = ask(caller, "/v1/score", body, options);
  const base::JsonArray& data = array_in(answer, "data", documents.size());
  if (data.size() != documents.size()) fail_shape("has not a score for each document");
  ScoreOutput output;
  output.n_tokens = tokens_of(answer);
  output.scores.resize(documents.size());
  for (const Json& entry : data)
    output.scores[index_of(entry, documents.size())] = number_in(entry, "score");
  return output;
}

RerankOutput rerank(const Caller& caller, const std::string& model, const std::string& query,
                    const std::vector<std::string>& documents, int top_n,
                    const EmbedOptions& options) {
  if (documents.empty()) return {};
  Json body = common_body(model, options);
  body["query"] = query;
  body["documents"] = list_of(documents);
  if (top_n > 0) body["top_n"] = top_n;
  body["return_documents"] = false;
  const Json answer = ask(caller, "/v1/rerank", body, options);
  RerankOutput output;
  output.n_tokens = tokens_of(answer);
  for (const Json& entry : array_in(answer, "results", documents.size())) {
    output.results.push_back(
        {static_cast<int>(index_of(entry, documents.size())), number_in(entry, "relevance_score")});
  }
  return output;
}

}  // namespace openllm::client
