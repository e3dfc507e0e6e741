#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace openllm::tokenizer {

using TokenId = std::int32_t;

struct EncodeOptions {
  bool add_special_tokens = true;  ///< Those of the tokenizer's post-processor (BOS, EOS, ...).
  bool parse_special = true;       ///< Special tokens written in the text become their ids.
  /// Places in the text (byte offsets, ascending) that no added token, special or not, may lie
  /// across: what is written there is plain text. See chat/control_words.h.
  std::span<const std::size_t> guards{};
};

/// A part of what two texts become together: one of them, or a token beside them.
struct PairPart {
  enum class Kind : std::uint8_t { kToken, kFirst, kSecond };
  Kind kind = Kind::kToken;
  TokenId id = 0;         ///< Of kToken.
  std::int32_t type = 0;  ///< Token type of the part.
};
struct PairOptions {
  std::size_t max_tokens = 0;  ///< Cuts the longer text's end, then both alike; 0: neither.
};
struct PairEncoding {
  std::vector<TokenId> ids{};
  std::vector<std::int32_t> types{};  ///< One for each token.
};

/// A token that is looked for in the text before anything else.
struct AddedText {
  std::string_view text;
  bool special = false;
};

/// A token and its place in the text, in code points of it; invalid bytes count as the U+FFFD that
/// they are read as. Tokens that stand for no text are at 0 to 0.
struct LocatedToken {
  TokenId id = 0;
  std::size_t begin = 0, end = 0;
  /// What the Hugging Face library calls the token, where that is not how the vocabulary spells it:
  /// the text that an unknown token of Unigram, or an added token, stands for.
  std::string name{};
  bool operator==(const LocatedToken& other) const {
    return id == other.id && begin == other.begin && end == other.end;
  }
};

/// Text to token ids and back.
/// Thread safety: const methods from any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Any bytes; invalid UTF-8 is treated as U+FFFD where the tokenizer works on code points.
  virtual std::vector<TokenId> encode(std::string_view text,
                                      const EncodeOptions& options = {}) const = 0;

  /// Tokens that `encode` puts behind a text with `add_special_tokens`.
  virtual std::size_t n_tokens_after() const noexcept { return 0; }
  /// How two texts stand together, by the post-processor; nullopt: it has no form for them that
  /// is known.
  virtual std::optional<std::span<const PairPart>> pair_parts() const noexcept;
  /// Two texts as one sequence. Throws kUnsupported where there are no parts.
  PairEncoding encode_pair(std::string_view first, std::string_view second,
                           const PairOptions& options = {}) const;

  /// The same tokens and their places, as the Hugging Face library has them; slower. `options` may
  /// have no guards.
  virtual std::vector<LocatedToken> encode_with_offsets(
      std::string_view text, const EncodeOptions& options = {}) const = 0;

  /// At least this many tokens `encode(text)` gives, whatever the options; 0 where nothing is
  /// known. Costs a small part of what encoding does.
  virtual std::size_t min_tokens(std::string_view) const noexcept { return 0; }

  /// One past the highest id.
  virtual int vocab_size() const noexcept = 0;
  /// The bytes a token adds to the text in the middle of a sequence (SentencePiece's "U+2581 the"
  /// is " the", byte tokens are one byte). Empty for unknown ids.
  virtual std::string_view token_bytes(TokenId id) const noexcept = 0;
  /// The same for the first token of a text, where some decoders leave out a space.
  virtual std::string_view first_token_bytes(TokenId id) const noexcept { return token_bytes(id); }
  /// The token stands for one byte ("<0x0A>"), and neighbouring ones belong together: if their
  /// bytes are not valid UTF-8, each of them is decoded as U+FFFD. Never so for GGUF vocabularies.
  virtual bool is_byte_token(TokenId) const noexcept { return false; }
  /// Text that a run of byte tokens adds, where the decoder goes on to rewrite it. `first`:
  /// no token came before.
  virtual std::string byte_run_text(std::string text, bool /*first*/) const { return text; }
  /// The last token of a text adds other text: `last_token_text`.
  virtual bool last_differs() const noexcept { return false; }
  virtual std::string last_token_text(TokenId id, bool first) const {
    return std::string(first ? first_token_bytes(id) : token_bytes(id));
  }
  /// A token directly behind one of the same spelling adds nothing.
  virtual bool drops_repeats() const noexcept { return false; }
  /// The token as the vocabulary spells it. Empty for unknown ids.
  virtual std::string_view token_piece(TokenId id) const noexcept = 0;
  virtual std::optional<TokenId> find_token(std::string_view piece) const noexcept = 0;
  virtual bool is_special(TokenId id) const noexcept = 0;
  /// The decoder removes one leading space of the whole text (SentencePiece's dummy prefix).
  virtual bool strips_leading_space() const noexcept = 0;

  virtual std::optional<TokenId> bos_id() const noexcept = 0;
  /// End-of-sequence and end-of-turn ids that end a generation, most specific first; may be empty.
  virtual const std::vector<TokenId>& eos_ids() const noexcept = 0;
  /// Spellings of BOS and EOS for chat templates; empty if there is none.
  virtual std::string_view bos_piece() const noexcept = 0;
  virtual std::string_view eos_piece() const noexcept = 0;
  /// The named special tokens as transformers gives them to chat templates: an object of
  /// "bos_token", "eos_token", "unk_token", ... and whatever other names the files have; absent
  /// ones are left out.
  virtual base::Json special_tokens_map() const;
  /// All added tokens, in no order. The texts live as long as the tokenizer.
  virtual std::vector<AddedText> added_tokens() const { return {}; }

  /// The whole text of the ids; invalid UTF-8 becomes U+FFFD.
  std::string decode(std::span<const TokenId> ids, bool skip_special = true) const;
};

/// Decodes a growing sequence; what it returned never changes. Text is held back while its last
/// bytes are an incomplete UTF-8 sequence; byte tokens that belong together are held back until
/// another token follows. All results concatenated equal Tokenizer::decode of the whole sequence.
class IncrementalDecoder {
 public:
  /// `continues`: text comes before, so the first token keeps its leading space.
  IncrementalDecoder(const Tokenizer& tokenizer, bool skip_special, bool continues = false);
  /// A special token directly behind another one is shown as it is spelt, without the space that
  /// some decoders put between tokens.
  void join_special_tokens() noexcept { joins_special_ = true; }
  /// The text that this token completes; may be empty.
  std::string push(TokenId id);
  /// The text held back, with U+FFFD for incomplete sequences.
  std::string flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  bool joins_special_ = false;
  bool last_is_special_ = false;
  bool at_start_;         // no text yet
  bool first_token_;      // no token yet
  std::string pending_;   // an incomplete UTF-8 sequence
  std::string byte_run_;  // of byte tokens
  bool run_is_first_ = false;
  std::optional<TokenId> held_;  // it may be the last one
  bool held_is_first_ = false;
  std::optional<TokenId> repeats_;  // what came last, where repeats are dropped

  void append(std::string& out, std::string_view bytes);
  void append_byte_run(std::string& out);
};

/// Hugging Face `tokenizer.json` (already parsed) with the optional `tokenizer_config.json` (null
/// if absent) for BOS, EOS and added tokens. Throws kUnsupported naming the component it does not
/// know, kCorruptData for bad content.
std::unique_ptr<Tokenizer> make_tokenizer(const base::Json& tokenizer_json,
                                          const base::Json& tokenizer_config);

/// A SentencePiece model file, with the same configuration or null. Throws kUnsupported for classes
/// of tokenizers whose ids are not the file's; kCorruptData.
std::unique_ptr<Tokenizer> make_sentencepiece_tokenizer(std::string_view bytes,
                                                        const base::Json& tokenizer_config);

/// The same where vocab.json has the ids: of Marian, or of M2M-100 where the configuration names
/// the class M2M100Tokenizer.
std::unique_ptr<Tokenizer> make_renamed_sentencepiece_tokenizer(std::string_view bytes,
                                                                const base::Json& vocab_json,
                                                                const base::Json& tokenizer_config);

/// A tiktoken file: lines of a token in base64 and its rank. Which pattern cuts text into words and
/// which special tokens there are stands in no such file: the class and the added tokens of the
/// configuration say it, and without one they are Llama 3's.
std::unique_ptr<Tokenizer> make_tiktoken_tokenizer(std::string_view text,
                                                   const base::Json& tokenizer_config);

/// Mistral's tekken.json.
std::unique_ptr<Tokenizer> make_tekken_tokenizer(const base::Json& tekken_json);

/// vocab.json and merges.txt of byte-level BPE. The configuration's class says how text is cut;
/// throws kUnsupported for one that is not known.
std::unique_ptr<Tokenizer> make_vocab_merges_tokenizer(const base::Json& vocab_json,
                                                       std::string_view merges_text,
                                                       const base::Json& tokenizer_config);

/// BERT's vocab.txt, a token a line.
std::unique_ptr<Tokenizer> make_vocab_txt_tokenizer(std::string_view text,
                                                    const base::Json& tokenizer_config);

/// A vocabulary as GGUF stores it (keys under `tokenizer.ggml.`).
struct GgufVocab {
  /// "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "bert" (WordPiece), "t5" (Unigram),
  /// "rwkv", "plamo2" or "gemma4" (BPE of characters).
  std::string model;
  std::string pre;  ///< Pre-tokenizer name: "smollm", "llama-bpe", "qwen2", "default", ...
  std::vector<std::string_view> tokens;   ///< Spellings.
  std::vector<float> scores;              ///< For SentencePiece; may be empty.
  std::vector<std::int64_t> token_types;  ///< 1 normal, 2 unknown, 3 control, 4 user defined, 5
                                          ///< unused, 6 byte; may be empty.
  std::vector<std::string_view> merges;   ///< "left right", for BPE with merges.
  std::optional<TokenId> bos_id, eos_id, eot_id, eom_id, unk_id, sep_id, pad_id, cls_id, mask_id;
  /// Further tokens that end an answer: padding, repository and file marks of code models.
  std::vector<TokenId> end_ids;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string charsmap{};  ///< SentencePiece's, for "t5"; may be empty.
  std::optional<bool> remove_extra_whitespaces{}, escape_whitespaces{}, space_is_suffix{};
  std::optional<bool> lowercase{}, strip_accents{};  ///< For "bert"; true, and as `lowercase`.
};
/// Copies what it needs. Same errors as make_tokenizer.
std::unique_ptr<Tokenizer> make_tokenizer(const GgufVocab& vocab);

}  // namespace openllm::tokenizer
