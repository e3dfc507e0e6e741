#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "http_probe.h"
#include "openllm/server.h"

namespace openllm::contract {

inline constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt "
    "%}assistant: {% endif %}";

inline LLM make_llm(LoadOptions options = {}) {
  options.chat_template = kTemplate;
  options.n_threads = 1;
  return LLM(OPENLLM_TEST_DATA "/stories260K/hf", options);
}

/// Lets tests decide when loading goes on.
struct Gate {
  std::atomic<bool> open{false};
  void pass() { open.wait(false); }
  void release() {
    open = true;
    open.notify_all();
  }
};

/// The lines that a server logs.
class Log {
 public:
  void add(const std::string& line) {
    const base::MutexLock lock(mutex_);
    lines_.push_back(line);
  }
  std::vector<std::string> lines() const {
    const base::MutexLock lock(mutex_);
    return lines_;
  }

 private:
  mutable base::Mutex mutex_;
  std::vector<std::string> lines_ GUARDED_BY(mutex_);
};

/// A real server with the small stories model.
class ServerTest : public ::testing::Test {
 protected:
  /// Does not wait for the model.
  void start_loading(ServerOptions options = {}) {
    options.port = 0;
    server_ = std::make_unique<Server>(llm_, options);
    server_->start();
  }
  void start(const ServerOptions& options = {}) {
    start_loading(options);
    server_->wait_until_ready();
    ASSERT_EQ(ask(get("/readyz")).status, 200);
  }
  std::uint16_t port() const { return server_->port(); }
  Answer ask(const std::string& request) const { return call(port(), request); }
  Answer complete(const std::string& body) const { return ask(post("/v1/completions", body)); }
  Answer chat(const std::string& body) const { return ask(post("/v1/chat/completions", body)); }
  bool is_idle() const {
    const EngineStats stats = llm_.stats();
    return stats.n_running == 0 && stats.n_waiting == 0;
  }

  LLM llm_ = make_llm();
  std::unique_ptr<Server> server_;
};

/// The body that `beginning`, without its last brace, and further members make; of two with one
/// name the later one.
inline std::string with_members(const std::string& beginning, const std::string& members) {
  return base::Json::parse(beginning + "," + members + "}", "body").dump();
}

/// The body of an answer that must be a success.
inline base::Json whole_of(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  return answer.json();
}

/// The events of a stream that must be a success, without the last one, "[DONE]".
inline std::vector<base::Json> chunks_of(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  std::vector<base::Json> list;
  std::vector<std::string> all = events(answer.body);
  EXPECT_EQ(all.back(), "[DONE]");
  all.pop_back();
  for (const std::string& event : all) list.push_back(base::Json::parse(event, "event"));
  return list;
}

/// The text at a path of keys and indices, or its JSON.
inline std::string str(const base::Json& json, std::initializer_list<const char*> path) {
  const base::Json* at = &json;
  for (const char* key : path) {
    if (const base::JsonArray* list = at->if_array()) {
      const std::size_t index = std::stoul(key);
      at = index < list->size() ? &(*list)[index] : nullptr;
    } else {
      at = at->find(key);
    }
    if (at == nullptr) return "(absent)";
  }
  return at->is_string() ? *at->if_string() : at->dump();
}

inline constexpr const char* kGreedy =
    R"({"prompt":"Once upon a time","temperature":0,"max_tokens":20)";
inline constexpr const char* kHi =
    R"({"messages":[{"role":"user","content":"Hi"}],"temperature":0,"max_tokens":12)";

}  // namespace openllm::contract
