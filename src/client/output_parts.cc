#include "client/output_parts.h"

#include <algorithm>

#include "base/error.h"
#include "client/server_error.h"

namespace openllm::client {

namespace {

/// As many as a request can ask for.
constexpr int kMaxChoices = 128;

void resize_choices(GenerationOutput& output, std::size_t n) {
  output.outputs.resize(n);
  for (std::size_t i = 0; i < n; ++i) output.outputs[i].index = static_cast<int>(i);
}

}  // namespace

base::Json prompt_ids_json(const std::vector<std::int32_t>& ids) {
  if (ids.empty()) base::fail_at(ErrorCode::kInvalidArgument, "prompt", "has no tokens");
  base::Json list = base::Json::array();
  for (const std::int32_t id : ids) list.push_back(id);
  return list;
}

GenerationOutput empty_output(const Prompt& prompt, const GenerateOptions& options) {
  GenerationOutput output;
  if (prompt.text() != nullptr) output.prompt = *prompt.text();
  resize_choices(output,
                 static_cast<std::size_t>(std::clamp(options.n.value_or(1), 1, kMaxChoices)));
  return output;
}

void begin_part(GenerationOutput& output, OutputKind kind) {
  for (CompletionChunk& chunk : output.outputs) {
    chunk.delta.clear();
    chunk.n_delta_tokens = 0;
    if (kind != OutputKind::kDelta) continue;
    chunk.text.clear();
    chunk.token_ids.clear();
    chunk.logprobs.reset();
  }
}

CompletionChunk& choice_at(GenerationOutput& output, const base::Json* index) {
  const std::int64_t number = index == nullptr ? 0 : index->as_int(kAnswer);
  if (number < 0 || number >= kMaxChoices) {
    base::fail(ErrorCode::kIo, kAnswer, ": bad choice (expected less than ", kMaxChoices, ", got ",
               number, ")");
  }
  resize_choices(output, std::max(output.outputs.size(), static_cast<std::size_t>(number) + 1));
  return output.outputs[static_cast<std::size_t>(number)];
}

void require_choices(const GenerationOutput& output, std::optional<int> n) {
  if (!n || output.outputs.size() <= static_cast<std::size_t>(std::max(*n, 1))) return;
  base::fail(ErrorCode::kIo, kAnswer, ": too many choices (expected ", *n, ", got ",
             output.outputs.size(), ")");
}

void add_text(CompletionChunk& chunk, std::string_view text) {
  chunk.delta += text;
  chunk.text += text;
}

void append_ids(std::vector<std::int32_t>& to, const base::Json* ids) {
  if (ids == nullptr || !ids->is_array()) return;
  for (const base::Json& id : *ids->if_array())
    to.push_back(static_cast<std::int32_t>(id.as_int(kAnswer)));
}

void add_tokens(CompletionChunk& chunk, const base::Json* ids) {
  const std::size_t n_before = chunk.token_ids.size();
  append_ids(chunk.token_ids, ids);
  chunk.n_delta_tokens += chunk.token_ids.size() - n_before;
}

void set_prompt_ids(GenerationOutput& output, const base::Json* ids) {
  if (ids == nullptr || !ids->is_array()) return;
  output.prompt_token_ids.emplace();
  append_ids(*output.prompt_token_ids, ids);
}

void count_new_tokens(GenerationOutput& output) {
  Usage& total = output.usage;
  for (const CompletionChunk& chunk : output.outputs)
    total.n_completion_tokens += static_cast<std::int64_t>(chunk.n_delta_tokens);
  if (output.prompt_token_ids)
    total.n_prompt_tokens = static_cast<std::int64_t>(output.prompt_token_ids->size());
}

void read_count(const base::Json* object, const char* name, std::int64_t& count) {
  const base::Json* value = object == nullptr ? nullptr : object->find(name);
  if (value != nullptr && value->is_int() && *value->if_int() >= 0) count = *value->if_int();
}

}  // namespace openllm::client
