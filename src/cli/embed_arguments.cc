// Commands that ask a model for vectors and scores: embed, score, rerank.

#include <optional>

#include "base/error.h"
#include "cli/common_options.h"
#include "cli/options.h"

namespace openllm::cli {
namespace {

void add_texts(CLI::App* command, const char* name, const char* help, Arguments& a) {
  command->add_option(name, a.texts, help)->expected(0, -1)->allow_extra_args(false)->type_name("");
  repeated(
      command, "-f,--file", a.text_files,
      "File with a text on each line, after the others; \"-\": standard input; may be repeated")
      ->type_name("FILE");
}

/// What all three share.
void add_vector_options(CLI::App* command, Arguments& a) {
  command->add_flag("--json", a.json, "Print JSON");
  command->add_flag("--truncate", a.embed.truncate,
                    "Cut texts that are too long at their end, instead of refusing them");
  number(command, "--max-tokens", a.embed.max_tokens,
         "Most tokens of a text that is cut (default: the model's)", {.min = 1});
  command->add_option_function<std::string>(
      "--prompt-name", [&a](const std::string& name) { a.embed.prompt_name = name; },
      "A prompt that the model has by that name, put before each text");
}

void add_embed(CLI::App& app, Arguments& a) {
  CLI::App* embed = add_command(
      &app, "embed", "Print the vectors of texts",
      "Without --json a line for each text, its numbers between spaces.\n"
      "Examples:\n"
      "  openllm embed sentence-transformers/all-MiniLM-L6-v2 \"A first text\" \"A second one\" "
      "--json\n"
      "  openllm embed ./model-folder --prompt-ids 1,2,3 --pooling mean --no-normalize --json\n"
      "  openllm embed ./model-folder -f lines.txt --dimensions 256");
  add_model(embed, a);
  add_texts(embed, "TEXT", "The texts; without them: standard input, a text on each line", a);
  add_prompt_ids(embed, a);
  converted(
      embed, "--pooling",
      [&a](const std::string& text) {
        a.embed.pooling = pooling_named(text);
        if (a.embed.pooling) return;
        base::fail(ErrorCode::kInvalidArgument,
                   "expected mean, cls, last, max, mean_sqrt_len or weighted_mean, got ", text);
      },
      "How the tokens' states become one vector (default: as the model's files say)")
      ->type_name("mean|cls|last|max|mean_sqrt_len|weighted_mean");
  embed->add_flag_function(
      "--normalize,!--no-normalize", [&a](std::int64_t count) { a.embed.normalize = count > 0; },
      "Vectors of length 1 (default: as the model's files say, else yes)");
  number(embed, "--dimensions", a.embed.dimensions,
         "Leading numbers of each vector that are kept (default: all)", {.min = 1});
  embed->add_option_function<std::string>(
      "--text-prompt", [&a](const std::string& text) { a.embed.prompt = text; },
      "A text put before each text; an empty one: not the model's own either");
  add_vector_options(embed, a);
  add_load_options(embed, a.load);
}

void add_scoring(CLI::App& app, Arguments& a, const char* name, const char* help,
                 const char* examples) {
  CLI::App* command = add_command(&app, name, help, examples);
  add_model(command, a);
  add_texts(command, "TEXT", "The query, then the documents", a);
  add_vector_options(command, a);
  if (std::string_view(name) == "rerank")
    number(command, "-n,--top-n", a.top_n, "How many of them (default: all)", {.min = 1});
  add_load_options(command, a.load);
}

}  // namespace

void add_embed_commands(CLI::App& app, Arguments& a) {
  add_embed(app, a);
  add_scoring(
      app, a, "score", "Print how well documents answer a query",
      "A cross-encoder scores each pair; other models give the cosine of embeddings.\n"
      "Examples:\n"
      "  openllm score ./cross-encoder \"How tall is it?\" \"It is 8 m tall.\" \"It is red.\"");
  add_scoring(app, a, "rerank", "Print documents by how well they answer a query, best first",
              "Examples:\n"
              "  openllm rerank ./cross-encoder \"How tall is it?\" -f documents.txt --top-n 3");
}

}  // namespace openllm::cli
