#include "server/api/answers.h"

#include "base/json.h"

namespace openllm::server {
namespace {

std::string begin_answer(const AnswerHead& head, std::string_view object) {
  std::string out;
  out.reserve(256);
  out += R"({"id":)";
  base::append_json_string(out, head.id);
  out += R"(,"object":)";
  base::append_json_string(out, object);
  out += R"(,"created":)";
  append_int(out, head.created);
  out += R"(,"model":)";
  base::append_json_string(out, head.model);
  out += R"(,"choices":[)";
  return out;
}

void append_finish(std::string& out, const char* reason) {
  out += R"(,"finish_reason":)";
  if (reason == nullptr) {
    out += "null";
  } else {
    base::append_json_string(out, reason);
  }
}

}  // namespace

const char* finish_name(const std::optional<FinishReason>& reason) noexcept {
  if (!reason) return nullptr;
  return *reason == FinishReason::kLength ? "length" : "stop";
}

std::string CompletionAnswer::begin() const { return begin_answer(head_, "text_completion"); }

void CompletionAnswer::append_choice(std::string& out, const Piece& piece,
                                     LogprobWriter::TextOffset& offset) const {
  out += R"({"index":)";
  append_int(out, piece.index);
  out += R"(,"text":)";
  const std::string text = piece.echo_text + piece.chunk->text;
  base::append_json_string(out, text);
  out += R"(,"logprobs":)";
  if (!piece.chunk->logprobs) {
    out += "null";
  } else {
    std::vector<std::int32_t> ids = piece.chunk->token_ids;
    std::vector<TokenLogprobs> lists = *piece.chunk->logprobs;
    if (piece.echo != nullptr && piece.echo->prompt_logprobs && piece.echo->prompt_token_ids) {
      ids.insert(ids.begin(), piece.echo->prompt_token_ids->begin(),
                 piece.echo->prompt_token_ids->end());
      lists.insert(lists.begin(), piece.echo->prompt_logprobs->begin(),
                   piece.echo->prompt_logprobs->end());
    }
    logprobs_.append_completion(out, text, ids, lists, offset);
  }
  if (return_token_ids_) {
    out += R"(,"token_ids":)";
    append_ids(out, piece.chunk->token_ids);
    if (piece.prompt_token_ids != nullptr) {
      out += R"(,"prompt_token_ids":)";
      append_ids(out, *piece.prompt_token_ids);
    }
  }
  append_finish(out, finish_name(piece.chunk->finish_reason));
  out += '}';
}

std::string CompletionAnswer::chunk(std::string_view choice) const {
  std::string out = begin();
  out += choice;
  out += include_usage_ ? R"(],"usage":null})" : "]}";
  return out;
}

std::string CompletionAnswer::usage_chunk(const Usage& usage) const { return whole("", usage); }

std::string CompletionAnswer::whole(std::string_view choices, const Usage& usage) const {
  std::string out = begin();
  out += choices;
  out += R"(],"usage":)";
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string ChatAnswer::begin(std::string_view object) const { return begin_answer(head_, object); }

std::string ChatAnswer::end_chunk(std::string text,
                                  const std::vector<std::int32_t>* prompt_token_ids) const {
  text += include_usage_ ? R"(}],"usage":null)" : "}]";
  if (return_token_ids_ && prompt_token_ids != nullptr) {
    text += R"(,"prompt_token_ids":)";
    append_ids(text, *prompt_token_ids);
  }
  text += '}';
  return text;
}

std::string ChatAnswer::role_chunk(int index,
                                   const std::vector<std::int32_t>* prompt_token_ids) const {
  std::string out = begin("chat.completion.chunk");
  out += R"({"index":)";
  append_int(out, index);
  out += R"(,"delta":{"role":"assistant","content":""},"logprobs":null)";
  append_finish(out, nullptr);
  return end_chunk(std::move(out), prompt_token_ids);
}

void ChatAnswer::append_logprobs(std::string& out, const CompletionChunk& chunk) const {
  out += R"(,"logprobs":)";
  if (chunk.logprobs) {
    logprobs_.append_chat(out, *chunk.logprobs);
  } else {
    out += "null";
  }
  if (return_token_ids_) {
    out += R"(,"token_ids":)";
    append_ids(out, chunk.token_ids);
  }
}

std::string ChatAnswer::text_chunk(const CompletionChunk& chunk) const {
  std::string out = begin("chat.completion.chunk");
  out += R"({"index":)";
  append_int(out, chunk.index);
  out += R"(,"delta":{"content":)";
  base::append_json_string(out, chunk.delta);
  out += '}';
  append_logprobs(out, chunk);
  append_finish(out, nullptr);
  return end_chunk(std::move(out));
}

std::string ChatAnswer::finish_chunk(int index, const char* reason) const {
  std::string out = begin("chat.completion.chunk");
  out += R"({"index":)";
  append_int(out, index);
  out += R"(,"delta":{},"logprobs":null)";
  append_finish(out, reason);
  return end_chunk(std::move(out));
}

std::string ChatAnswer::usage_chunk(const Usage& usage) const {
  std::string out = begin("chat.completion.chunk");
  out += R"(],"usage":)";
  append_usage(out, usage);
  out += '}';
  return out;
}

std::string ChatAnswer::whole(const GenerationOutput& output, const Usage& usage) const {
  std::string out = begin("chat.completion");
  for (const CompletionChunk& chunk : output.outputs) {
    if (&chunk != &output.outputs.front()) out += ',';
    out += R"({"index":)";
    append_int(out, chunk.index);
    out += R"(,"message":{"role":"assistant","content":)";
    base::append_json_string(out, chunk.text);
    out += R"(,"refusal":null})";
    append_logprobs(out, chunk);
    append_finish(out, finish_name(chunk.finish_reason));
    out += '}';
  }
  out += R"(],"usage":)";
  append_usage(out, usage);
  if (return_token_ids_ && output.prompt_token_ids) {
    out += R"(,"prompt_token_ids":)";
    append_ids(out, *output.prompt_token_ids);
  }
  out += '}';
  return out;
}

}  // namespace openllm::server
