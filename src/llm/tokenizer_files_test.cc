// Which of its files a folder's tokenizer is made of, and the class where no file names it. What
// the tokenizers make of texts: src/tokenizer/file_forms_test.cc.

#include "llm/tokenizer_files.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/mapped_file.h"
#include "format/test_files.h"
#include "tokenizer/text/charsmap.h"

namespace openllm::llm {
namespace {

using format::testing::TempFolder;

/// The golden of a class: its file, the first text and what that becomes.
struct Golden {
  std::string file;
  std::string vocab;
  std::string text;
  std::vector<tokenizer::TokenId> ids{};
};

Golden find_golden(std::string_view tokenizer_class) {
  const std::string path = std::string(OPENLLM_TEST_DATA) + "/tokenizer/files.golden.json";
  const base::Json rows = base::Json::parse(base::read_file(path), path);
  for (const base::Json& row : rows.as_array("rows")) {
    const base::Json* options = row.find("options");
    const base::Json* name = options == nullptr ? nullptr : options->find("tokenizer_class");
    if (name == nullptr || name->as_string("class") != tokenizer_class) continue;
    const base::JsonArray& item = row.find("encode")->as_array("encode")[0].as_array("item");
    const base::Json* vocab = row.find("vocab");
    Golden golden{tokenizer::decode_base64(row.find("file")->as_string("file"), "test"),
                  vocab == nullptr ? "" : vocab->dump(),
                  item[0].as_string("text"),
                  {}};
    for (const base::Json& id : item[1].as_array("ids"))
      golden.ids.push_back(static_cast<tokenizer::TokenId>(id.as_int("id")));
    return golden;
  }
  ADD_FAILURE() << tokenizer_class;
  return {};
}

TEST(TokenizerFiles, MarianHasSourceAndVocabulary) {
  const Golden golden = find_golden("MarianTokenizer");
  TempFolder folder;
  folder.write("source.spm", golden.file);
  folder.write("vocab.json", golden.vocab);
  EXPECT_EQ(load_folder_tokenizer(folder.path())->encode(golden.text), golden.ids);
}

TEST(TokenizerFiles, TheModelTypeStandsForAClassThatIsNotNamed) {
  const Golden golden = find_golden("XLMRobertaTokenizer");
  TempFolder folder;
  folder.write("sentencepiece.bpe.model", golden.file);
  folder.write("config.json", R"({"model_type": "xlm-roberta"})");
  EXPECT_EQ(load_folder_tokenizer(folder.path())->encode(golden.text), golden.ids);
  folder.write("config.json", R"({"model_type": "xglm"})");
  EXPECT_THROW(load_folder_tokenizer(folder.path()), Error);
  folder.write("config.json", R"({"tokenizer_class": "XLMRobertaTokenizer", "model_type": "x"})");
  EXPECT_EQ(load_folder_tokenizer(folder.path())->encode(golden.text), golden.ids);
}

TEST(TokenizerFiles, M2m100IsToldByItsModelType) {
  const Golden golden = find_golden("M2M100Tokenizer");
  TempFolder folder;
  folder.write("sentencepiece.bpe.model", golden.file);
  folder.write("vocab.json", golden.vocab);
  folder.write("config.json", R"({"model_type": "m2m_100"})");
  folder.write("tokenizer_config.json", R"({"src_lang": "fr"})");
  EXPECT_EQ(load_folder_tokenizer(folder.path())->encode(golden.text), golden.ids);
  folder.write("tokenizer_config.json", R"({"src_lang": "xx"})");
  EXPECT_THROW(load_folder_tokenizer(folder.path()), Error);
}

TEST(TokenizerFiles, DebertaCallsItsFileSpm) {
  const Golden golden = find_golden("DebertaV2Tokenizer");
  TempFolder folder;
  folder.write("spm.model", golden.file);
  folder.write("config.json", R"({"model_type": "deberta-v2"})");
  EXPECT_EQ(load_folder_tokenizer(folder.path())->encode(golden.text), golden.ids);
}

}  // namespace
}  // namespace openllm::llm
