// whorl-eval: wires the verbs to the command line.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/eval/alarms.h"
#include "tests/bench/eval/allocation.h"
#include "tests/bench/eval/anomaly.h"
#include "tests/bench/eval/demand.h"
#include "tests/bench/eval/engine_scorer.h"
#include "tests/bench/eval/replay.h"
#include "tests/bench/eval/syscalls.h"

namespace {

using namespace whorl::eval;

constexpr const char* kAbout =
    "Runs exactly the engine that ships, strictly causally, on recorded traces, and prints how well it does beside "
    "simple baselines of the same run.\n\n"
    "  whorl-eval anomaly --data ../shared/data/anomaly            every labelled set, as a table\n"
    "  whorl-eval anomaly --data ../shared/data/anomaly --json     one JSON object a line; \"series\":\"*\" is a whole "
    "set\n\n"
    "Tables are .csv or .csv.zst. What is wrong with a trace here and there is masked and counted in the result; what "
    "is not a trace is refused with its name and line. docs/reference/whorl-eval.md says what each figure means.";

void AddVmFolder(CLI::App& verb, std::filesystem::path& data) {
  verb.add_option("--data", data, "Folder with azure*.csv and bitbrains*.csv, laid out as ../shared/data/vm_demand")
      ->required();
}

// A verb registers itself on the app and leaves what came of it in `status`.
void AddAnomalyVerb(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<AnomalyOptions>();
  auto set = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "anomaly",
      "Labelled servers and metrics: AUC-PR, AUC-ROC, VUS-PR, NAB's official score, episodes, delays, attribution");
  verb->add_option("--data", options->data, "Folder with smd/, asd/ and nab/, laid out as ../shared/data/anomaly")
      ->required();
  verb->add_option("--set", *set, "Only this set; without it all that are there")
      ->check(CLI::IsMember({"smd", "asd", "nab"}));
  verb->add_option("--reference", options->reference,
                   "nab_published_scores.csv of other detectors; else DATA/../reference's, where it exists");
  verb->add_flag("--json", options->json, "JSON lines: one per series, then one per set");
  verb->callback([options, set, &status] {
    options->sets = set->empty() ? std::vector<std::string>{"smd", "asd", "nab"} : std::vector<std::string>{*set};
    const auto scorer = MakeEngineScorer({});
    status = RunAnomaly(*options, *scorer, std::cout, std::cerr);
  });
}

void AddReplayVerb(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<ReplayOptions>();
  CLI::App* verb = app.add_subcommand("replay",
                                      "A node's recorded hours (whorl-controller --record) lived through again: is "
                                      "every score and plan the same, byte for byte?");
  verb->add_option("--recording", options->recording, "NODE-TIME.whorlrec")->required()->check(CLI::ExistingFile);
  verb->add_flag("--json", options->json, "JSON lines: one per VM, then one for the node");
  verb->callback([options, &status] { status = RunReplay(*options, std::cout, std::cerr); });
}

void AddAlarmsVerb(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<AlarmsOptions>();
  CLI::App* verb = app.add_subcommand("alarms",
                                      "Unlabelled VMs: how often p falls below nominal rates, episodes against the "
                                      "budget, and which injected changes the same setting finds");
  AddVmFolder(*verb, options->data);
  verb->add_flag("--json", options->json,
                 "JSON lines: one per VM, then one per set, without and with adaptive control");
  verb->callback([options, &status] {
    const ScorerFor scorer_for = [](bool adaptive_control) -> std::unique_ptr<SeriesScorer> {
      if (!CanSetAdaptiveControl(adaptive_control)) return nullptr;
      EngineScorerOptions with;
      with.adaptive_control = adaptive_control;
      return MakeEngineScorer(with);
    };
    status = RunAlarms(*options, scorer_for, EngineScorerOptions{}.false_episodes_per_week, std::cout, std::cerr);
  });
}

void AddSyscallsVerb(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<SyscallsOptions>();
  CLI::App* verb = app.add_subcommand("syscalls",
                                      "System-call traces: how well attacks are told from normal traces, beside STIDE "
                                      "and a second-order Markov model");
  verb->add_option("--train", options->train,
                   "Traces to learn from: rows trace,set,family,attack,len,calls or events as ../shared/data/syscalls")
      ->required();
  verb->add_option("--test", options->test, "Traces to judge; may be the same file, rows are chosen by set")
      ->required();
  verb->add_flag("--json", options->json, "JSON lines: one per family of attack, then one for all");
  verb->callback([options, &status] { status = RunSyscalls(*options, std::cout, std::cerr); });
}

void AddAllocationVerb(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<AllocationOptions>();
  CLI::App* verb = app.add_subcommand("allocation",
                                      "Nodes of 16 recorded VMs under hard partitions: unmet demand of the shipping "
                                      "partition and of nine others, victims of a runaway, and whether lying pays");
  AddVmFolder(*verb, options->data);
  verb->add_flag("--json", options->json, "JSON lines: one per set and capacity");
  verb->callback([options, &status] { status = RunAllocation(*options, std::cout, std::cerr); });
}

void AddDemandVerbs(CLI::App& app, whorl::Status& status) {
  auto options = std::make_shared<DemandOptions>();
  CLI::App* verb =
      app.add_subcommand("demand",
                         "Forecasts of VMs' CPU: unused core-hours saved against VPA's p95 + 15 % at equal "
                         "deficit, coverage of P95, what the GRU adds");
  AddVmFolder(*verb, options->data);
  verb->add_option("--set", options->set, "Only this set; without it both")
      ->check(CLI::IsMember({"azure", "bitbrains"}));
  verb->add_flag("--held-out", options->held_out, "Only the third of the VMs that train-demand leaves out");
  verb->add_flag("--json", options->json, "JSON lines: one per VM, then \"vm\":\"*\" per set");
  verb->callback([options, &status] { status = RunDemand(*options, std::cout, std::cerr); });

  auto train = std::make_shared<TrainDemandOptions>();
  CLI::App* training =
      app.add_subcommand("train-demand", "Trains the GRU of the demand model on two thirds of the VMs");
  AddVmFolder(*training, train->data);
  training->add_option("--out", train->out, "Where the weights go, as core/demand/gru_weights.inc")->required();
  training->add_option("--seed", train->seed, "The same seed gives the same bytes")->capture_default_str();
  training->add_option("--steps", train->steps, "Minibatches of 32 windows")->capture_default_str();
  training->callback([train, &status] { status = RunTrainDemand(*train, std::cerr); });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{kAbout, "whorl-eval"};
  app.require_subcommand(1);
  whorl::Status status;
  AddAnomalyVerb(app, status);
  AddAlarmsVerb(app, status);
  AddSyscallsVerb(app, status);
  AddReplayVerb(app, status);
  AddAllocationVerb(app, status);
  AddDemandVerbs(app, status);
  CLI11_PARSE(app, argc, argv);
  if (status) return 0;
  std::cerr << "whorl-eval: " << status.error().message << '\n';
  return 1;
}
