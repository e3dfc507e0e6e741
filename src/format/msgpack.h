#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace openllm::format {

/// Reads the values of a msgpack text one after the other. Nothing is trusted: what runs past the
/// end is kCorruptData naming path and byte.
class MsgpackReader {
 public:
  enum class Kind { kNil, kBool, kInt, kFloat, kText, kBytes, kExtension, kArray, kMap };
  struct Value {
    Kind kind = Kind::kNil;
    /// Of an array its elements and of a map its pairs, which follow; of an integer from 0 on
    /// itself; of a negative one and of a float nothing.
    std::uint64_t n = 0;
    bool is_negative = false;
    int type = 0;                        ///< Of an extension.
    std::span<const std::byte> bytes{};  ///< Of a text, of bytes and of an extension.

    std::string_view text() const noexcept {
      return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
  };

  /// `begin`: where `bytes` begin in the file, for messages. All must outlive the reader.
  MsgpackReader(const std::string& path, std::span<const std::byte> bytes, std::uint64_t begin = 0)
      : path_(path), bytes_(bytes), begin_(begin) {}

  Value next();
  bool at_end() const noexcept { return at_ == bytes_.size(); }
  /// In the file.
  std::uint64_t place() const noexcept { return begin_ + at_; }
  /// Where `part` of the bytes lies in the file.
  std::uint64_t place_of(std::span<const std::byte> part) const noexcept {
    return begin_ + static_cast<std::uint64_t>(part.data() - bytes_.data());
  }

 private:
  std::uint64_t number(std::size_t n_bytes);
  std::span<const std::byte> take(std::uint64_t n);
  Value data(Kind kind, std::uint64_t n);
  Value extension(std::uint64_t n);
  Value items(Kind kind, std::uint64_t n);
  Value sized(std::uint8_t tag);
  Value integer(std::uint8_t tag);

  const std::string& path_;
  std::span<const std::byte> bytes_;
  std::uint64_t begin_;
  std::size_t at_ = 0;
};

}  // namespace openllm::format
