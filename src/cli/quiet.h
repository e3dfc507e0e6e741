#pragma once

namespace openllm::cli {

/// While it lives, what is written to standard error goes nowhere.
class Quiet {
 public:
  explicit Quiet(bool is_wanted);
  ~Quiet();
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  int saved_ = -1;
};

}  // namespace openllm::cli
