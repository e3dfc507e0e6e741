// Encoders and classifiers against Hugging Face transformers (tools/make_encoder_models.py): on
// every device, alone and among others.

#include <cmath>

#include "base/error.h"
#include "model/pooled_head.h"
#include "model/test_support.h"

namespace openllm::model::test {
namespace {

struct Row {
  std::vector<std::int32_t> ids{};
  std::vector<std::int32_t> types{};
};

class Encoder {
 public:
  Encoder(const std::string& name, const std::string& device)
      : device_(device::make_device(device, {.n_threads = 2})),
        model_(Model::load(*format::open_checkpoint(folder_of(name)), *device_,
                           {.max_rows = 64, .max_sequences = 3})) {
    model_->allocate_kv(std::vector<int>(model_->kv_groups().size(), 16));
  }
  static std::string folder_of(const std::string& name) {
    return std::string(OPENLLM_TEST_DATA) + "/encoders/" + name;
  }
  Model& model() { return *model_; }

  /// Hidden states of all rows of all sequences.
  std::vector<float> hidden(const std::vector<Row>& sequences) {
    step::Step step;
    step.block_tables.resize(model_->kv_groups().size());
    for (auto& table : step.block_tables) table.begin.push_back(0);
    std::int32_t block = 0;
    for (const Row& row : sequences) {
      const auto first = static_cast<std::int32_t>(step.token_ids.size());
      step.sequences.push_back(
          {.first_row = first, .n_rows = static_cast<std::int32_t>(row.ids.size())});
      for (std::size_t i = 0; i < row.ids.size(); ++i) {
        step.hidden_rows.push_back(first + static_cast<std::int32_t>(i));
        step.token_ids.push_back(row.ids[i]);
        step.positions.push_back(static_cast<std::int32_t>(i));
        step.token_types.push_back(row.types.empty() ? 0 : row.types[i]);
      }
      for (auto& table : step.block_tables) {
        table.ids.push_back(block);
        table.begin.push_back(static_cast<std::int32_t>(table.ids.size()));
      }
      ++block;
    }
    const float* rows = model_->forward(step).hidden;
    return {rows, rows + step.hidden_rows.size() * static_cast<std::size_t>(model_->spec().dim)};
  }

 private:
  std::unique_ptr<device::Device> device_;
  std::unique_ptr<Model> model_;
};

struct EncoderGolden {
  Row prompt{};
  std::vector<float> hidden{};
  std::vector<float> scores{};
};

/// Of a GGUF file, or one of Flax or TensorFlow, those of the folder that it was made of.
EncoderGolden read(const std::string& name) {
  std::string source = name;
  for (const std::string_view ending : {"/f32/model.gguf", "-flax", "-tf"}) {
    if (source.ends_with(ending)) source.resize(source.size() - ending.size());
  }
  const std::string folder = Encoder::folder_of(source);
  const base::Json json =
      base::Json::parse(base::read_file(folder + "/golden.json"), "golden.json");
  EncoderGolden golden;
  golden.prompt.ids = to_ids(*json.find("prompt"));
  if (const base::Json* types = json.find("types")) golden.prompt.types = to_ids(*types);
  if (const base::Json* hidden = json.find("hidden"))
    golden.hidden = read_floats(folder + "/" + hidden->as_string("hidden"));
  if (const base::Json* scores = json.find("scores")) {
    for (const base::Json& score : scores->as_array("scores"))
      golden.scores.push_back(static_cast<float>(score.as_double("score")));
  }
  return golden;
}

double worst(const float* got, const std::vector<float>& expected) {
  double most = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double difference =
        std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
    most = difference <= most ? most : difference;  // NaN must not pass
  }
  return most;
}

class EncoderGoldenTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(EncoderGoldenTest, HiddenStates) {
  const auto& [name, device] = GetParam();
  const EncoderGolden golden = read(name);
  Encoder encoder(name, device);
  const std::vector<float> alone = encoder.hidden({golden.prompt});
  ASSERT_EQ(alone.size(), golden.hidden.size());
  const double difference = worst(alone.data(), golden.hidden);
  RecordProperty("model", name);
  RecordProperty("device", device);
  RecordProperty("difference", base::cat(difference));
  EXPECT_LE(difference, 1e-4);
  const std::vector<float> among = encoder.hidden({{{5, 9, 7}}, golden.prompt, {{4, 8}}});
  const auto begin = among.begin() + std::ptrdiff_t{3} * encoder.model().spec().dim;
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), begin)) << "the same bits among others";
}

std::string case_name(const testing::TestParamInfo<std::tuple<const char*, const char*>>& info) {
  std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

constexpr const char* kDevices[] = {"reference", "cpu"};

INSTANTIATE_TEST_SUITE_P(
    Families, EncoderGoldenTest,
    testing::Combine(testing::Values("roberta", "distilbert", "mpnet", "electra", "nomic-bert",
                                     "nomic-bert-published", "modernbert", "eurobert", "deberta-v2",
                                     "deberta-v2-own", "albert", "ernie", "data2vec-text",
                                     "t5-encoder", "deberta-v2-conv", "deberta", "megatron-bert",
                                     "xlm-roberta-xl", "roberta-prelayernorm", "big-bird",
                                     "rembert", "roformer", "gte", "jina-embeddings-v3", "flaubert",
                                     "longformer", "luke", "splinter", "dpr", "embeddinggemma",
                                     "qwen3-encoder", "llama-bidirec", "mistral-body"),
                     testing::ValuesIn(kDevices)),
    case_name);

// Without a class in transformers: tools/make_published_encoders.py.
INSTANTIATE_TEST_SUITE_P(Published, EncoderGoldenTest,
                         testing::Combine(testing::Values("jina-bert", "jina-bert-more-norms",
                                                          "nomic-bert-moe", "gte-stretched",
                                                          "gte-stretched-mixed",
                                                          "nomic-bert-moe-plain"),
                                          testing::ValuesIn(kDevices)),
                         case_name);

// Written by llama.cpp's converter.
INSTANTIATE_TEST_SUITE_P(
    Gguf, EncoderGoldenTest,
    testing::Combine(testing::Values("roberta/f32/model.gguf", "distilbert/f32/model.gguf",
                                     "nomic-bert-published/f32/model.gguf",
                                     "modernbert/f32/model.gguf", "eurobert/f32/model.gguf",
                                     "t5-encoder/f32/model.gguf", "jina-bert/f32/model.gguf",
                                     "jina-bert-more-norms/f32/model.gguf",
                                     "nomic-bert-moe-plain/f32/model.gguf"),
                     testing::ValuesIn(kDevices)),
    case_name);

// As Flax and TensorFlow models are saved (tools/make_foreign_models.py).
INSTANTIATE_TEST_SUITE_P(Foreign, EncoderGoldenTest,
                         testing::Combine(testing::Values("roberta-flax", "distilbert-tf"),
                                          testing::ValuesIn(kDevices)),
                         case_name);

/// A sequence's vector as the head wants it.
std::vector<float> pooled(RowPooling pooling, const float* rows, std::size_t n, std::size_t dim) {
  if (pooling == RowPooling::kFirst) return {rows, rows + dim};
  if (pooling == RowPooling::kLast) return {rows + (n - 1) * dim, rows + n * dim};
  std::vector<float> mean(dim, 0.0F);
  for (std::size_t i = 0; i < n * dim; ++i) mean[i % dim] += rows[i] / static_cast<float>(n);
  return mean;
}

class ClassifierGoldenTest : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(ClassifierGoldenTest, Scores) {
  const auto& [name, device] = GetParam();
  const EncoderGolden golden = read(name);
  Encoder encoder(name, device);
  const ModelSpec& spec = encoder.model().spec();
  ASSERT_TRUE(spec.pooled_head);
  EXPECT_FALSE(spec.head);
  const std::vector<float> rows = encoder.hidden({golden.prompt});
  const std::vector<float> scores = encoder.model().pooled_head()->run(
      pooled(spec.pooled_head->pooling, rows.data(), golden.prompt.ids.size(),
             static_cast<std::size_t>(spec.dim)));
  ASSERT_EQ(scores.size(), golden.scores.size());
  EXPECT_LE(worst(scores.data(), golden.scores), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    Families, ClassifierGoldenTest,
    testing::Combine(testing::Values("bert-classifier", "xlm-roberta-classifier",
                                     "distilbert-classifier", "electra-classifier",
                                     "modernbert-classifier", "eurobert-classifier",
                                     "qwen3-classifier", "deberta-v2-classifier",
                                     "electra-classifier-tf", "albert-classifier",
                                     "deberta-classifier", "xlm-roberta-flash-classifier",
                                     "roformer-classifier", "gte-classifier", "xlm-classifier"),
                     testing::ValuesIn(kDevices)),
    case_name);

TEST(EncoderStepTest, TokenTypesAreThoseOfTheTable) {
  Encoder encoder("electra", "reference");
  const std::vector<float> zero = encoder.hidden({{{5, 9}, {0, 0}}});
  EXPECT_EQ(encoder.hidden({{{5, 9}}}), zero);
  EXPECT_NE(encoder.hidden({{{5, 9}, {0, 1}}}), zero);
  EXPECT_THROW(encoder.hidden({{{5, 9}, {0, 2}}}), Error);
  Encoder plain("mpnet", "reference");
  EXPECT_THROW(plain.hidden({{{5, 9}, {0, 1}}}), Error) << "it has no types";
}

TEST(EncoderStepTest, NoMoreSequencesThanThereIsRoomFor) {
  Encoder encoder("roberta", "reference");
  EXPECT_NO_THROW(encoder.hidden({{{5}}, {{6}}, {{7}}}));
  EXPECT_THROW(encoder.hidden({{{5}}, {{6}}, {{7}}, {{8}}}), Error);
}

}  // namespace
}  // namespace openllm::model::test
