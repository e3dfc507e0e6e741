#include "server/api/answers.h"

#include <utility>

namespace openllm::server {
namespace {

/// Opens the object and its list of choices. Both answers and chunks begin so.
void begin_answer(base::JsonWriter& json, const AnswerHead& head, std::string_view object) {
  json.begin_object();
  json.member("id", head.id).member("object", object).member("created", head.created);
  json.member("model", head.model).member("system_fingerprint", head.system_fingerprint);
  json.key("choices").begin_array();
}

void write_finish(base::JsonWriter& json, const char* reason) {
  json.key("finish_reason").text_or_null(reason == nullptr ? "" : reason);
}

/// Closes the list of choices and the answer. `usage` may be null.
void write_end(base::JsonWriter& json, const Usage* usage, const Receipts& receipts) {
  json.end_array();
  if (usage != nullptr) {
    json.key("usage");
    write_usage(json, *usage);
  }
  receipts.write(json);
  json.end_object();
}

/// An answer's text and the writer at its end.
struct Text {
  std::string out{};
  base::JsonWriter json{out};

  Text() { out.reserve(256); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
};

}  // namespace

const char* finish_name(const std::optional<FinishReason>& reason) noexcept {
  if (!reason) return nullptr;
  return *reason == FinishReason::kLength ? "length" : "stop";
}

void CompletionAnswer::append_choice(std::string& out, const Piece& piece) const {
  base::JsonWriter json(out);
  json.begin_object().member("index", piece.index).member("text", piece.text).key("logprobs");
  if (piece.logprobs != nullptr) {
    std::string logprobs;
    logprobs_.append_completion(logprobs, *piece.logprobs);
    json.raw(logprobs);
  } else {
    json.null();
  }
  if (return_token_ids_) {
    json.member("token_ids", *piece.token_ids);
    json.member("cumulative_logprob", piece.cumulative_logprob);
    if (piece.prompt_token_ids != nullptr) json.member("prompt_token_ids", *piece.prompt_token_ids);
  }
  if (piece.prompt_logprobs != nullptr) {
    std::string lists;
    logprobs_.append_prompt(lists, *piece.prompt_logprobs, piece.n_prompt_logprobs);
    json.key("prompt_logprobs").raw(lists);
  }
  write_finish(json, finish_name(piece.finish_reason));
  json.end_object();
}

std::string CompletionAnswer::chunk(std::string_view choice) const {
  Text text;
  begin_answer(text.json, head_, "text_completion");
  text.json.raw(choice).end_array();
  if (include_usage_) text.json.key("usage").null();
  text.json.end_object();
  return std::move(text.out);
}

std::string CompletionAnswer::end_chunk(const Usage& usage, const Receipts& receipts) const {
  Text text;
  begin_answer(text.json, head_, "text_completion");
  write_end(text.json, include_usage_ ? &usage : nullptr, receipts);
  return std::move(text.out);
}

std::string CompletionAnswer::whole(std::string_view choices, const Usage& usage,
                                    const Receipts& receipts) const {
  Text text;
  begin_answer(text.json, head_, "text_completion");
  text.json.raw(choices);
  write_end(text.json, &usage, receipts);
  return std::move(text.out);
}

/// Closes the choice, the list of choices and the chunk.
void ChatAnswer::close_chunk(base::JsonWriter& json,
                             const std::vector<std::int32_t>* prompt_token_ids) const {
  json.end_object().end_array();
  if (include_usage_) json.key("usage").null();
  if (return_token_ids_ && prompt_token_ids != nullptr)
    json.member("prompt_token_ids", *prompt_token_ids);
  json.end_object();
}

std::string ChatAnswer::role_chunk(int index,
                                   const std::vector<std::int32_t>* prompt_token_ids) const {
  Text text;
  begin_answer(text.json, head_, "chat.completion.chunk");
  text.json.begin_object().member("index", index).key("delta").begin_object();
  text.json.member("role", "assistant").member("content", "").end_object();
  text.json.key("logprobs").null();
  write_finish(text.json, nullptr);
  close_chunk(text.json, prompt_token_ids);
  return std::move(text.out);
}

void ChatAnswer::write_logprobs(base::JsonWriter& json, const CompletionChunk& chunk) const {
  json.key("logprobs");
  if (chunk.logprobs) {
    std::string logprobs;
    logprobs_.append_chat(logprobs, *chunk.logprobs);
    json.raw(logprobs);
  } else {
    json.null();
  }
  if (!return_token_ids_) return;
  json.member("token_ids", chunk.token_ids);
  json.member("cumulative_logprob", chunk.cumulative_logprob);
}

std::string ChatAnswer::text_chunk(const CompletionChunk& chunk) const {
  Text text;
  begin_answer(text.json, head_, "chat.completion.chunk");
  text.json.begin_object().member("index", chunk.index);
  text.json.key("delta").begin_object().member("content", chunk.delta).end_object();
  write_logprobs(text.json, chunk);
  write_finish(text.json, nullptr);
  close_chunk(text.json);
  return std::move(text.out);
}

std::string ChatAnswer::finish_chunk(int index, const char* reason) const {
  Text text;
  begin_answer(text.json, head_, "chat.completion.chunk");
  text.json.begin_object().member("index", index);
  text.json.key("delta").begin_object().end_object().key("logprobs").null();
  write_finish(text.json, reason);
  close_chunk(text.json);
  return std::move(text.out);
}

std::string ChatAnswer::end_chunk(const Usage& usage, const Receipts& receipts) const {
  Text text;
  begin_answer(text.json, head_, "chat.completion.chunk");
  write_end(text.json, include_usage_ ? &usage : nullptr, receipts);
  return std::move(text.out);
}

std::string ChatAnswer::whole(const GenerationOutput& output, const Usage& usage,
                              const Receipts& receipts) const {
  Text text;
  base::JsonWriter& json = text.json;
  begin_answer(json, head_, "chat.completion");
  for (const CompletionChunk& chunk : output.outputs) {
    json.begin_object().member("index", chunk.index).key("message").begin_object();
    json.member("role", "assistant").member("content", chunk.text).key("refusal").null();
    json.end_object();
    write_logprobs(json, chunk);
    write_finish(json, finish_name(chunk.finish_reason));
    json.end_object();
  }
  json.end_array().key("usage");
  write_usage(json, usage);
  receipts.write(json);
  if (return_token_ids_ && output.prompt_token_ids)
    json.member("prompt_token_ids", *output.prompt_token_ids);
  json.end_object();
  return std::move(text.out);
}

}  // namespace openllm::server
