#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "openllm/chat.h"
#include "openllm/options.h"
#include "openllm/outputs.h"

// What bodies and answers of all APIs have in common. Wrong types in answers are kInvalidArgument
// here: `read_answer` (client/server_error.h) makes the server's fault of them.
namespace openllm::client {

/// Ids as a list; throws kInvalidArgument for an empty one.
base::Json prompt_ids_json(const std::vector<std::int32_t>& ids);

/// An output with nothing in it but the prompt, for `options.n` choices. Where that is unset the
/// server's default decides, and further choices appear as they come.
GenerationOutput empty_output(const Prompt& prompt, const GenerateOptions& options);

/// What comes next is new: `delta` begins anew, and with kDelta all that grows.
void begin_part(GenerationOutput& output, OutputKind kind);
/// The choice that an answer's `index` means (null: the first), which may be a new one. Throws kIo
/// for an index that no request can have.
CompletionChunk& choice_at(GenerationOutput& output, const base::Json* index);
/// Throws kIo for more choices than were asked for; unset: as many as come.
void require_choices(const GenerationOutput& output, std::optional<int> n);
void add_text(CompletionChunk& chunk, std::string_view text);
/// Appends a list of ids; anything else is none.
void append_ids(std::vector<std::int32_t>& to, const base::Json* ids);
void add_tokens(CompletionChunk& chunk, const base::Json* ids);
/// Takes the ids of the prompt, if it is a list.
void set_prompt_ids(GenerationOutput& output, const base::Json* ids);
/// Counts what has come, until the server says how much it is: most servers do at the end, in a
/// stream too, and some with every part.
void count_new_tokens(GenerationOutput& output);
/// A count that makes sense, if `object` has one of that name.
void read_count(const base::Json* object, const char* name, std::int64_t& count);

}  // namespace openllm::client
