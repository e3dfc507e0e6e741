// Classes of transformers 5.24 whose tokenizers are not those of their SentencePiece files. What
// each makes of the file is put together as its tokenizer.json would have it.

#include "tokenizer/files/sentencepiece_classes.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "tokenizer/files/config_tokens.h"
#include "tokenizer/files/json_components.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/text/charsmap.h"

namespace openllm::tokenizer {
namespace {

constexpr std::string_view kFile = "sentencepiece model";
constexpr std::string_view kConfig = "tokenizer_config.json";

/// The first 25 are mBART's, all together mBART-50's.
constexpr std::string_view kLanguages[] = {
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN",
    "hi_IN", "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP",
    "nl_XX", "ro_RO", "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN", "af_ZA", "az_AZ",
    "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK", "ml_IN",
    "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN",
    "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES", "sl_SI"};
constexpr std::size_t kMbartLanguages = 25;

class ClassBuilder {
 public:
  ClassBuilder(const SentencePieceFile& file, const base::Json& config)
      : file_(file), config_(config) {
    json_["added_tokens"] = base::Json::array();
    json_["normalizer"] = charsmap();
    json_["pre_tokenizer"] = sequence("pretokenizers", {component("WhitespaceSplit"), metaspace()});
    json_["decoder"] = metaspace();
    json_["model"] = component("Unigram");
    json_["model"]["vocab"] = base::Json::array();
  }

  std::unique_ptr<Tokenizer> build(std::string_view name) {
    if (file_.model_type != SentencePieceFile::ModelType::kUnigram)
      base::fail_at(ErrorCode::kUnsupported, kFile, "the class ", name,
                    " with another model than unigram");
    if (name == "XLMRobertaTokenizer") {
      build_xlm_roberta();
    } else if (name == "CamembertTokenizer") {
      build_camembert();
    } else if (name == "MBartTokenizer" || name == "MBart50Tokenizer") {
      build_mbart(name == "MBart50Tokenizer");
    } else if (name == "PegasusTokenizer") {
      build_pegasus();
    } else if (name == "T5Tokenizer") {
      build_t5();
    } else if (name == "DebertaV2Tokenizer") {
      build_deberta();
    } else {
      build_albert();
    }
    return make_tokenizer(json_, config_);
  }

 private:
  std::int64_t push(std::string_view piece, double score = 0.0) {
    base::Json pair = base::Json::array();
    pair.push_back(piece);
    pair.push_back(score);
    json_["model"]["vocab"].push_back(std::move(pair));
    return n_tokens_++;
  }
  void push_special(std::string_view piece, bool lstrip = false, double score = 0.0) {
    const std::int64_t id = push(piece, score);
    json_["added_tokens"].push_back(special_token(piece, id, lstrip));
  }
  void mark_special(std::string_view piece) {
    json_["added_tokens"].push_back(special_token(piece, find(piece)));
  }
  /// The file's pieces from the given one on.
  void push_pieces(std::size_t first) {
    for (std::size_t i = first; i < file_.pieces.size(); ++i)
      push(file_.pieces[i].text, static_cast<double>(file_.pieces[i].score));
  }
  bool has_piece(std::string_view text) const {
    for (const auto& piece : file_.pieces) {
      if (piece.text == text) return true;
    }
    return false;
  }
  std::int64_t find(std::string_view piece) {
    std::int64_t found = -1;
    std::int64_t id = 0;
    for (const base::Json& entry : *json_["model"]["vocab"].if_array()) {
      if (entry.as_array(kFile)[0].as_string(kFile) == piece) found = id;
      ++id;
    }
    if (found < 0) base::fail_at(ErrorCode::kCorruptData, kFile, "no piece ", piece);
    return found;
  }

  /// Null where the file has no table.
  base::Json charsmap() const {
    if (file_.charsmap.empty()) return {};
    base::Json json = component("Precompiled");
    json["precompiled_charsmap"] = encode_base64(file_.charsmap);
    return json;
  }
  /// The table, and one space for several.
  base::Json charsmap_and_spaces(const base::Json& without_table) const {
    const base::Json table = charsmap();
    const base::Json spaces = replace_regex(" {2,}", " ");
    if (!table.is_null()) return sequence("normalizers", {table, spaces});
    if (without_table.is_null()) return sequence("normalizers", {spaces});
    return sequence("normalizers", {without_table, spaces});
  }

  /// A text between tokens, and two: `between` stands behind the first. `second_type` is that of
  /// the second text and what is behind it.
  void frame(const std::vector<std::string>& before, const std::vector<std::string>& between,
             const std::vector<std::string>& after, int second_type = 0) {
    base::Json post = component("TemplateProcessing");
    const auto add = [&](const char* form, const std::vector<std::string>& tokens, int type) {
      for (const std::string& token : tokens) {
        base::Json item = base::Json::object();
        item["SpecialToken"]["id"] = token;
        item["SpecialToken"]["type_id"] = type;
        post[form].push_back(std::move(item));
        post["special_tokens"][token]["ids"] = base::Json::array();
        post["special_tokens"][token]["ids"].push_back(find(token));
      }
    };
    const auto add_text = [&](const char* form, const char* text, int type) {
      base::Json item = base::Json::object();
      item["Sequence"]["id"] = text;
      item["Sequence"]["type_id"] = type;
      post[form].push_back(std::move(item));
    };
    add("single", before, 0);
    add_text("single", "A", 0);
    add("single", after, 0);
    add("pair", before, 0);
    add_text("pair", "A", 0);
    add("pair", between, 0);
    add_text("pair", "B", second_type);
    add("pair", after, second_type);
    json_["post_processor"] = std::move(post);
  }

  void push_fairseq() {
    for (const char* piece : {"<s>", "<pad>", "</s>", "<unk>"}) push_special(piece);
    json_["model"]["unk_id"] = 3;
    push_pieces(3);
  }

  void build_xlm_roberta() {
    push_fairseq();
    push_special("<mask>");
    frame({"<s>"}, {"</s>", "</s>"}, {"</s>"});
  }

  void build_camembert() {
    push("<s>NOTUSED");
    push_special("<pad>");
    push("</s>NOTUSED");
    push_special("<unk>");
    push("<unk>NOTUSED", -100.0);
    json_["model"]["unk_id"] = 3;
    push_pieces(1);
    push_special("<mask>", true);
    mark_special("<s>");
    mark_special("</s>");
    frame({"<s>"}, {"</s>", "</s>"}, {"</s>"});
  }

  void build_mbart(bool is_50) {
    push_fairseq();
    const std::size_t n = is_50 ? std::size(kLanguages) : kMbartLanguages;
    for (std::size_t i = 0; i < n; ++i) push_special(kLanguages[i]);
    push_special("<mask>", true);
    const base::Json& source = field_or_null(config_, "src_lang");
    const std::string language = source.is_string() ? source.as_string(kConfig) : "en_XX";
    if (!is_50) {
      json_["normalizer"] = base::Json();
      return frame({}, {}, {"</s>", language});
    }
    json_["normalizer"] = charsmap_and_spaces({});
    json_["pre_tokenizer"] = metaspace();
    frame({language}, {}, {"</s>"});
  }

  void build_pegasus() {
    constexpr int kOffset = 103;
    for (const char* piece : {"<pad>", "</s>", "<mask_1>", "<mask_2>"}) push_special(piece);
    for (int i = 2; i < kOffset; ++i) push_special(base::cat("<unk_", i, ">"), false, -100.0);
    push_pieces(2);
    mark_special("<unk>");
    json_["model"]["unk_id"] = find("<unk>");
    json_["normalizer"] = charsmap_and_spaces(replace_regex("\\n", " "));
    json_["pre_tokenizer"] = metaspace();
    frame({}, {}, {"</s>"});
  }

  void build_t5() {
    constexpr std::int32_t kExtra = 100;
    const base::Json& named = field_or_null(config_, "extra_ids");
    const std::int32_t n_extra = named.is_null() ? kExtra : to_token_id(named, kConfig);
    push_pieces(0);
    for (const char* piece : {"<pad>", "</s>", "<unk>"}) mark_special(piece);
    json_["model"]["unk_id"] = find("<unk>");
    for (std::int32_t i = std::min(n_extra, 100 * kExtra); i-- > 0;)
      push_special(base::cat("<extra_id_", i, ">"));
    frame({}, {"</s>"}, {"</s>"});
  }

  /// [CLS] A [SEP] B [SEP]
  void finish_bert(std::initializer_list<const char*> specials) {
    push_pieces(0);
    for (const char* piece : specials) has_piece(piece) ? mark_special(piece) : push_special(piece);
    frame({"[CLS]"}, {"[SEP]"}, {"[SEP]"}, 1);
  }

  void build_deberta() {
    finish_bert({"[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"});
    json_["model"]["unk_id"] = find("[UNK]");
    base::Json strip = component("Strip");
    strip["strip_left"] = false;
    strip["strip_right"] = true;
    const base::Json blanks = replace_regex(R"(\s{2,}|[\n\r\t])", " ");
    json_["normalizer"] = sequence("normalizers", {blanks, component("NFC"), strip});
    if (bool_or(config_, "do_lower_case", false, kConfig))
      json_["normalizer"] =
          sequence("normalizers", {component("Lowercase"), blanks, component("NFC"), strip});
    json_["pre_tokenizer"] = metaspace();
    if (!bool_or(config_, "split_by_punct", false, kConfig)) return;
    base::Json punctuation = component("Punctuation");
    punctuation["behavior"] = "Isolated";
    json_["pre_tokenizer"] = sequence("pretokenizers", {punctuation, metaspace()});
  }

  void build_albert() {
    finish_bert({"<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"});
    json_["model"]["unk_id"] = find("<unk>");
    base::Json parts = base::Json::array();
    for (const char* quotes : {"``", "''"}) {
      base::Json replace = component("Replace");
      replace["pattern"]["String"] = quotes;
      replace["content"] = "\"";
      parts.push_back(std::move(replace));
    }
    if (!bool_or(config_, "keep_accents", false, kConfig)) {
      parts.push_back(component("NFKD"));
      parts.push_back(component("StripAccents"));
    }
    if (bool_or(config_, "do_lower_case", true, kConfig)) parts.push_back(component("Lowercase"));
    if (base::Json table = charsmap(); !table.is_null()) parts.push_back(std::move(table));
    json_["normalizer"] = component("Sequence");
    json_["normalizer"]["normalizers"] = std::move(parts);
  }

  const SentencePieceFile& file_;
  const base::Json& config_;
  base::Json json_ = base::Json::object();
  std::int64_t n_tokens_ = 0;
};

constexpr std::string_view kNames[] = {
    "XLMRobertaTokenizer", "CamembertTokenizer", "MBartTokenizer",     "MBart50Tokenizer",
    "PegasusTokenizer",    "T5Tokenizer",        "DebertaV2Tokenizer", "AlbertTokenizer"};

}  // namespace

std::unique_ptr<Tokenizer> make_class_tokenizer(const SentencePieceFile& file,
                                                std::string_view tokenizer_class,
                                                const base::Json& tokenizer_config) {
  for (const std::string_view name : kNames) {
    if (name == tokenizer_class) return ClassBuilder(file, tokenizer_config).build(name);
  }
  return nullptr;
}

}  // namespace openllm::tokenizer
