#pragma once

#include <string>
#include <vector>

namespace openllm::cli {

/// The lines that chats were given, for the next chat: a file that only its owner may read, one
/// entry a line, the newest at the end. It is bounded: of more than kMost entries the oldest go,
/// and an entry of more than kLongest bytes is not kept. Several chats may write at once.
class History {
 public:
  static constexpr std::size_t kMost = 1000;
  static constexpr std::size_t kLongest = 4096;

  /// `path` empty: nothing is kept. Reads the file. A file that cannot be used is told once on
  /// standard error, and then nothing is kept.
  explicit History(std::string path);
  /// The entries that were there, the oldest first.
  const std::vector<std::string>& entries() const noexcept { return entries_; }
  /// Adds one, without line ends in it, to the file at once: a chat may end at any time.
  void add(const std::string& entry);

 private:
  void read();
  /// Leaves the newest entries. Called while the file is locked.
  void write_newest(int fd) const;
  void give_up(const char* what);

  std::string path_;
  std::vector<std::string> entries_;
};

/// Where chats keep their lines: `history` beside the models of the store.
std::string history_path();

}  // namespace openllm::cli
