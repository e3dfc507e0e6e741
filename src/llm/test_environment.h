#pragma once

#include <cstdlib>
#include <string>
#include <vector>

namespace openllm::llm {

/// Sets variables of the environment for one test.
class Environment {
 public:
  void set(const char* name, const char* value) {
    ::setenv(name, value, 1);
    names_.emplace_back(name);
  }
  void unset(const char* name) { ::unsetenv(name); }
  Environment() = default;
  ~Environment() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::vector<std::string> names_;
};

}  // namespace openllm::llm
