#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "openllm/backends.h"
#include "openllm/error.h"
#include "openllm/llm.h"
#include "openllm/options.h"

namespace openllm {

enum class Severity {
  kNote,     ///< Good to know.
  kWarning,  ///< Works, but not as well as it could, or not for everything.
  kError,    ///< Something that was asked for would fail.
};
/// "note", "warning", "error".
OPENLLM_API const char* to_string(Severity severity) noexcept;

/// Something that is not as it should be.
struct Finding {
  Severity severity = Severity::kNote;
  /// What it is about: "environment", "store", "backend", "files", "memory", "tokenizer", "chat
  /// template".
  std::string about{};
  std::string what{};  ///< One sentence.
  std::string fix{};   ///< The command or option that mends it; empty when there is none.
  ErrorCode code = ErrorCode::kInternal;  ///< Of an error: what it would fail with.
};

/// The machine as the library sees it. Bytes.
struct MachineReport {
  std::string cpu{};                  ///< Name of the CPU.
  std::string isa{};                  ///< Instruction set that is used, for example "avx512".
  std::vector<std::string> isas{};    ///< All that could be.
  int n_cpus = 0;                     ///< Threads that are used by default.
  std::int64_t memory_total = 0;      ///< 0: the system does not say.
  std::int64_t memory_limit = 0;      ///< Of control groups; 0: none.
  std::int64_t memory_available = 0;  ///< To this process, by all limits.
  std::string store{};                ///< Folder of the model store; empty: no variable says where.
  int n_models = 0;                   ///< That can be used.
  std::vector<Availability> backends{};
  std::vector<Availability> devices{};
};

/// A model on this machine. Numbers are 0 where they could not be found out.
struct ModelReport {
  ModelInfo info{};
  std::string tag{};
  std::string backend{};  ///< The one that it gets; empty: none.
  std::string backend_reason{};
  std::int64_t memory_bytes = 0;     ///< Weights and buffers, without the KV cache.
  std::int64_t bytes_per_token = 0;  ///< Of the weights, what each token of an answer reads.
  std::int64_t kv_bytes = 0;         ///< The KV cache at its largest.
  /// Of that, what one sequence as long as the context takes.
  std::int64_t kv_bytes_of_context = 0;
  int context = 0;                    ///< Tokens that a sequence may have in the memory there is.
  int wanted_context = 0;             ///< By the model and LoadOptions::max_model_len.
  double read_gb_per_s = 0.0;         ///< How fast memory is read, as measured.
  double decode_tokens_per_s = 0.0;   ///< Predicted, for one sequence with a short context.
  double prefill_tokens_per_s = 0.0;  ///< Predicted, for long prompts.
  std::optional<double> measured_decode_tokens_per_s{};  ///< DoctorOptions::measure
};

struct Diagnosis {
  MachineReport machine{};
  std::optional<ModelReport> model{};
  std::vector<Finding> findings{};  ///< Errors first.
};

struct DoctorOptions {
  LoadOptions load{};
  /// Load the model and measure how fast it is, beside what is predicted.
  bool measure = false;
  /// Memory to reckon with, in bytes; 0: what this process may take.
  std::int64_t memory_available = 0;
  /// Measure the machine for the prediction, which takes a second and 256 MiB of memory.
  bool predict = true;
};

/// Looks for what would fail on this machine: environment, store, backends, and for a model, which
/// is given as for LLM, its files, memory, tokenizer and chat template. An empty `model` with no
/// model_tag: the machine alone. Loads no weights unless `measure` is set. Problems are findings,
/// not exceptions.
OPENLLM_API Diagnosis diagnose(const std::string& model = {}, const DoctorOptions& options = {});

}  // namespace openllm
