#include "llm/draft_model.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string_view>

#include "base/blame.h"
#include "base/error.h"
#include "llm/model_files.h"

namespace openllm::llm {
namespace {

constexpr const char* kWhere = "draft_model";
constexpr std::string_view kFillers[] = {"pad", "unused", "reserved", "extra", "dummy"};

/// Spelt as vocabularies spell entries that mean nothing: "[PAD151936]", "<unused7>",
/// "<|reserved_special_token_3|>", "<|extra_0|>", "<dummy32000>".
bool is_filler(std::string_view piece) {
  std::string lower(piece);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.empty()) return true;
  const bool is_bracketed = lower.front() == '<' || lower.front() == '[';
  return is_bracketed && std::any_of(std::begin(kFillers), std::end(kFillers), [&](auto word) {
           return lower.find(word) != std::string::npos;
         });
}

/// As a message shows it.
std::string shown(std::string_view piece) {
  constexpr std::size_t kMost = 40;
  if (piece.empty()) return "none";
  return base::cat("\"", piece.substr(0, kMost), "\"");
}

/// Null where there is none that is supported.
std::shared_ptr<const tokenizer::Tokenizer> tokenizer_of(const format::ModelSource& source,
                                                         const std::string& pre) {
  try {
    return load_tokenizer(source, source.gguf != nullptr ? pre : std::string());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    return nullptr;
  }
}

}  // namespace

std::optional<format::ModelSource> find_draft(const LoadOptions& options) {
  if (options.draft_model.empty()) return std::nullopt;
  return base::blame(kWhere, [&] {
    WantedModel wanted;
    wanted.model = options.draft_model;
    wanted.ensure_available = options.ensure_available;
    wanted.offline = options.offline;
    wanted.progress = options.progress;
    wanted.pull_progress = options.pull_progress;
    wanted.stop_token = options.stop_token;
    return std::optional(open_source(resolve_model(wanted)));
  });
}

LoadOptions with_draft_path(LoadOptions options) {
  if (const auto draft = find_draft(options))
    options.draft_model = std::filesystem::absolute(draft->path).string();
  return options;
}

void require_same_tokens(const tokenizer::Tokenizer& tokens, const tokenizer::Tokenizer& draft,
                         const std::string& draft_name) {
  const int n = std::max(tokens.vocab_size(), draft.vocab_size());
  for (tokenizer::TokenId id = 0; id < n; ++id) {
    const std::string_view one = tokens.token_piece(id);
    const std::string_view other = draft.token_piece(id);
    if (one == other || (is_filler(one) && is_filler(other))) continue;
    base::fail_at(ErrorCode::kInvalidArgument, kWhere, draft_name,
                  " has another vocabulary (expected as token ", id, " ", shown(one), ", got ",
                  shown(other), ")");
  }
}

void require_same_tokens(const tokenizer::Tokenizer* tokens, int n_tokens,
                         const format::ModelSource& draft, int n_draft_tokens,
                         const std::string& pre) {
  const auto own = base::blame(kWhere, [&] { return tokenizer_of(draft, pre); });
  if (tokens != nullptr && own != nullptr) return require_same_tokens(*tokens, *own, draft.id);
  if (tokens == nullptr && own == nullptr) {
    if (n_tokens == n_draft_tokens) return;
    base::fail_at(ErrorCode::kInvalidArgument, kWhere, draft.id,
                  " has another vocabulary (expected ", n_tokens, " tokens, got ", n_draft_tokens,
                  ")");
  }
  base::fail_at(ErrorCode::kInvalidArgument, kWhere, draft.id,
                " cannot be compared (expected tokenizers of both models, got one of ",
                own == nullptr ? "the model" : "the draft model", " alone)");
}

}  // namespace openllm::llm
