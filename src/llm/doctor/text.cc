#include "llm/doctor/text.h"

#include "base/error.h"
#include "llm/doctor/findings.h"

namespace openllm::llm {
namespace {

constexpr const char* kOtherTemplate = "--chat-template FILE gives another one";

/// Null when there is none that can be used.
std::shared_ptr<const tokenizer::Tokenizer> examine_tokenizer(Diagnosis& diagnosis,
                                                              LocalModel& model, int vocab_size) {
  Findings findings(diagnosis.findings, "tokenizer");
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  const char* fix = model.source().gguf != nullptr
                        ? "--tokenizer-pre NAME names the pre-tokenizer; --prompt-ids needs none"
                        : "put the model's tokenizer.json into its folder; --prompt-ids needs none";
  const bool works = findings.attempt(fix, [&] { tokenizer = model.require_tokenizer(); });
  if (!works) return nullptr;
  const int n_known = tokenizer->vocab_size();
  if (vocab_size > 0 && n_known > vocab_size) {
    findings.fail(ErrorCode::kCorruptData,
                  base::cat("has ", n_known, " tokens, but the model has rows for ", vocab_size,
                            ": texts with the others are refused"),
                  "take the tokenizer that came with these weights");
  }
  if (tokenizer->eos_ids().empty() && model.config().eos_token_ids.empty()) {
    findings.warn("no token ends an answer: answers go on to their length",
                  "--eos-token-id ID names one (`openllm tokenize MODEL TEXT` shows ids)");
  }
  return tokenizer;
}

void examine_template(Diagnosis& diagnosis, LocalModel& model) {
  Findings findings(diagnosis.findings, "chat template");
  if (!model.has_chat_template()) {
    findings.warn("has none: conversations are refused, and prompts are continued as they are",
                  "--chat-template FILE gives one");
    return;
  }
  const bool parses = findings.attempt(kOtherTemplate, [&] { model.check_chat_templates(); });
  if (!parses) return;
  const Message question{"user", "Hello"};
  const bool renders =
      findings.attempt(kOtherTemplate, [&] { (void)model.render({question}, {}); });
  if (!renders) return;
  try {
    (void)model.render({{"system", "Be brief."}, question}, {});
  } catch (const Error& error) {
    findings.note(base::cat("takes no system message (", error.what(), ")"),
                  "put it into the first user message");
  }
}

}  // namespace

void examine_text(Diagnosis& diagnosis, LocalModel& model, int vocab_size) {
  const bool has_tokenizer = examine_tokenizer(diagnosis, model, vocab_size) != nullptr;
  if (has_tokenizer) {
    examine_template(diagnosis, model);
  } else if (model.has_chat_template()) {
    // Rendering needs special tokens; whether it can be parsed shows without.
    Findings(diagnosis.findings, "chat template").attempt(kOtherTemplate, [&] {
      model.check_chat_templates();
    });
  }
}

}  // namespace openllm::llm
