#pragma once

#include <openllm/openllm.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/defaults.h"

namespace openllm::cli {

/// Who answers: a model of this process, or a server.
class Responder {
 public:
  virtual ~Responder() = default;
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  /// False: end the answer.
  using OnOutput = std::function<bool(const GenerationOutput&)>;
  /// Answers, with a call for every output. Returns the last one.
  virtual GenerationOutput respond(const Prompt& prompt, const GenerateOptions& options,
                                   const OnOutput& on_output) const = 0;
  virtual std::string name() const = 0;
  /// Whether messages can be answered; a server's model may turn out to have no chat template.
  virtual bool has_chat_template() const = 0;
  /// Length of a text's continuation, in tokens, for requests that ask for none; nothing: as the
  /// model or the environment sets it.
  virtual std::optional<int> completion_tokens() const = 0;
  /// Tokens of context, and how many of them the messages take; nothing where that is not known.
  struct Room {
    std::size_t context = 0;
    std::size_t used = 0;
  };
  virtual std::optional<Room> room(const std::vector<Message>& messages,
                                   const GenerateOptions& options) const = 0;

 protected:
  Responder() = default;
};

class LocalResponder : public Responder {
 public:
  explicit LocalResponder(const LLM& llm) : llm_(llm) {}
  GenerationOutput respond(const Prompt& prompt, const GenerateOptions& options,
                           const OnOutput& on_output) const override;
  std::string name() const override { return llm_.id(); }
  bool has_chat_template() const override { return llm_.info().has_chat_template; }
  std::optional<int> completion_tokens() const override;
  std::optional<Room> room(const std::vector<Message>& messages,
                           const GenerateOptions& options) const override;

 private:
  const LLM& llm_;
};

class ServerResponder : public Responder {
 public:
  ServerResponder(const Client& client, std::string name)
      : client_(client), name_(std::move(name)) {}
  GenerationOutput respond(const Prompt& prompt, const GenerateOptions& options,
                           const OnOutput& on_output) const override {
    return client_.generate_stream(prompt, options, on_output);
  }
  std::string name() const override { return name_; }
  bool has_chat_template() const override { return true; }
  std::optional<int> completion_tokens() const override { return kCompletionTokens; }
  std::optional<Room> room(const std::vector<Message>& /*messages*/,
                           const GenerateOptions& /*options*/) const override {
    return std::nullopt;
  }

 private:
  const Client& client_;
  std::string name_;
};

}  // namespace openllm::cli
