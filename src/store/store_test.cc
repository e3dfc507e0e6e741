#include "openllm/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "store/names.h"
#include "store/sha256.h"

namespace openllm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A folder of its own for each test.
class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string pattern = ::testing::TempDir() + "openllm-store-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    base_ = pattern;
    store_ = ModelStore((base_ / "root").string());
  }
  ~StoreTest() override {
    std::error_code ignored;
    fs::remove_all(base_, ignored);
  }

  std::string write(const std::string& name, const std::string& content) const {
    const fs::path path = base_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path.string();
  }
  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string hf_folder() const {
    write("hf/config.json", "{}");
    write("hf/model.safetensors", "weights");
    write("hf/1_Pooling/config.json", "{\"a\":1}");
    write("hf/.cache/huge", "never copied");
    return (base_ / "hf").string();
  }
  static ErrorCode code_of(const std::function<void()>& call, std::string* message = nullptr) {
    try {
      call();
    } catch (const Error& error) {
      if (message != nullptr) *message = error.what();
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

  fs::path base_;
  ModelStore store_{""};
};

TEST_F(StoreTest, StartsEmptyAndMakesNothing) {
  EXPECT_THAT(store_.list(), IsEmpty());
  EXPECT_FALSE(store_.find("a/b"));
  EXPECT_FALSE(store_.remove("a/b"));
  EXPECT_FALSE(fs::exists(store_.root()));
}

TEST_F(StoreTest, AddsAGgufFile) {
  const StoredModel added = store_.add("Owner/Name.v1", write("x.gguf", "GGUF and more"));
  EXPECT_EQ(added.name, "Owner/Name.v1");
  EXPECT_EQ(added.format, "gguf");
  EXPECT_EQ(added.bytes, 13);
  EXPECT_EQ(added.version.size(), 12U);
  EXPECT_EQ(read(added.path), "GGUF and more");
  EXPECT_EQ(added.path,
            (fs::path(store_.root()) / "models/Owner/Name.v1" / added.version / "x.gguf").string());
  EXPECT_TRUE(fs::exists(fs::path(added.path).parent_path() / "model.json"));
  ASSERT_EQ(store_.list().size(), 1U);
  EXPECT_EQ(store_.list()[0].path, added.path);
  EXPECT_TRUE(fs::is_empty(fs::path(store_.root()) / "tmp"));
}

TEST_F(StoreTest, VersionIsTheContentHash) {
  const StoredModel added = store_.add("a", write("x.gguf", "GGUF"));
  store::Sha256 hash;
  hash.update("GGUF");
  EXPECT_EQ(added.version, hash.hex().substr(0, 12));
}

TEST_F(StoreTest, AddsAFolderWithoutHiddenFiles) {
  const StoredModel added = store_.add("sentence", hf_folder(), "r1");
  EXPECT_EQ(added.format, "safetensors");
  EXPECT_EQ(added.version, "r1");
  EXPECT_EQ(read(fs::path(added.path) / "model.safetensors"), "weights");
  EXPECT_EQ(read(fs::path(added.path) / "1_Pooling/config.json"), "{\"a\":1}");
  EXPECT_FALSE(fs::exists(fs::path(added.path) / ".cache"));
}

TEST_F(StoreTest, AddsEveryPartOfASplitModel) {
  const std::string first = write("m-00001-of-00002.gguf", "GGUF1");
  std::string message;
  EXPECT_EQ(code_of([&] { store_.add("m", first); }, &message), ErrorCode::kNotFound);
  EXPECT_THAT(message, HasSubstr("m-00002-of-00002.gguf"));
  const std::string second = write("m-00002-of-00002.gguf", "GGUF2");
  const StoredModel added = store_.add("m", second);
  EXPECT_EQ(fs::path(added.path).filename(), "m-00001-of-00002.gguf");
  EXPECT_TRUE(fs::exists(fs::path(added.path).parent_path() / "m-00002-of-00002.gguf"));
  EXPECT_EQ(added.bytes, 10);
}

TEST_F(StoreTest, FindIgnoresCaseAndTakesTheNewest) {
  const std::string file = write("x.gguf", "GGUF");
  store_.add("Owner/Name", file, "1");
  store_.add("owner/NAME", file, "2");  // the same model, whatever its case
  ASSERT_TRUE(store_.find("OWNER/name"));
  EXPECT_EQ(store_.find("OWNER/name")->version, "2");
  EXPECT_EQ(store_.find("owner/name:1")->version, "1");
  EXPECT_EQ(store_.find("owner/name:1")->name, "Owner/Name");
  EXPECT_FALSE(store_.find("owner/name:3"));
  EXPECT_FALSE(store_.find("Name"));
  EXPECT_EQ(store_.list().size(), 2U);
}

TEST_F(StoreTest, NamesWithAndWithoutOwnerDoNotMix) {
  const std::string file = write("x.gguf", "GGUF");
  store_.add("a", file, "b");
  store_.add("a/b", file, "c");
  EXPECT_EQ(store_.list().size(), 2U);
  EXPECT_TRUE(store_.remove("a"));
  ASSERT_EQ(store_.list().size(), 1U);
  EXPECT_EQ(store_.list()[0].name, "a/b");
}

TEST_F(StoreTest, AddingAgainIsHarmlessButContentMustNotChange) {
  const std::string file = write("x.gguf", "GGUF");
  const StoredModel first = store_.add("a", file);
  EXPECT_EQ(store_.add("a", file).path, first.path);
  store_.add("a", file, "v");
  EXPECT_EQ(code_of([&] { store_.add("a", write("x.gguf", "GGUF other"), "v"); }),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(read(store_.find("a:v")->path), "GGUF");
}

TEST_F(StoreTest, RemovesVersionsAndEmptyFolders) {
  const std::string file = write("x.gguf", "GGUF");
  store_.add("o/a", file, "1");
  store_.add("o/a", file, "2");
  EXPECT_TRUE(store_.remove("O/A:1"));
  EXPECT_FALSE(store_.find("o/a:1"));
  EXPECT_TRUE(store_.remove("o/a"));
  EXPECT_FALSE(store_.remove("o/a"));
  EXPECT_FALSE(fs::exists(fs::path(store_.root()) / "models/o"));
}

TEST_F(StoreTest, RefusesNamesThatLeadElsewhere) {
  const std::string file = write("x.gguf", "GGUF");
  for (const char* name : {"", "/", "a/", "/a", "../a", "a/..", "a/../b", ".", "a/.hidden", "a/b/c",
                           "-", "-/a", "a b", "a\\b", "a/b\n", "x..y", "\xC3\xA9"}) {
    EXPECT_EQ(code_of([&] { store_.add(name, file); }), ErrorCode::kInvalidArgument) << name;
    EXPECT_FALSE(store_.find(name)) << name;
  }
  for (const char* version : {"..", "a/b", ".x", " "}) {
    EXPECT_EQ(code_of([&] { store_.add("a", file, version); }), ErrorCode::kInvalidArgument)
        << version;
  }
  EXPECT_EQ(code_of([&] { store_.add(std::string(97, 'a'), file); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { store_.remove("../x"); }), ErrorCode::kInvalidArgument);
}

TEST_F(StoreTest, RefusesWhatIsNoModel) {
  EXPECT_EQ(code_of([&] { store_.add("a", (base_ / "nothing").string()); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([&] { store_.add("a", write("x.gguf", "GGU")); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { store_.add("a", write("x.bin", "PK\x03\x04")); }),
            ErrorCode::kInvalidArgument);
  fs::create_directories(base_ / "empty");
  EXPECT_EQ(code_of([&] { store_.add("a", (base_ / "empty").string()); }),
            ErrorCode::kInvalidArgument);
  EXPECT_THAT(store_.list(), IsEmpty());
}

TEST_F(StoreTest, IgnoresDamagedEntries) {
  const StoredModel good = store_.add("good", write("x.gguf", "GGUF"), "1");
  const std::string models = "root/models/-/";
  write(models + "bad/1/model.json", "{not json");
  write(models + "evil/1/model.json", R"({"format":"gguf","file":"../../../../x.gguf"})");
  write(models + "gone/1/model.json", R"({"format":"gguf","file":"x.gguf"})");
  fs::create_directories(base_ / (models + "partial/1"));
  write(models + "stray-file", "");
  ASSERT_EQ(store_.list().size(), 1U);
  EXPECT_EQ(store_.list()[0].path, good.path);
  const std::vector<DamagedModel> damaged = store_.damaged();
  ASSERT_EQ(damaged.size(), 4U);
  EXPECT_EQ(damaged[0].name, "bad");
  EXPECT_EQ(damaged[0].version, "1");
  EXPECT_THAT(damaged[0].reason, HasSubstr("model.json: invalid JSON"));
  EXPECT_THAT(damaged[1].reason, HasSubstr("leads out of the folder"));
  EXPECT_EQ(damaged[2].reason, "x.gguf: missing");
  EXPECT_EQ(damaged[3].reason, "model.json: cannot open: No such file or directory");
}

TEST_F(StoreTest, DamagedEntriesAreNamedReplacedAndRemoved) {
  const std::string file = write("x.gguf", "GGUF");
  write("root/models/o/a/1/model.json", "{not json");
  std::string message;
  EXPECT_EQ(code_of([&] { store_.find("o/a"); }, &message), ErrorCode::kCorruptData);
  EXPECT_THAT(message, HasSubstr("o/a:1 is damaged (model.json: invalid JSON"));
  EXPECT_EQ(store_.add("o/a", file, "1").version, "1");
  EXPECT_EQ(read(store_.find("o/a:1")->path), "GGUF");
  EXPECT_THAT(store_.damaged(), IsEmpty());

  fs::create_directories(base_ / "root/models/o/b/2");
  EXPECT_TRUE(store_.remove("o/b"));
  EXPECT_FALSE(fs::exists(base_ / "root/models/o/b"));
  // A damaged version does not hide a sound one.
  write("root/models/o/a/2/model.json", "");
  EXPECT_EQ(store_.find("o/a")->version, "1");
}

TEST_F(StoreTest, FindsByTag) {
  const std::string file = write("x.gguf", "GGUF");
  store_.add("Owner/My_Model", file, "r1");
  store_.add("native-plain", file, "1");
  EXPECT_EQ(store_.find("native-owner--my-model:r1")->name, "Owner/My_Model");
  EXPECT_EQ(store_.find("native-owner--my-model")->name, "Owner/My_Model");
  EXPECT_FALSE(store_.find("native-owner--my-model:r2"));
  EXPECT_FALSE(store_.find("native-"));
  EXPECT_EQ(store_.find("native-plain")->name, "native-plain");
}

TEST_F(StoreTest, KnowsWhatWasMeant) {
  EXPECT_FALSE(store_.nearest("anything"));
  const std::string file = write("x.gguf", "GGUF");
  store_.add("Owner/Story", file, "1");
  store_.add("plain", file, "1");
  EXPECT_EQ(store_.nearest("owner/stroy"), "Owner/Story");
  EXPECT_EQ(store_.nearest("story"), "Owner/Story");
  EXPECT_EQ(store_.nearest("owner/story:2"), "Owner/Story:1");
  EXPECT_EQ(store_.nearest("plian"), "plain");
  EXPECT_FALSE(store_.nearest("something/else"));
}

TEST_F(StoreTest, KnowsAModelByAPartOfItsName) {
  const std::string file = write("x.gguf", "GGUF");
  store_.add("HuggingFaceTB/SmolLM2-135M-Instruct", file, "1");
  store_.add("google/gemma-3-270m", file, "1");
  for (const char* wanted :
       {"smollm2", "SmolLM2-Instruct", "smollm", "smollm2:135m", "135M_instruct",
        "someone/SmolLM2-135M", "huggingface/smollm2", "smol lm2"})
    EXPECT_EQ(store_.nearest(wanted), "HuggingFaceTB/SmolLM2-135M-Instruct") << wanted;
  EXPECT_EQ(store_.nearest("gemma3"), "google/gemma-3-270m");
  EXPECT_EQ(store_.nearest("gemma3:270m"), "google/gemma-3-270m");
  for (const char* wanted : {"llama", "smollm3", "m", "-", "./", "smollm2-360m"})
    EXPECT_FALSE(store_.nearest(wanted)) << wanted;
  store_.add("HuggingFaceTB/SmolLM2-135M", file, "1");
  EXPECT_EQ(store_.nearest("smollm2"), "HuggingFaceTB/SmolLM2-135M");  // the plainest
}

TEST_F(StoreTest, AGgufFileNeedsNoEnding) {
  const std::string gguf = "GGUF and more";
  for (const char* name : {"sha256-0123", "M.GGUF"}) {
    const StoredModel added = store_.add("a", write(name, gguf), name);
    EXPECT_EQ(added.format, "gguf");
    EXPECT_EQ(fs::path(added.path).filename(), name);
    EXPECT_EQ(store_.find("a:" + std::string(name))->path, added.path);
  }
  write("blobs/sha256-77", gguf);
  write("blobs/notes", "text");
  EXPECT_EQ(fs::path(store_.add("b", (base_ / "blobs").string()).path).filename(), "sha256-77");
}

TEST_F(StoreTest, ALinkThatLeadsNowhereIsNotLeftOut) {
  write("f/config.json", "{}");
  write("f/model-1.safetensors", "x");
  fs::create_symlink("gone", base_ / "f" / "model-2.safetensors");
  std::string message;
  EXPECT_EQ(code_of([&] { store_.add("a", (base_ / "f").string()); }, &message),
            ErrorCode::kNotFound);
  EXPECT_THAT(message, HasSubstr("model-2.safetensors: a link to gone, which is not there"));
  EXPECT_THAT(store_.list(), IsEmpty());
}

TEST_F(StoreTest, TwoVersionsContradict) {
  const std::string file = write("x.gguf", "GGUF");
  EXPECT_EQ(code_of([&] { store_.add("a:1", file, "2"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_.add("a:1", file, "1").version, "1");
  EXPECT_EQ(store_.add("b:2", file).version, "2");
}

TEST_F(StoreTest, AFolderHoldsOneGgufModel) {
  write("f/model.gguf", "GGUF");
  write("f/mmproj-model.gguf", "GGUF");
  EXPECT_EQ(fs::path(store_.add("a", (base_ / "f").string()).path).filename(), "model.gguf");
  write("s/m-00001-of-00002.gguf", "GGUF");
  write("s/m-00002-of-00002.gguf", "GGUF");
  EXPECT_EQ(fs::path(store_.add("b", (base_ / "s").string()).path).filename(),
            "m-00001-of-00002.gguf");
  write("f/other.gguf", "GGUF");
  std::string message;
  EXPECT_EQ(code_of([&] { store_.add("c", (base_ / "f").string()); }, &message),
            ErrorCode::kInvalidArgument);
  EXPECT_THAT(message, HasSubstr("holds 2 GGUF models; add one of them: model.gguf, other.gguf"));
}

TEST_F(StoreTest, DoesNotWaitAtAPipe) {
  const std::string pipe = (base_ / "x.gguf").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { store_.add("a", pipe); }), ErrorCode::kInvalidArgument);
}

TEST_F(StoreTest, LeftoversOfDeadProcessesGo) {
  write("root/tmp/1-2-3/lock", "");
  write("root/tmp/1-2-3/model/huge.gguf", "GGUF");
  write("root/tmp/.1-2-4/lock", "");       // about to be locked by its owner
  write("root/tmp/young-stranger/x", "");  // nobody's, and new
  const int lock = ::open(write("root/tmp/1-2-5/lock", "").c_str(), O_RDWR);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  store_.add("a", write("x.gguf", "GGUF"));
  EXPECT_FALSE(fs::exists(base_ / "root/tmp/1-2-3"));
  EXPECT_TRUE(fs::exists(base_ / "root/tmp/.1-2-4"));
  EXPECT_TRUE(fs::exists(base_ / "root/tmp/young-stranger"));
  EXPECT_TRUE(fs::exists(base_ / "root/tmp/1-2-5"));
  ::close(lock);
}

/// scripts/fetch-model writes this layout without the library.
TEST_F(StoreTest, ReadsTheLayoutThatScriptsWrite) {
  write(
      "root/models/Owner/Name/0123456789ab/model.json",
      R"({"name": "Owner/Name", "version": "0123456789ab", "format": "gguf", "file": "m.gguf", "bytes": 4,
            "sha256": "0123456789abcdef", "added_ns": 1})");
  write("root/models/Owner/Name/0123456789ab/m.gguf", "GGUF");
  const auto found = store_.find("owner/name");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->bytes, 4);
  EXPECT_EQ(found->format, "gguf");
  EXPECT_EQ(read(found->path), "GGUF");
}

TEST_F(StoreTest, ManyAtOnce) {
  const std::string file = write("x.gguf", std::string("GGUF") + std::string(100000, 'x'));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this, &file, t] {
      for (int i = 0; i < 5; ++i) {
        const std::string name = t % 2 == 0 ? "o/shared" : "o/own" + std::to_string(t);
        const StoredModel added = store_.add(name, file);
        // A reader sees a whole model or none.
        for (const StoredModel& model : store_.list()) {
          std::error_code ignored;
          const auto size = fs::file_size(model.path, ignored);
          if (!ignored) {
            EXPECT_EQ(size, 100004U);
          }
        }
        if (t % 2 == 1) {
          EXPECT_TRUE(store_.remove(name));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(store_.list().size(), 1U);
  EXPECT_EQ(store_.list()[0].name, "o/shared");
}

TEST(ModelStoreRoot, FollowsTheEnvironment) {
  const auto set = [](const char* name, const char* value) {
    if (value == nullptr) {
      ::unsetenv(name);
    } else {
      ::setenv(name, value, 1);
    }
  };
  set("OPENLLM_HOME", "/a");
  set("XDG_CACHE_HOME", "/b");
  set("HOME", "/c");
  EXPECT_EQ(ModelStore().root(), "/a");
  set("OPENLLM_HOME", "");
  EXPECT_EQ(ModelStore().root(), "/b/openllm");
  set("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(ModelStore().root(), "/c/.cache/openllm");
  set("HOME", nullptr);
  EXPECT_THROW(ModelStore(), Error);
}

TEST(Sha256, KnownValues) {
  store::Sha256 empty;
  EXPECT_EQ(empty.hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  store::Sha256 abc;
  abc.update("a");
  abc.update("bc");
  EXPECT_EQ(abc.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(StoreTest, N8LetterCaseCountsWhereItTellsModelsApart) {
  store_.add("Owner/x", hf_folder(), "1");
  EXPECT_EQ(store_.find("OWNER/X")->name, "Owner/x");
  fs::create_directories(base_ / "root/models/owner");
  fs::copy(base_ / "root/models/Owner/x", base_ / "root/models/owner/X",
           fs::copy_options::recursive);
  fs::rename(base_ / "root/models/owner/X/1", base_ / "root/models/owner/X/2");
  EXPECT_EQ(store_.find("Owner/x")->name, "Owner/x");
  EXPECT_EQ(store_.find("owner/X")->version, "2");
  EXPECT_EQ(store_.find("OWNER/X:1")->name, "Owner/x") << "the version tells";
  EXPECT_EQ(store_.find("native-owner--x:2")->name, "owner/X");
  std::string message;
  for (const char* name : {"OWNER/X", "native-owner--x"}) {
    EXPECT_EQ(code_of([&] { (void)store_.find(name); }, &message), ErrorCode::kInvalidArgument);
    EXPECT_THAT(message, HasSubstr("Owner/x or owner/X"));
  }
  EXPECT_EQ(code_of([&] { (void)store_.remove("OWNER/X"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of([&] { store_.add("OWNER/X", hf_folder()); }), ErrorCode::kInvalidArgument);
  store_.add("owner/X", hf_folder(), "3");
  EXPECT_EQ(store_.list().size(), 3U);
  EXPECT_TRUE(store_.remove("owner/X"));
  ASSERT_EQ(store_.list().size(), 1U);
  EXPECT_EQ(store_.list()[0].name, "Owner/x");
}

}  // namespace
}  // namespace openllm
