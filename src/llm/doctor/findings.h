#pragma once

#include <string>
#include <utility>
#include <vector>

#include "openllm/doctor.h"

namespace openllm::llm {

/// Collects what is found about one thing.
class Findings {
 public:
  Findings(std::vector<Finding>& list, std::string about) : list_(list), about_(std::move(about)) {}

  void note(std::string what, std::string fix = {}) {
    add({Severity::kNote, about_, std::move(what), std::move(fix)});
  }
  void warn(std::string what, std::string fix = {}) {
    add({Severity::kWarning, about_, std::move(what), std::move(fix)});
  }
  void fail(ErrorCode code, std::string what, std::string fix = {}) {
    add({Severity::kError, about_, std::move(what), std::move(fix), code});
  }
  /// An error of `work` becomes a finding; false then.
  template <typename Work>
  bool attempt(const std::string& fix, Work work) {
    try {
      work();
      return true;
    } catch (const Error& error) {
      fail(error.code(), error.what(), fix);
      return false;
    }
  }

 private:
  /// What several steps meet is told once.
  void add(Finding finding) {
    for (const Finding& known : list_) {
      if (known.what == finding.what) return;
    }
    list_.push_back(std::move(finding));
  }

  std::vector<Finding>& list_;
  std::string about_;
};

}  // namespace openllm::llm
