#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/registry.h"

namespace openllm::backend {

/// A backend's answer to a model.
struct Candidate {
  BackendEntry entry{};
  std::optional<Refusal> refusal{};  ///< nullopt: it can run the model.
};

/// The backend for a model, or why there is none.
struct Choice {
  std::optional<BackendEntry> entry{};
  /// One sentence: why this backend (asked for, set by the environment, or the first that can), or
  /// why none.
  std::string reason{};
  ErrorCode code = ErrorCode::kUnsupported;  ///< Of the refusal, when there is no entry.
  bool is_automatic = false;                 ///< Nobody named the backend.
  /// What those before it, which are there, said about the model; empty when none refused it.
  std::string refusals{};

  /// The entry. Throws the refusal when there is none.
  const BackendEntry& require() const;
};

/// Asks every entry about the model, in order. An absent entry answers with its reason
/// (kUnavailable).
std::vector<Candidate> ask_backends(const std::vector<BackendEntry>& entries,
                                    const format::ModelSource& source, const LoadOptions& options);

/// LoadOptions::places, or LoadOptions::backend, wins over the environment variable
/// OPENLLM_BACKEND, which wins over asking the entries in order.
///
/// Throws kNotFound for an unknown name, kUnavailable for an absent one, and a refusal that is no
/// matter of the backend: damaged files, bad options. A backend's inability (kUnsupported,
/// kUnavailable, kNotFound) becomes a choice without entry, so that a model which nothing here can
/// run can still be looked at.
Choice choose_backend(const std::vector<BackendEntry>& entries, const format::ModelSource& source,
                      const LoadOptions& options);

/// Whether a failure to load is a matter of the backend, so that another one may do better: no
/// damaged files, no wrong options.
bool is_matter_of_backend(const Error& failure);

/// The choice after an automatic one whose loading failed: the next entry that can run the model;
/// the reason keeps the failure. nullopt when there is none, when the backend was named, or when
/// the failure is no matter of the backend.
std::optional<Choice> choose_next(const Choice& failed, const Error& failure,
                                  const std::vector<BackendEntry>& entries,
                                  const format::ModelSource& source, const LoadOptions& options);

}  // namespace openllm::backend
