#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/error.h"
#include "client/request.h"
#include "openllm/stream.h"
#include "openllm/task.h"

namespace openllm::client {

template <typename T>
Task<T> await_result(AsyncGenerationStream end, std::shared_ptr<std::optional<T>> result) {
  co_await end.next();  // throws what the call did
  if (!*result) base::fail(ErrorCode::kCancelled, "client: the call was cancelled");
  co_return std::move(**result);
}

/// Makes a call that blocks on a thread of its own, from here on. Destroying the task requests a
/// stop and waits for the call's end. Throws kResourceExhausted when there is no thread.
template <typename T>
Task<T> async_call(std::function<T(const std::stop_token&)> call) {
  auto result = std::make_shared<std::optional<T>>();
  const auto make_it = [call = std::move(call), result](
                           const std::stop_token& stop,
                           const std::function<void(const GenerationOutput&)>& on_end) {
    result->emplace(call(stop));
    GenerationOutput end;
    end.finished = true;
    on_end(end);
  };
  return await_result<T>(
      AsyncGenerationStream(std::make_shared<Request>(make_it, GenerateOptions{})),
      std::move(result));
}

}  // namespace openllm::client
