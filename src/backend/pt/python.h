#pragma once

#include <string>

#include "openllm/options.h"

namespace openllm::backend::pt {

/// Where tests look instead of at the process's own environment.
struct PythonSearch {
  std::string path{};         ///< PATH
  std::string python_path{};  ///< PYTHONPATH
  std::string home{};         ///< HOME
  std::string python{};       ///< OPENLLM_PYTHON

  static PythonSearch of_environment();
};

/// The interpreter: PtOptions::python, else OPENLLM_PYTHON, else python3 of PATH. Throws
/// kUnavailable saying who asked for one that is not there.
std::string find_python(const PtOptions& options, const PythonSearch& search);

/// Throws kUnavailable naming a package that the interpreter lacks, and how to install it. Looks
/// where an interpreter of that path would look, without starting it; of one that is a script of
/// another program (pyenv's) nothing is known before it runs.
void require_packages(const std::string& python, const PythonSearch& search);
/// The same of what adapters need.
void require_peft(const std::string& python, const PythonSearch& search);

}  // namespace openllm::backend::pt
