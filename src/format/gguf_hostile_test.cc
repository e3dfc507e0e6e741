// Damaged and hostile GGUF files: an error that names the place, never a crash (run these under the
// sanitizers).

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/gguf.h"
#include "format/gguf_file.h"
#include "format/gguf_values.h"
#include "format/test_files.h"

namespace openllm::format {
namespace {

using testing::error_of;
using testing::gguf_string;
using testing::GgufBuilder;
using testing::le;
using testing::TempFolder;

/// A small file with something of everything.
std::string small_file() {
  GgufBuilder b;
  b.text("general.architecture", "llama").key("n", 4, le(std::uint32_t{5}));
  b.array("s", 8, 2, gguf_string("ab") + gguf_string("")).key("flag", 7, std::string(1, '\1'));
  b.array("nest", 9, 1, le(std::uint32_t{4}) + le(std::uint64_t{1}) + le(std::uint32_t{9}));
  b.tensor("a", {2, 2}, 0, std::string(16, 'a')).tensor("q", {32}, 8, std::string(34, 'q'));
  return b.build();
}

/// Parses the bytes as they lie in memory and reads all that they offer.
std::uint64_t touch_everything(const std::string& file) {
  // A heap block of the exact size, so that the address sanitizer sees every byte read beyond it.
  const std::vector<char> exact(file.begin(), file.end());
  TensorList tensors;
  const gguf::Header header = gguf::parse("m.gguf", std::as_bytes(std::span(exact)), tensors);
  tensors.sort_and_check("m.gguf");
  std::uint64_t sum = gguf::to_config(header).dump().size();
  for (const NamedTensor& tensor : tensors.readable) {
    for (const std::byte value : tensor.view.bytes) sum += std::to_integer<std::uint64_t>(value);
    const auto n_elems = static_cast<std::size_t>(tensor.view.shape.n_elems());
    if (tensor.view.bytes.size() != tensor::byte_size(tensor.view.dtype, n_elems)) {
      ADD_FAILURE() << "bytes do not fit the shape";
    }
  }
  for (const gguf::KeyValue& entry : header.metadata) {
    if (!entry.value.is_array || entry.value.type != gguf::ValueType::kString) continue;
    gguf::for_each_string(entry.value, [&sum](std::string_view text) { sum += text.size(); });
  }
  return sum;
}

TEST(GgufHostile, EveryTruncationIsAnError) {
  const std::string file = small_file();
  EXPECT_GT(touch_everything(file), 0U);
  for (std::size_t n = 0; n < file.size(); ++n) {
    const Error error = error_of([&] { touch_everything(file.substr(0, n)); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << n << ": " << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with("m.gguf: ")) << error.what();
  }
}

// In memory a file may go on behind its end; a check of bounds that lets one byte too many pass
// then does not crash, it reads it. The zeros end what would be read on and on.
TEST(GgufHostile, NothingBehindTheEndIsRead) {
  const std::string file = small_file() + std::string(4096, '\0');
  const auto bytes = std::as_bytes(std::span(file));
  constexpr std::string_view kPlace = "at byte ";
  for (std::size_t n = 0; n + 4096 < bytes.size(); ++n) {
    TensorList tensors;
    const Error error = error_of([&] { gguf::parse("m.gguf", bytes.first(n), tensors); });
    EXPECT_EQ(error.code(), ErrorCode::kCorruptData) << n;
    const std::string message = error.what();
    const std::size_t place = message.rfind(kPlace);
    ASSERT_NE(place, std::string::npos) << message;
    EXPECT_LE(std::stoul(message.substr(place + kPlace.size())), n) << message;
  }
}

/// A count may be what fits behind it if each thing is as small as can be, and no more.
TEST(GgufHostile, CountsAreBoundedByWhatFollowsThem) {
  struct Bound {
    const char* what;
    std::uint64_t most;
    std::function<std::string(std::uint64_t)> file;
  };
  const auto header = [](std::uint64_t n_tensors, std::uint64_t n_metadata) {
    return "GGUF" + le(std::uint32_t{3}) + le(n_tensors) + le(n_metadata);
  };
  const auto array = [](std::uint32_t type, std::size_t n_bytes) {
    return [=](std::uint64_t n) {
      GgufBuilder b;
      return b.array("k", type, n, std::string(n_bytes, '\1')).build();
    };
  };
  const std::vector<Bound> bounds = {
      {"number of tensors", 2,
       [&](std::uint64_t n) { return header(n, 0) + std::string(47, 'x'); }},
      {"number of metadata entries", 2,
       [&](std::uint64_t n) { return header(0, n) + std::string(38, 'x'); }},
      {"array length", 3, array(0, 3)},
      {"array length", 3, array(10, 31)},
      {"array length", 2, array(8, 23)},
      {"array length", 1, array(9, 23)},
  };
  for (const Bound& bound : bounds) {
    for (const std::uint64_t more : {0, 1}) {
      const std::string file = bound.file(bound.most + more);
      std::string message;
      try {
        TensorList tensors;
        gguf::parse("m.gguf", std::as_bytes(std::span(file)), tensors);
      } catch (const Error& error) {
        message = error.what();
      }
      const std::string expected =
          base::cat(bound.what, " is more than the file can hold (expected at most ", bound.most,
                    ", got ", bound.most + 1, ")");
      EXPECT_EQ(message.find(expected) != std::string::npos, more == 1) << message;
    }
  }
}

TEST(GgufHostile, NoBitFlipCrashes) {
  const std::string file = small_file();
  std::size_t n_refused = 0;
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string damaged = file;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    try {
      touch_everything(damaged);
    } catch (const Error& error) {
      ++n_refused;
      EXPECT_TRUE(error.code() == ErrorCode::kCorruptData ||
                  error.code() == ErrorCode::kUnsupported)
          << error.what();
    }
  }
  EXPECT_GT(n_refused, 500U);
}

struct Case {
  const char* name;
  std::function<std::string()> file;
  ErrorCode code;
  const char* says;  // a part of the message
};

const std::uint64_t kHuge = ~std::uint64_t{0};

std::string with(const std::function<void(GgufBuilder&)>& change) {
  GgufBuilder b;
  change(b);
  return b.build();
}

std::string alignment_of(std::uint32_t value) {
  return with([&](GgufBuilder& b) { b.key("general.alignment", 4, le(value)); });
}

std::string nested(int depth) {
  std::string value;
  for (int i = 0; i < depth; ++i) value += le(std::uint32_t{9}) + le(std::uint64_t{1});
  return with(
      [&](GgufBuilder& b) { b.key("k", 9, value + le(std::uint32_t{0}) + le(std::uint64_t{0})); });
}

std::vector<Case> header_cases() {
  return {
      {"magic", [] { return "GGUX" + small_file().substr(4); }, ErrorCode::kCorruptData,
       "not a GGUF file"},
      {"version 1", [] { return with([](GgufBuilder& b) { b.version = 1; }); },
       ErrorCode::kUnsupported, "expected 2 or 3, got 1"},
      {"version 0", [] { return with([](GgufBuilder& b) { b.version = 0; }); },
       ErrorCode::kUnsupported, "expected 2 or 3, got 0"},
      {"version 256", [] { return with([](GgufBuilder& b) { b.version = 256; }); },
       ErrorCode::kUnsupported, "expected 2 or 3, got 256"},
      {"too many files",
       [] {
         return with([](GgufBuilder& b) { b.key("split.count", 4, le(std::uint32_t{65536})); });
       },
       ErrorCode::kCorruptData, "key split.count: bad value (expected 0 to 65535)"},
      {"version 4", [] { return with([](GgufBuilder& b) { b.version = 4; }); },
       ErrorCode::kUnsupported, "got 4"},
      {"big endian", [] { return with([](GgufBuilder& b) { b.version = 3U << 24U; }); },
       ErrorCode::kUnsupported, "big-endian"},
      {"tensors", [] { return with([](GgufBuilder& b) { b.n_tensors = kHuge; }); },
       ErrorCode::kCorruptData, "number of tensors is more than the file can hold"},
      {"metadata", [] { return with([](GgufBuilder& b) { b.n_metadata = kHuge; }); },
       ErrorCode::kCorruptData, "number of metadata entries"},
      {"key length",
       [] {
         return with(
             [](GgufBuilder& b) { b.metadata.push_back(le(kHuge) + std::string(40, 'k')); });
       },
       ErrorCode::kCorruptData, "metadata 0: key runs past the end"},
      {"empty key", [] { return with([](GgufBuilder& b) { b.key("", 0, "x"); }); },
       ErrorCode::kCorruptData, "empty key"},
      {"value type", [] { return with([](GgufBuilder& b) { b.key("k", 13, "xxxxxxxx"); }); },
       ErrorCode::kCorruptData, "key k: unknown value type (expected 0 to 12, got 13)"},
      {"array length",
       [] { return with([](GgufBuilder& b) { b.array("k", 10, kHuge / 8 + 1, "xxxxxxxx"); }); },
       ErrorCode::kCorruptData, "array length is more than the file can hold"},
      {"array of strings",
       [] { return with([](GgufBuilder& b) { b.array("k", 8, 2, gguf_string("aaaaaaaa")); }); },
       ErrorCode::kCorruptData, "key k: "},
      {"deep arrays", [] { return nested(20); }, ErrorCode::kCorruptData, "nested too deep"},
      {"bool", [] { return with([](GgufBuilder& b) { b.key("k", 7, "\2"); }); },
       ErrorCode::kCorruptData, "not a bool"},
      {"key twice",
       [] { return with([](GgufBuilder& b) { b.key("k", 0, "x").key("k", 0, "y"); }); },
       ErrorCode::kCorruptData, "key k: occurs twice"},
      {"alignment 0", [] { return alignment_of(0); }, ErrorCode::kCorruptData, "bad alignment"},
      {"alignment 4", [] { return alignment_of(4); }, ErrorCode::kCorruptData, "got 4"},
      {"alignment 48", [] { return alignment_of(48); }, ErrorCode::kCorruptData, "got 48"},
      {"alignment type",
       [] { return with([](GgufBuilder& b) { b.text("general.alignment", "x"); }); },
       ErrorCode::kCorruptData, "general.alignment: wrong type"},
  };
}

std::string one_tensor(const std::vector<std::uint64_t>& dims, std::uint32_t type,
                       std::uint64_t offset) {
  return with([&](GgufBuilder& b) {
    b.info("t", dims, type, offset);
    b.data = std::string(64, 'd');
  });
}

std::string two_tensors(std::uint64_t second, const char* name = "u", std::uint32_t type = 0) {
  return with([&](GgufBuilder& b) {
    b.info("t", {16}, type, 0).info(name, {4}, 0, second);
    b.data = std::string(128, 'd');
  });
}

std::vector<Case> tensor_cases() {
  constexpr std::uint64_t kBig = std::uint64_t{1} << 62U;
  return {
      {"dims", [] { return one_tensor(std::vector<std::uint64_t>(9, 1), 0, 0); },
       ErrorCode::kCorruptData, "tensor t: too many dimensions"},
      {"overflow",
       [] {
         return one_tensor({kBig, 4}, 0, 0);
       },
       ErrorCode::kCorruptData, "overflows"},
      {"overflow beside zero",
       [] {
         return one_tensor({0, kBig, kBig}, 0, 0);
       },
       ErrorCode::kCorruptData, "overflows"},
      {"negative", [] { return one_tensor({kHuge}, 0, 0); }, ErrorCode::kCorruptData, "overflows"},
      {"bytes overflow", [] { return one_tensor({kBig}, 28, 0); }, ErrorCode::kCorruptData,
       "size overflows"},
      {"beyond the file", [] { return one_tensor({17}, 0, 0); }, ErrorCode::kCorruptData,
       "tensor t: data runs past the end of the file (expected 68 bytes"},
      {"offset", [] { return one_tensor({1}, 0, 96); }, ErrorCode::kCorruptData,
       "data begins past the end"},
      {"huge offset", [] { return one_tensor({1}, 0, kHuge - 31); }, ErrorCode::kCorruptData,
       "past the end"},
      {"unaligned", [] { return one_tensor({1}, 0, 4); }, ErrorCode::kCorruptData, "not aligned"},
      {"part of a block", [] { return one_tensor({33}, 8, 0); }, ErrorCode::kCorruptData,
       "row length"},
      {"overlap", [] { return two_tensors(32); }, ErrorCode::kCorruptData,
       "tensor u: overlaps tensor t"},
      // The first would lie elsewhere if its type (F16) or its shape were right.
      {"gap", [] { return two_tensors(96, "u", 1); }, ErrorCode::kCorruptData,
       "tensor u: gap before its data"},
      {"gap at the beginning", [] { return one_tensor({1}, 0, 32); }, ErrorCode::kCorruptData,
       "tensor t: gap before its data"},
      {"same name", [] { return two_tensors(64, "t"); }, ErrorCode::kCorruptData,
       "tensor t: occurs twice"},
      {"empty name", [] { return two_tensors(64, ""); }, ErrorCode::kCorruptData, "empty name"},
      {"no data", [] { return with([](GgufBuilder& b) { b.info("t", {1}, 0, 0); }); },
       ErrorCode::kCorruptData, "past the end"},
  };
}

void expect_refused(const std::vector<Case>& cases) {
  const TempFolder folder;
  for (const Case& one : cases) {
    const std::string path = folder.write("m.gguf", one.file());
    const Error error = error_of([&] { const Gguf model(path); });
    EXPECT_EQ(error.code(), one.code) << one.name << ": " << error.what();
    EXPECT_NE(std::string(error.what()).find(one.says), std::string::npos)
        << one.name << ": " << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(path)) << error.what();
    EXPECT_TRUE(std::string(error.what()).find("byte") != std::string::npos ||
                std::string(error.what()).find("twice") != std::string::npos ||
                std::string(error.what()).find("key ") != std::string::npos)
        << error.what();
  }
}

TEST(GgufHostile, HeaderErrorsNameThePlace) { expect_refused(header_cases()); }
TEST(GgufHostile, TensorErrorsNameThePlace) { expect_refused(tensor_cases()); }

TEST(GgufHostile, MessagesArePrintable) {
  const TempFolder folder;
  const std::string name = "\x1b[31m\xff" + std::string(300, 'n');
  const std::string path =
      folder.write("m.gguf", with([&](GgufBuilder& b) { b.key(name, 0, "x").key(name, 0, "x"); }));
  const std::string message = error_of([&] { const Gguf model(path); }).what();
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), path.size() + 200);
}

TEST(GgufHostile, NoSuchFile) {
  EXPECT_EQ(error_of([] { const Gguf model("/nonexistent/x.gguf"); }).code(), ErrorCode::kNotFound);
  const TempFolder folder;
  EXPECT_EQ(error_of([&] { const Gguf model(folder.write("e.gguf", "")); }).code(),
            ErrorCode::kCorruptData);
}

}  // namespace
}  // namespace openllm::format
