#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace openllm::model {

/// Sizes beyond these belong to no model; larger ones are refused before anything is allocated for
/// them.
inline constexpr std::int64_t kMaxLayers = 4096;
inline constexpr std::int64_t kMaxHeads = 65536;
inline constexpr std::int64_t kMaxHeadDim = 65536;
inline constexpr std::int64_t kMaxDim = 1 << 20;
inline constexpr std::int64_t kMaxFfnDim = 1 << 24;
inline constexpr std::int64_t kMaxExperts = 1 << 16;
inline constexpr std::int64_t kMaxVocab = 1 << 26;
inline constexpr std::int64_t kMaxPositions = 1 << 30;

/// Reads a model's configuration (config.json, one of its sub-objects, or GGUF metadata) value by
/// value. A member that is absent or null counts as not given. A value of the wrong type or outside
/// its range is kCorruptData naming the key; one that is fine but not implemented is for the caller
/// to refuse with `unsupported`.
class Config {
 public:
  /// `where` starts every message, for example "config.json". `prefix` goes before every key
  /// ("llama." in GGUF).
  Config(const base::Json& values, std::string where, std::string prefix = {});

  /// Null when absent or null.
  const base::Json* find(std::string_view key) const noexcept;
  bool has(std::string_view key) const noexcept { return find(key) != nullptr; }
  /// Present, be it as null.
  bool mentions(std::string_view key) const noexcept;
  bool empty() const noexcept;
  /// All members, whatever the prefix; none when this is not an object.
  const base::JsonObject& members() const noexcept;
  /// The sub-object; empty when absent.
  std::optional<Config> object(std::string_view key) const;

  int require_int(std::string_view key, std::int64_t min, std::int64_t max) const;
  int int_or(std::string_view key, std::int64_t otherwise, std::int64_t min,
             std::int64_t max) const;
  std::optional<int> find_int(std::string_view key, std::int64_t min, std::int64_t max) const;
  /// Finite and > 0 (>= 0 for the second).
  double positive_or(std::string_view key, double otherwise) const;
  double not_negative_or(std::string_view key, double otherwise) const;
  std::optional<double> find_positive(std::string_view key) const;
  bool bool_or(std::string_view key, bool otherwise) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;
  std::optional<std::vector<std::string>> strings(std::string_view key) const;

  /// The first of `keys` that is given (the last when none is): for members with an old and a new
  /// name.
  std::string_view first_of(std::initializer_list<std::string_view> keys) const noexcept;

  /// "config.json: hidden_size"
  std::string place(std::string_view key) const;
  const std::string& where() const noexcept { return where_; }
  template <typename... Parts>
  [[noreturn]] void corrupt(std::string_view key, const Parts&... parts) const {
    base::fail_at(ErrorCode::kCorruptData, place(key), "", parts...);
  }
  template <typename... Parts>
  [[noreturn]] void unsupported(std::string_view key, const Parts&... parts) const {
    base::fail_at(ErrorCode::kUnsupported, place(key), "", parts...);
  }

 private:
  const base::Json* raw(std::string_view key) const noexcept;
  std::optional<double> find_number(std::string_view key) const;

  const base::Json* values_;
  std::string where_;
  std::string prefix_;
};

}  // namespace openllm::model
