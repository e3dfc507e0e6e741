#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "packed/contents.h"

namespace openllm::packed {

/// Whether packed copies are kept here, and how many of them.
struct Settings {
  std::string folder{};  ///< Empty: none are kept.
  /// What all of them may take on the disk.
  std::uint64_t limit_bytes = std::uint64_t{32} << 30U;
  /// Smaller ones are not worth it: packing them takes no time.
  std::uint64_t least_bytes = std::uint64_t{64} << 20U;
  /// This share of the disk stays free.
  double free_share = 0.1;
  /// For so long a model's files have to be unchanged before they are loaded: clocks of file
  /// systems tick in seconds at worst.
  std::int64_t settled_ns = 2'000'000'000;
};

/// $OPENLLM_PACKED_COPIES: a size ("20G", "500M"), "auto", or "off". Throws kInvalidArgument naming
/// it for anything else.
Settings read_settings();

/// A copy that is there.
struct Entry {
  std::string path{};
  std::string source{};  ///< The model's file, or the first of them; empty when it is damaged.
  std::string variant{};
  std::string damage{};  ///< Why it cannot be used; empty: it can.
  std::uint64_t bytes = 0;
  std::int64_t used_ns = 0;  ///< When it was last loaded or made, since 1970.
  bool is_current = false;   ///< The model's file is as it was when the copy was made.
};
/// The last used one first.
std::vector<Entry> list_copies(const std::string& folder);

/// Where the copy of that name is, or will be.
std::string path_of(const Settings& settings, const Key& name);
/// Has a copy count as used now.
void note_use_of_copy(const std::string& path) noexcept;

/// Makes room for a copy of `n_bytes` of that source and variant: deletes others of the same, those
/// of files that are gone or changed, then those that were used longest ago, until it fits into the
/// limit. Throws kResourceExhausted when it does not fit at all, or when the disk would be too
/// full.
void make_room(const Settings& settings, const Contents& contents, std::uint64_t n_bytes);

}  // namespace openllm::packed
