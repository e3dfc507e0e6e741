#include "cli/tell_backend.h"

#include "base/error.h"
#include "cli/terminal.h"
#include "fields/access.h"

namespace openllm::cli {

std::string describe_left_out(const LLM& llm) {
  std::string parts;
  for (const std::string& part : llm.info().left_out) parts += (parts.empty() ? "" : ", ") + part;
  return parts.empty() ? parts : base::cat("openllm: left out of the model's files: ", parts, "\n");
}

void tell_backend(const LLM& llm) {
  const BackendInfo backend = llm.backend();
  note(base::cat("openllm: debug: ", llm.tag(), " from ", llm.info().path, "\n",
                 "openllm: debug: backend ", backend.name, " on ", backend.device, " (",
                 backend.isa, "): ", backend.reason, "\n",
                 backend.draft_model.empty()
                     ? std::string()
                     : base::cat("openllm: debug: draft model ", backend.draft_model, "\n"),
                 "openllm: debug: defaults ", fields::to_json(llm.config()).dump(), "\n"));
}

}  // namespace openllm::cli
