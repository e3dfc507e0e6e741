// The commands about models on this machine: models, import, prune, verify, du.

#include "base/error.h"
#include "cli/common_options.h"
#include "cli/options.h"

namespace openllm::cli {
namespace {

void add_list_options(CLI::App* list, Arguments& a) {
  list->add_flag("--all", a.all,
                 "Downloads that were not finished, and other parts of models, too");
  converted(
      list, "--sort",
      [&a](const std::string& text) {
        if (text != "name" && text != "size" && text != "used" && text != "origin") {
          base::fail(ErrorCode::kInvalidArgument,
                     "unknown order (expected name, size, used or origin, got ", text, ")");
        }
        a.sort = text;
      },
      with_default("Order: by name, or the largest or last used first, or by origin", a.sort))
      ->type_name("name|size|used|origin");
  list->add_flag("--names", a.names, "Print the names alone");
  list->add_flag("--json", a.json, "Print JSON");
}

void add_remove(CLI::App* models, Arguments& a) {
  CLI::App* remove =
      add_command(models, "remove", "Delete a model from the store (also: openllm rm)",
                  "Examples:\n"
                  "  openllm rm me/tiny\n"
                  "  openllm rm --hub Qwen/Qwen3-0.6B");
  remove
      ->add_option("MODEL", a.model,
                   "NAME, or NAME:VERSION for one version; with --hub also a revision or a variant")
      ->required();
  remove->add_flag("--hub", a.hub,
                   "Delete it from the Hugging Face cache, which other programs use too");
  remove->add_flag("--json", a.json, "Print what was deleted as JSON");
}

void add_models(CLI::App& app, Arguments& a) {
  CLI::App* models = add_command(
      &app, "models", "List the models on this machine; add and remove models",
      "Examples:\n"
      "  openllm models\n"
      "  openllm models --sort size\n"
      "  openllm models add me/tiny ./tiny.gguf\n"
      "  openllm models remove me/tiny\n"
      "The store is $OPENLLM_HOME, else $XDG_CACHE_HOME/openllm, else ~/.cache/openllm.");
  add_list_options(models, a);
  models->require_subcommand(0, 1);
  add_list_options(
      add_command(models, "list", "List the models on this machine (as without a command)",
                  "Example:\n  openllm models list --json"),
      a);
  CLI::App* add = add_command(models, "add", "Copy a folder or a .gguf file into the store",
                              "Example:\n  openllm models add me/tiny ./tiny.gguf");
  add->add_option("NAME", a.model, "NAME or OWNER/NAME")->required();
  add->add_option("PATH", a.path, "Folder or .gguf file")->required();
  add->add_option("--as-version", a.version, "Version (default: from the content)");
  add->add_flag("--json", a.json, "Print JSON");
  add_remove(models, a);
}

void add_import(CLI::App& app, Arguments& a) {
  CLI::App* import = add_command(
      &app, "import", "Fetch a model of a hub; copy a path into the store (also: pull)",
      "Prints {\"state\": ADDED, EXISTS, OVERWRITE or NOT_FOUND, \"backend\": ..., \"tag\": ...}.\n"
      "Examples:\n"
      "  openllm import ./qwen3 --model-name Qwen/Qwen3-0.6B\n"
      "  openllm import ./tiny.gguf\n"
      "  openllm pull Qwen/Qwen3-0.6B      into the Hugging Face cache, unless it is there\n"
      "Ctrl-C ends a download; the same command goes on with it.");
  import->add_option("MODEL", a.model,
                     base::cat("Folder, .gguf file, or a model's name on the hub", kRequired));
  named(import, "-m,--model", a.model_option, "The model, in place of MODEL");
  named(import, "--model-name", a.import.name,
        "Name in the store (default: that of the Hub, or the last part of the path)");
  named(import, "--model-version,--revision", a.import.version,
        "Version (default: the commit of the Hub, or from the content)");
  import->add_flag("--overwrite", a.import.overwrite, "Replace a version that has other content");
  named(import, "--backend", a.load.backend, "Engine to ask whether it runs the model");
  import->add_flag("--refresh", a.load.refresh,
                   "Ask the hub what a branch is now, also where a commit of it is here");
  import->add_flag("--json", a.json, "Print lines of JSON while it is fetched, too");
}

void add_prune(CLI::App& app, Arguments& a) {
  CLI::App* prune = add_command(
      &app, "prune", "Delete what no model needs in the store and the Hugging Face cache",
      "Damaged models of the store, downloads that were cut, files that no model has, and packed\n"
      "copies of weights whose model is gone or was changed.\n"
      "Examples:\n"
      "  openllm prune            asks before each\n"
      "  openllm prune --dry-run  deletes nothing\n"
      "  openllm prune --packed -y  all packed copies, too; the next load makes them again\n"
      "  openllm prune -y --json");
  prune->add_flag("-y,--yes", a.yes, "Delete without asking");
  prune->add_flag("-n,--dry-run", a.dry_run, "Print what would be deleted, and delete nothing");
  prune->add_flag("--packed", a.packed, "All packed copies of weights, too");
  prune->add_flag("--json", a.json, "Print what was deleted, or would be, as JSON");
}

void add_verify(CLI::App& app, Arguments& a) {
  CLI::App* verify =
      add_command(&app, "verify", "Read models again and compare them with what was added",
                  "Ends with status 5 when a file is not what it was. Asks no hub.\n"
                  "Examples:\n"
                  "  openllm verify                all models of the store and the cache\n"
                  "  openllm verify me/tiny\n"
                  "  openllm verify ./folder       one with openllm.json or model.json");
  verify->add_option("MODEL", a.model, "Name of a model, or a folder with a list of files");
  verify->add_flag("--json", a.json, "Print JSON");
}

void add_du(CLI::App& app, Arguments& a) {
  CLI::App* du = add_command(&app, "du", "Show what models take up on this machine",
                             "Files that several models have are counted once.\n"
                             "Examples:\n"
                             "  openllm du\n"
                             "  openllm du Qwen/Qwen3-0.6B --json");
  du->add_option("MODEL", a.model, "Name of a model, or NAME:VERSION (default: all)");
  du->add_flag("--json", a.json, "Print JSON, sizes in bytes");
}

}  // namespace

void add_store_commands(CLI::App& app, Arguments& a) {
  add_models(app, a);
  add_import(app, a);
  add_prune(app, a);
  add_verify(app, a);
  add_du(app, a);
}

}  // namespace openllm::cli
