#include "format/recognise.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "format/little_endian.h"
#include "format/tensor_list.h"

namespace openllm::format {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

constexpr std::size_t kHeadBytes = 512;  // a tar archive says what it is at byte 257
constexpr std::size_t kMaxListed = 6;

struct Magic {
  std::string_view bytes;
  std::string_view what;
};
constexpr Magic kMagics[] = {
    {"version https://git-lfs.github.com/spec/"sv,
     "a Git LFS pointer: the file itself is not here, `git lfs pull` fetches it"sv},
    {"version https://hawser.github.com/spec/"sv,
     "a Git LFS pointer: the file itself is not here, `git lfs pull` fetches it"sv},
    {"GGUF"sv, "a GGUF file"sv},
    {"FUGG"sv, "a big-endian GGUF file"sv},
    {"lmgg"sv, "a model of ggml from before GGUF; convert the model again"sv},
    {"fmgg"sv, "a model of ggml from before GGUF; convert the model again"sv},
    {"tjgg"sv, "a model of ggml from before GGUF; convert the model again"sv},
    {"algg"sv, "a LoRA adapter of ggml from before GGUF"sv},
    {"PK\x03\x04"sv, "a zip archive, as PyTorch writes its pickles"sv},
    {"\x80\x02"sv, "a pickle, as PyTorch writes them"sv},
    {"\x80\x03"sv, "a pickle, as PyTorch writes them"sv},
    {"\x80\x04"sv, "a pickle, as PyTorch writes them"sv},
    {"\x80\x05"sv, "a pickle, as PyTorch writes them"sv},
    {"\x1F\x8B"sv, "compressed by gzip; unpack it first"sv},
    {"\x28\xB5\x2F\xFD"sv, "compressed by zstd; unpack it first"sv},
    {"\xFD"
     "7zXZ\0"sv,
     "compressed by xz; unpack it first"sv},
    {"BZh"sv, "compressed by bzip2; unpack it first"sv},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive; unpack it first"sv},
    {"Rar!\x1A\x07"sv, "a RAR archive; unpack it first"sv},
    {"\x89HDF\r\n\x1A\n"sv, "an HDF5 file, as Keras writes them"sv},
    {"\x93NUMPY"sv, "a NumPy array"sv},
    {"\x7F"
     "ELF"sv,
     "a program"sv},
    {"%PDF-"sv, "a PDF document"sv},
    {"\x89PNG"sv, "a PNG picture"sv},
    {"\xFF\xD8\xFF"sv, "a JPEG picture"sv},
};

bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// White space and a byte order mark left out.
std::string_view skip_blanks(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

bool starts_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

bool is_html(std::string_view text) {
  const std::string_view begin = skip_blanks(text);
  return starts_ignoring_case(begin, "<!doctype html") || starts_ignoring_case(begin, "<html") ||
         starts_ignoring_case(begin, "<head") || starts_ignoring_case(begin, "<!-- ") ||
         starts_ignoring_case(begin, "<body");
}

bool is_plain_text(std::string_view text) {
  return base::is_valid_utf8(text) && std::all_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) >= 0x20 || is_blank(c);
         });
}

std::string quote_line(std::string_view text) {
  text = skip_blanks(text);
  text = text.substr(0, text.find_first_of("\r\n"));
  return base::cat("\"", text.substr(0, 60), text.size() > 60 ? "..." : "", "\"");
}

std::string recognise_text(std::string_view head) {
  if (is_html(head)) return "an HTML page; the download went wrong";
  if (starts_ignoring_case(skip_blanks(head), "<?xml"))
    return base::cat("an XML text; the download went wrong");
  // The end of the piece may have cut a character in two.
  std::string_view whole = head;
  for (int i = 0; i < 3 && !base::is_valid_utf8(whole); ++i)
    whole.remove_suffix(whole.empty() ? 0 : 1);
  if (skip_blanks(whole).empty() || !is_plain_text(whole)) return {};
  const char first = skip_blanks(whole).front();
  if (first == '{' || first == '[') return "a JSON text that begins " + quote_line(whole);
  return "a text that begins " + quote_line(whole);
}

std::string read_head(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  std::string head(kHeadBytes, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return head;
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

bool looks_like_safetensors(std::span<const std::byte> file) {
  constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
  if (file.size() < 9 || file[8] != std::byte{'{'}) return false;
  const std::uint64_t length = load_le(file, 0, 8);
  return length >= 2 && length <= kMaxHeaderBytes;
}

/// Names of files that weights, or what leads to them, have.
bool is_of_a_model(const std::string& name) {
  for (const std::string_view end :
       {".safetensors"sv, ".safetensors.index.json"sv, ".gguf"sv, ".bin"sv, ".pt"sv, ".pth"sv,
        ".ckpt"sv, ".h5"sv, ".msgpack"sv, ".onnx"sv, ".gz"sv, ".zip"sv, ".tar"sv, ".zst"sv}) {
    if (name.size() > end.size() &&
        starts_ignoring_case(std::string_view(name).substr(name.size() - end.size()), end))
      return true;
  }
  return name == "config.json" || name == "params.json" || name == "adapter_config.json";
}

/// "NAME", and what is wrong with it.
std::string describe_entry(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  std::error_code error;
  std::string what;
  if (entry.is_symlink(error) && !fs::exists(entry.path(), error)) {
    const fs::path target = fs::read_symlink(entry.path(), error);
    what = base::cat("a link to ", printable(target.string()), ", which is not there");
  } else if (name == "adapter_config.json") {
    what = "of an adapter: a model's folder has a config.json";
  } else if (entry.is_regular_file(error) && !name.ends_with(".json")) {
    what = recognise_file(entry.path().string());
    const bool is_expected = (what == "a GGUF file" && name.ends_with(".gguf")) ||
                             (what == "a safetensors file" && name.ends_with(".safetensors")) ||
                             (what.starts_with("an HDF5 file") && name.ends_with(".h5"));
    if (is_expected) what.clear();
  }
  return what.empty() ? printable(name) : base::cat(printable(name), " (", what, ")");
}

}  // namespace

std::string recognise(std::span<const std::byte> file) {
  if (file.empty()) return "empty";
  if (looks_like_safetensors(file)) return "a safetensors file";
  const auto head_bytes = file.first(std::min(file.size(), kHeadBytes));
  const std::string_view head(reinterpret_cast<const char*>(head_bytes.data()), head_bytes.size());
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return std::string(magic.what);
  }
  if (head.size() > 262 && head.substr(257, 5) == "ustar") return "a tar archive; unpack it first";
  if (head.find_first_not_of('\0') == std::string_view::npos)
    return "zero bytes at its beginning; the download was not finished";
  return recognise_text(head);
}

std::string recognise_file(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  const std::string head = read_head(path);
  return recognise(as_bytes(head));
}

std::string note_what_it_is(std::span<const std::byte> file) {
  const std::string what = recognise(file);
  return what.empty() ? std::string() : base::cat(" (it is ", what, ")");
}

std::string note_what_it_is(const std::string& path) {
  const std::string what = recognise_file(path);
  return what.empty() ? std::string() : base::cat(" (it is ", what, ")");
}

std::string note_if_no_json(const std::string& text) {
  const std::string what = recognise(as_bytes(text));
  return what.empty() || what.starts_with("a JSON text") ? std::string()
                                                         : base::cat(" (it is ", what, ")");
}

void refuse_placeholder(const std::string& path, const std::string& text, const char* expected) {
  const bool is_pointer = text.starts_with("version https://git-lfs.github.com/") ||
                          text.starts_with("version https://hawser.github.com/");
  const std::string_view begin = skip_blanks(text);
  if (!is_pointer && !starts_ignoring_case(begin, "<!doctype html") &&
      !starts_ignoring_case(begin, "<html"))
    return;
  base::fail_at(ErrorCode::kCorruptData, path, "not ", expected, note_what_it_is(as_bytes(text)));
}

std::string describe_folder(const std::string& folder) {
  std::vector<std::string> parts;
  std::size_t n_others = 0;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (is_of_a_model(it->path().filename().string())) {
      parts.push_back(describe_entry(*it));
    } else {
      ++n_others;
    }
  }
  if (parts.empty()) {
    return n_others == 0 ? "it is empty"
                         : base::cat("it holds ", n_others, " other file", n_others == 1 ? "" : "s",
                                     " or folder", n_others == 1 ? "" : "s");
  }
  std::sort(parts.begin(), parts.end());
  std::string text = "it holds ";
  for (std::size_t i = 0; i < std::min(parts.size(), kMaxListed); ++i)
    text += base::cat(i == 0 ? "" : ", ", parts[i]);
  if (parts.size() > kMaxListed) text += base::cat(" and ", parts.size() - kMaxListed, " more");
  return text;
}

}  // namespace openllm::format
