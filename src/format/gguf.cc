#include "format/gguf.h"

#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/gguf_file.h"
#include "format/gguf_values.h"
#include "format/tensor_list.h"

namespace openllm::format {

struct Gguf::Impl {
  std::shared_ptr<const GgufMetadata> metadata;
  std::vector<base::MappedFile> later_files{};  // of a split; the first file is the metadata's
  TensorList tensors{};

  explicit Impl(std::shared_ptr<const GgufMetadata> opened) : metadata(std::move(opened)) {
    const std::vector<std::string>& paths = metadata->files();
    const gguf::Header& first = metadata->header();
    const std::uint64_t alignment =
        gguf::parse_tensors(paths[0], metadata->file().bytes(), first, tensors);
    if (paths.size() > 1) {
      check_split(first, 0);
      for (std::size_t i = 1; i < paths.size(); ++i) {
        later_files.emplace_back(paths[i]);
        check_split(gguf::parse(paths[i], later_files.back().bytes(), tensors, alignment), i);
      }
      check_total(first);
    }
    tensors.sort_and_check(metadata->path());
  }

  /// File `i` is the part of the split that its name says.
  void check_split(const gguf::Header& header, std::size_t i) const {
    const std::string& path = metadata->files()[i];
    const auto count = static_cast<std::int64_t>(metadata->files().size());
    const auto no = static_cast<std::int64_t>(i);
    const std::int64_t their_count =
        gguf::find_count(header, path, "split.count", 65535).value_or(0);
    const std::int64_t their_no = gguf::find_count(header, path, "split.no", 65535).value_or(-1);
    if (their_count == count && their_no == no) return;
    base::fail_at(ErrorCode::kCorruptData, path,
                  "is another part of the split than its name says (expected ", no, " of ", count,
                  ", got ", their_no, " of ", their_count, ")");
  }

  void check_total(const gguf::Header& header) const {
    const std::string& path = metadata->files().front();
    const auto total =
        static_cast<std::int64_t>(tensors.readable.size() + tensors.unreadable.size());
    const std::int64_t expected =
        gguf::find_count(header, path, "split.tensors.count", INT64_MAX).value_or(total);
    if (expected == total) return;
    base::fail_at(ErrorCode::kCorruptData, path, "key split.tensors.count: wrong (expected ",
                  expected, " tensors in all files, got ", total, ")");
  }
};

Gguf::Gguf(const std::string& path) : Gguf(std::make_shared<const GgufMetadata>(path)) {}
Gguf::Gguf(std::shared_ptr<const GgufMetadata> metadata)
    : impl_(std::make_unique<Impl>(std::move(metadata))) {}
Gguf::~Gguf() = default;

const GgufMetadata& Gguf::metadata() const noexcept { return *impl_->metadata; }
const std::string& Gguf::path() const noexcept { return impl_->metadata->path(); }
const base::Json& Gguf::config() const noexcept { return impl_->metadata->config(); }
const std::vector<NamedTensor>& Gguf::tensors() const noexcept { return impl_->tensors.readable; }
const std::vector<UnreadableTensor>& Gguf::unreadable() const noexcept {
  return impl_->tensors.unreadable;
}

std::vector<const base::MappedFile*> Gguf::files() const {
  std::vector<const base::MappedFile*> files = {&impl_->metadata->file()};
  for (const base::MappedFile& file : impl_->later_files) files.push_back(&file);
  return files;
}

void Gguf::drop_pages(const tensor::TensorView& view) const noexcept {
  const auto drop_from = [&view](const base::MappedFile& file) {
    if (contains(file.bytes(), view.bytes)) file.drop_pages(view.bytes);
  };
  drop_from(impl_->metadata->file());
  for (const base::MappedFile& file : impl_->later_files) drop_from(file);
}

}  // namespace openllm::format
