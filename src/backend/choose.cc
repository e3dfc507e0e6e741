#include "backend/choose.h"

#include <cstdlib>
#include <utility>

#include "backend/check_options.h"
#include "backend/places/places.h"
#include "base/error.h"

namespace openllm::backend {
namespace {

Candidate ask(const BackendEntry& entry, const format::ModelSource& source,
              const LoadOptions& options) {
  if (!entry.available) return {entry, Refusal{ErrorCode::kUnavailable, entry.reason}};
  if (options.backend.empty() && options.places.empty() &&
      entry.name != "vllm") {  // else the options were checked before
    try {
      refuse_what_only_vllm_does(options);
    } catch (const Error& refusal) {
      return {entry, refusal};
    }
  }
  return {entry, entry.supports(source, options)};
}

/// An error that says something about the backend, not about the files or the options.
bool is_inability(const Error& refusal) {
  return refusal.code() == ErrorCode::kUnsupported || refusal.code() == ErrorCode::kUnavailable ||
         refusal.code() == ErrorCode::kNotFound;
}

const BackendEntry& find_entry(const std::vector<BackendEntry>& entries, const std::string& name,
                               const char* where) {
  std::string known;
  for (const BackendEntry& entry : entries) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  if (name == "tf" || name == "flax") {
    base::fail_at(ErrorCode::kUnsupported, where,
                  "the backends of TensorFlow and Flax ended with OpenLLM 0.4; these models load ",
                  "through native or pt (got ", name, ")");
  }
  base::fail_at(ErrorCode::kNotFound, where, "unknown backend (expected one of ", known, "; got ",
                name, ")");
}

/// `where` begins messages; `why` is the reason of the choice.
Choice choose_named(const BackendEntry& entry, const format::ModelSource& source,
                    const LoadOptions& options, const char* where, const char* why) {
  if (!entry.available)
    base::fail_at(ErrorCode::kUnavailable, where, "backend ", entry.name, ": ", entry.reason);
  LoadOptions named = options;
  if (named.places.empty()) named.backend = entry.name;  // also where a variable named it
  const Candidate candidate = ask(entry, source, named);
  if (!candidate.refusal) return {.entry = entry, .reason = why};
  if (!is_inability(*candidate.refusal)) throw *candidate.refusal;
  return {.reason = base::cat(candidate.refusal->what(), " (backend ", entry.name, ", ", why, ")"),
          .code = candidate.refusal->code()};
}

/// No entry can run the model. Those that are there and refuse it say most; then come those that
/// are away, and those that this build lacks.
Choice choose_none(const std::vector<Candidate>& asked) {
  std::string refused;
  std::string away;
  std::string absent;
  ErrorCode code = ErrorCode::kUnsupported;
  for (const Candidate& candidate : asked) {
    const bool is_away = candidate.refusal->code() == ErrorCode::kUnavailable;
    std::string& list = !candidate.entry.available ? absent : is_away ? away : refused;
    if (candidate.entry.available && refused.empty() && (!is_away || away.empty()))
      code = candidate.refusal->code();
    list +=
        base::cat(list.empty() ? "" : "; ", candidate.entry.name, ": ", candidate.refusal->what());
  }
  std::string all = refused;
  for (const std::string& list : {away, absent}) {
    if (!list.empty()) all += (all.empty() ? "" : "; ") + list;
  }
  return {.reason = "no backend can run this model: " + all, .code = code};
}

/// The first entry from `begin` on that can run the model; `why` and the reasons of those that
/// cannot become the reason. Puts these into `asked`. nullopt when there is none.
std::optional<Choice> choose_first(const std::vector<BackendEntry>& entries, std::size_t begin,
                                   std::string why, const format::ModelSource& source,
                                   const LoadOptions& options, std::vector<Candidate>& asked) {
  std::string refusals;
  for (std::size_t i = begin; i < entries.size(); ++i) {
    Candidate candidate = ask(entries[i], source, options);
    if (!candidate.refusal) {
      return Choice{.entry = entries[i],
                    .reason = std::move(why),
                    .is_automatic = true,
                    .refusals = std::move(refusals)};
    }
    if (!is_inability(*candidate.refusal)) throw *candidate.refusal;
    if (candidate.refusal->code() == ErrorCode::kUnsupported) {
      refusals +=
          base::cat(refusals.empty() ? "" : "; ", entries[i].name, ": ", candidate.refusal->what());
    }
    why += base::cat("; ", entries[i].name, " skipped: ", candidate.refusal->what());
    asked.push_back(std::move(candidate));
  }
  return std::nullopt;
}

}  // namespace

const BackendEntry& Choice::require() const {
  if (!entry) throw Error(code, reason);
  return *entry;
}

std::vector<Candidate> ask_backends(const std::vector<BackendEntry>& entries,
                                    const format::ModelSource& source, const LoadOptions& options) {
  std::vector<Candidate> answers;
  for (const BackendEntry& entry : entries) answers.push_back(ask(entry, source, options));
  return answers;
}

Choice choose_backend(const std::vector<BackendEntry>& entries, const format::ModelSource& source,
                      const LoadOptions& options) {
  if (!options.places.empty()) {
    if (!options.backend.empty()) {
      base::fail_at(ErrorCode::kInvalidArgument, "places",
                    "stand beside a backend (expected one of ", "the two, got backend ",
                    options.backend, ")");
    }
    return choose_named(places_backend(entries), source, options, "places", "places are named");
  }
  if (!options.backend.empty()) {
    return choose_named(find_entry(entries, options.backend, "backend"), source, options, "backend",
                        "asked for by name");
  }
  const char* variable = std::getenv("OPENLLM_BACKEND");
  if (variable != nullptr && *variable != '\0') {
    return choose_named(find_entry(entries, variable, "OPENLLM_BACKEND"), source, options,
                        "OPENLLM_BACKEND", "set by the environment variable OPENLLM_BACKEND");
  }
  std::vector<Candidate> asked;
  auto choice = choose_first(entries, 0, "the first available one", source, options, asked);
  return choice ? *std::move(choice) : choose_none(asked);
}

bool is_matter_of_backend(const Error& failure) {
  return is_inability(failure) || failure.code() == ErrorCode::kIo ||
         failure.code() == ErrorCode::kDeadline ||
         failure.code() == ErrorCode::kResourceExhausted || failure.code() == ErrorCode::kInternal;
}

std::optional<Choice> choose_next(const Choice& failed, const Error& failure,
                                  const std::vector<BackendEntry>& entries,
                                  const format::ModelSource& source, const LoadOptions& options) {
  if (!failed.is_automatic || !failed.entry || !is_matter_of_backend(failure)) return std::nullopt;
  std::size_t begin = 0;
  while (begin < entries.size() && entries[begin].name != failed.entry->name) ++begin;
  std::vector<Candidate> asked;
  return choose_first(
      entries, begin + 1,
      base::cat(failed.reason, "; ", failed.entry->name, " failed to load: ", failure.what()),
      source, options, asked);
}

}  // namespace openllm::backend
