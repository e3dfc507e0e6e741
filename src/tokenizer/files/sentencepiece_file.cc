#include "tokenizer/files/sentencepiece_file.h"

#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/files/protobuf.h"

namespace openllm::tokenizer {
namespace {

using Field = ProtobufReader::Field;
using Kind = ProtobufReader::Kind;

constexpr std::size_t kMaxPieces = std::size_t{1} << 24U;

int to_int(std::uint64_t value) noexcept {
  return static_cast<int>(static_cast<std::int64_t>(value));
}

SentencePieceFile::Piece parse_piece(std::string_view bytes, std::string_view where) {
  SentencePieceFile::Piece piece;
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->number == 1 && field->kind == Kind::kBytes) piece.text = field->bytes;
    if (field->number == 2 && field->kind == Kind::kFixed32)
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
    if (field->number == 3 && field->kind == Kind::kNumber) {
      if (field->value < 1 || field->value > 6)
        base::fail_at(ErrorCode::kCorruptData, where, "a piece of type ", field->value,
                      " (expected 1 to 6)");
      piece.type = static_cast<SentencePieceFile::PieceType>(field->value);
    }
  }
  if (!base::is_valid_utf8(piece.text))
    base::fail_at(ErrorCode::kCorruptData, where, "a piece that is not UTF-8");
  if (std::isnan(piece.score))
    base::fail_at(ErrorCode::kCorruptData, where, "a score that is no number");
  return piece;
}

void parse_trainer(std::string_view bytes, std::string_view where, SentencePieceFile& file) {
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->kind != Kind::kNumber) continue;
    if (field->number == 3) {
      if (field->value < 1 || field->value > 4)
        base::fail_at(ErrorCode::kCorruptData, where, "a model of type ", field->value,
                      " (expected 1 to 4)");
      file.model_type = static_cast<SentencePieceFile::ModelType>(field->value);
    }
    if (field->number == 24) file.space_is_suffix = field->value != 0;
    if (field->number == 35) file.byte_fallback = field->value != 0;
    if (field->number == 41) file.bos_id = to_int(field->value);
    if (field->number == 42) file.eos_id = to_int(field->value);
  }
}

void parse_normalizer(std::string_view bytes, std::string_view where, SentencePieceFile& file) {
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->number == 2 && field->kind == Kind::kBytes) file.charsmap = field->bytes;
    if (field->kind != Kind::kNumber) continue;
    if (field->number == 3) file.add_dummy_prefix = field->value != 0;
    if (field->number == 4) file.remove_extra_whitespaces = field->value != 0;
    if (field->number == 5) file.escape_whitespaces = field->value != 0;
  }
}

}  // namespace

SentencePieceFile parse_sentencepiece(std::string_view bytes, std::string_view where) {
  SentencePieceFile file;
  ProtobufReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->kind != Kind::kBytes) continue;
    if (field->number == 1) {
      if (file.pieces.size() == kMaxPieces)
        base::fail_at(ErrorCode::kCorruptData, where, "too many pieces (at most ", kMaxPieces, ")");
      file.pieces.push_back(parse_piece(field->bytes, where));
    }
    if (field->number == 2) parse_trainer(field->bytes, where, file);
    if (field->number == 3) parse_normalizer(field->bytes, where, file);
  }
  if (file.pieces.empty()) base::fail_at(ErrorCode::kCorruptData, where, "no pieces");
  return file;
}

}  // namespace openllm::tokenizer
