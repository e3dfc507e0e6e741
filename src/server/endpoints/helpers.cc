#include <functional>
#include <string>
#include <utility>

#include "server/api/helpers_request.h"
#include "server/generation.h"
#include "server/offload.h"
#include "server/routes.h"

namespace openllm::server {

/// The prompt that the model's chat template makes of messages.
Task<void> show_prompt(Call& call) {
  Task<HelpersRequest> parsing = read_request(call, parse_helpers_request);
  const HelpersRequest request = co_await parsing;
  const ModelSet::Selection model = call.app.models().require(request.model);
  model.entry->require_loadable();
  GenerateOptions options;
  options.add_generation_prompt = request.add_generation_prompt;
  std::string prompt;
  // On the other thread however short: it may have to wait for the model.
  const std::function<void()> render = [&] {
    prompt = model.entry->llm().apply_chat_template(request.messages, options);
  };
  co_await Offload(call.app.large_bodies, call.app.executor,
                   base::TwoPriorityPool::kMaxSmallBytes + 1, render);
  HttpResponse response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(prompt);
  call.exchange.respond(std::move(response));
}

}  // namespace openllm::server
