// Vectors and scores through LLM: pooling, sentence-transformers' files, refusals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "base/mapped_file.h"
#include "openllm/llm.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kData = OPENLLM_TEST_DATA;
const std::string kDecoder = kData + "/models/qwen3";
const std::string kClassifier = kData + "/encoders/bert-classifier";

std::string encoder(const char* name) { return kData + "/encoders/" + name; }

struct Golden {
  std::vector<std::int32_t> prompt{};
  std::vector<float> hidden{};  ///< [positions, size]
  std::size_t size() const { return hidden.size() / prompt.size(); }
};

Golden read_golden(const std::string& folder) {
  const base::Json json =
      base::Json::parse(base::read_file(folder + "/golden.json"), "golden.json");
  Golden golden;
  for (const base::Json& id : json.find("prompt")->as_array("prompt"))
    golden.prompt.push_back(static_cast<std::int32_t>(id.as_int("id")));
  const std::string bytes = base::read_file(folder + "/golden.hidden");
  golden.hidden.resize(bytes.size() / sizeof(float));
  std::memcpy(golden.hidden.data(), bytes.data(), bytes.size());
  return golden;
}

std::vector<float> mean_of(const Golden& golden) {
  std::vector<float> mean(golden.size(), 0.0F);
  for (std::size_t i = 0; i < golden.hidden.size(); ++i)
    mean[i % mean.size()] += golden.hidden[i] / static_cast<float>(golden.prompt.size());
  return mean;
}

double worst(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 1e9;
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}

std::vector<float> normalized(std::vector<float> x) {
  double square = 0.0;
  for (const float v : x) square += static_cast<double>(v) * static_cast<double>(v);
  for (float& v : x) v = static_cast<float>(static_cast<double>(v) / std::sqrt(square));
  return x;
}

template <typename Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

/// A copy of a model with further files.
class Folder {
 public:
  explicit Folder(const std::string& model)
      : path_(fs::temp_directory_path() /
              ("openllm-embed-" + std::to_string(::getpid()) + "-" + std::to_string(n_++))) {
    fs::copy(model, path_, fs::copy_options::recursive);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  std::string path() const { return path_.string(); }

 private:
  static inline int n_ = 0;
  fs::path path_;
};

constexpr const char* kModules =
    R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
        {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"}])";

TEST(Embedding, OfAnEncoderIsTheMeanOfItsStates) {
  const std::string folder = encoder("roberta");
  const Golden golden = read_golden(folder);
  const LLM llm(folder, {.n_threads = 1});
  const EmbedOutput plain = llm.embed({golden.prompt}, {.normalize = false});
  ASSERT_EQ(plain.embeddings.size(), 1U);
  EXPECT_LE(worst(plain.embeddings[0].values, mean_of(golden)), 1e-4);
  EXPECT_EQ(plain.n_tokens, 31);
  const EmbedOutput unit = llm.embed({golden.prompt});
  EXPECT_LE(worst(unit.embeddings[0].values, normalized(mean_of(golden))), 1e-4);
  EXPECT_EQ(llm.info().task, ModelTask::kEmbed);
  EXPECT_EQ(llm.info().embedding_size, 32);
}

TEST(Embedding, TakesTheRowsThatThePoolingSays) {
  const std::string folder = encoder("mpnet");
  const Golden golden = read_golden(folder);
  const LLM llm(folder, {.n_threads = 1});
  const auto embed = [&](Pooling pooling) {
    return llm.embed({golden.prompt}, {.pooling = pooling, .normalize = false})
        .embeddings[0]
        .values;
  };
  const auto first = golden.hidden.begin();
  const auto size = static_cast<std::ptrdiff_t>(golden.size());
  EXPECT_LE(worst(embed(Pooling::kCls), {first, first + size}), 1e-4);
  EXPECT_LE(worst(embed(Pooling::kLast), {golden.hidden.end() - size, golden.hidden.end()}), 1e-4);
  std::vector<float> most(golden.size(), -1e9F);
  std::vector<float> weighted(golden.size(), 0.0F);
  const auto n = static_cast<float>(golden.prompt.size());
  for (std::size_t i = 0; i < golden.hidden.size(); ++i) {
    float& largest = most[i % golden.size()];
    largest = std::max(largest, golden.hidden[i]);
    weighted[i % golden.size()] += golden.hidden[i] * static_cast<float>(i / golden.size() + 1);
  }
  for (float& value : weighted) value /= n * (n + 1) / 2;
  EXPECT_LE(worst(embed(Pooling::kMax), most), 1e-4);
  EXPECT_LE(worst(embed(Pooling::kWeightedMean), weighted), 1e-4);
  std::vector<float> root = mean_of(golden);
  for (float& value : root) value *= std::sqrt(n);
  EXPECT_LE(worst(embed(Pooling::kMeanSqrtLen), root), 1e-3);
}

TEST(Embedding, ManyTogetherAreAsEachAlone) {
  const LLM llm(encoder("modernbert"), {.n_threads = 1});
  std::vector<Prompt> inputs;
  for (int n = 1; n <= 40; n += 3) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(4 + (i * 7 + n) % 90);
    inputs.emplace_back(ids);
  }
  const EmbedOutput together = llm.embed(inputs);
  ASSERT_EQ(together.embeddings.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    EXPECT_EQ(llm.embed({inputs[i]}).embeddings[0].values, together.embeddings[i].values) << i;
}

TEST(Embedding, OfADecoderIsItsLastState) {
  const LLM llm(kDecoder, {.n_threads = 1, .kv_block_size = 4});
  const std::vector<std::int32_t> ids = {5, 9, 20, 33, 7, 12, 40, 41, 3};
  const auto last = llm.embed({ids}).embeddings[0].values;
  EXPECT_EQ(llm.embed({ids}, {.pooling = Pooling::kLast}).embeddings[0].values, last);
  const auto mean = llm.embed({ids}, {.pooling = Pooling::kMean}).embeddings[0].values;
  EXPECT_NE(mean, last);
  // The first state does not depend on what follows.
  const auto cls = llm.embed({ids}, {.pooling = Pooling::kCls}).embeddings[0].values;
  EXPECT_EQ(llm.embed({std::vector<std::int32_t>{5}}).embeddings[0].values, cls);
  const GenerationOutput answer = llm.generate(ids, {.max_new_tokens = 3, .temperature = 0.0F});
  EXPECT_EQ(answer.outputs[0].token_ids.size(), 3U);
  EXPECT_EQ(llm.info().task, ModelTask::kGenerate);
}

TEST(Embedding, AsyncGivesTheSame) {
  const LLM llm(encoder("distilbert"), {.n_threads = 1});
  const std::vector<std::int32_t> ids = {5, 9, 20};
  const EmbedOutput output = llm.async_embed({ids}, {.request_id = "a name that is long"}).get();
  EXPECT_EQ(output.embeddings[0].values, llm.embed({ids}).embeddings[0].values);
}

TEST(Embedding, DimensionsKeepTheFirstAndNormaliseThem) {
  const std::string folder = encoder("roberta");
  const Golden golden = read_golden(folder);
  const LLM llm(folder, {.n_threads = 1});
  std::vector<float> head = mean_of(golden);
  head.resize(10);
  EXPECT_LE(
      worst(llm.embed({golden.prompt}, {.dimensions = 10}).embeddings[0].values, normalized(head)),
      1e-4);
  EXPECT_EQ(error_of([&] { llm.embed({golden.prompt}, {.dimensions = 33}); }).where(),
            "dimensions");
  EXPECT_EQ(error_of([&] { llm.embed({golden.prompt}, {.dimensions = -1}); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(Embedding, FollowsSentenceTransformersFiles) {
  const Folder folder(encoder("mpnet"));
  folder.write("modules.json", kModules);
  folder.write("1_Pooling/config.json",
               R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})");
  folder.write("sentence_bert_config.json", R"({"max_seq_length":8,"do_lower_case":false})");
  const Golden golden = read_golden(encoder("mpnet"));
  const LLM llm(folder.path(), {.n_threads = 1});
  const auto size = static_cast<std::ptrdiff_t>(golden.size());
  const auto got = llm.embed({golden.prompt}).embeddings[0].values;
  EXPECT_LE(worst(got, {golden.hidden.begin(), golden.hidden.begin() + size}), 1e-4)
      << "the first token's, and not normalised: there is no module for it";
  EXPECT_EQ(llm.embed({golden.prompt}, {.truncate = true}).n_tokens, 8);
}

TEST(Embedding, RefusesWhatItDoesNotKnowOfThem) {
  struct Case {
    const char* file;
    const char* text;
    const char* words;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"modules.json", R"([{"path":"1_CNN","type":"sentence_transformers.models.CNN"}])",
            "unknown module"},
           {"modules.json", R"([{"path":"../x","type":"sentence_transformers.models.Pooling"}])",
            "leaves the model's folder"},
           {"modules.json", R"({"a":1})", "no list"},
           {"1_Pooling/config.json",
            R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})",
            "several poolings"},
           {"1_Pooling/config.json", R"({"pooling_mode_mean_tokens":false})", "no pooling is on"},
           {"1_Pooling/config.json", R"({"pooling_mode":"attention"})", "unknown kind"},
           {"sentence_bert_config.json", R"({"do_lower_case":true})", "do_lower_case"},
           {"config_sentence_transformers.json", R"({"default_prompt_name":"a"})",
            "no such prompt"}}) {
    const Folder folder(encoder("mpnet"));
    folder.write("modules.json", kModules);
    folder.write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens":true})");
    folder.write(c.file, c.text);
    const LLM llm(folder.path(), {.n_threads = 1});
    EXPECT_THAT(error_of([&] {
                  llm.embed({std::vector<std::int32_t>{5, 6}});
                }).what(),
                HasSubstr(c.words));
  }
}

TEST(Embedding, RefusesToContinueTexts) {
  const LLM llm(encoder("roberta"), {.n_threads = 1});
  const Error error = error_of([&] { llm.generate(std::vector<std::int32_t>{5, 6}); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("is an embedding model and continues no text"));
  const LLM classifier(kClassifier, {.n_threads = 1});
  EXPECT_THAT(error_of([&] {
                classifier.generate(std::vector<std::int32_t>{5, 6});
              }).what(),
              HasSubstr("is a classifier"));
  EXPECT_THAT(error_of([&] {
                classifier.embed({std::vector<std::int32_t>{5, 6}});
              }).what(),
              HasSubstr("gives no embeddings"));
  EXPECT_EQ(classifier.info().n_labels, 1);
  EXPECT_EQ(classifier.info().task, ModelTask::kClassify);
}

TEST(Embedding, RefusesInputsThatDoNotFit) {
  const LLM llm(encoder("roberta"), {.n_threads = 1});
  const std::vector<std::int32_t> longest(46, 5);
  const std::vector<std::int32_t> too_long(47, 5);
  EXPECT_NO_THROW(llm.embed({longest}));
  const Error error = error_of([&] { llm.embed({too_long}); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.reason(), ErrorReason::kContextTooLong);
  EXPECT_EQ(llm.embed({too_long}, {.truncate = true}).embeddings[0].values,
            llm.embed({longest}).embeddings[0].values);
  EXPECT_EQ(error_of([&] { llm.embed({std::vector<std::int32_t>{}}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([&] { llm.embed({std::vector<std::int32_t>{200}}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(llm.embed({}).embeddings.empty());
}

TEST(Embedding, ScoresOfSeveralClassesAreRefused) {
  const LLM llm(encoder("distilbert-classifier"), {.n_threads = 1});
  EXPECT_THAT(error_of([&] { llm.score("a", {"b"}); }).what(),
              HasSubstr("expected 1 class, got 3"));
}

}  // namespace
}  // namespace openllm
