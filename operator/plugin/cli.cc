#include "operator/plugin/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <istream>
#include <optional>
#include <ostream>
#include <utility>

#include "crd/annotations.h"
#include "crd/baseline_request.h"
#include "crd/json_fields.h"
#include "crd/resize.h"
#include "operator/plugin/answer.h"
#include "operator/plugin/apply.h"
#include "operator/plugin/completion.h"
#include "operator/plugin/explain.h"
#include "operator/plugin/ledger.h"
#include "operator/plugin/replay/replay.h"
#include "operator/plugin/table.h"
#include "operator/plugin/top.h"
#include "operator/plugin/view.h"

namespace whorl::plugin {
namespace {

constexpr const char* kAbout =
    "Shows how the VMs of a cluster behave, why Whorl says so, and tells it what is usual.\n"
    "It reads BehaviorFingerprints and NodePartitions with your own rights; reset, accept, apply, approve and reject "
    "write one annotation on the VM.\n\n"
    "  kubectl whorl top -A                 every watched VM, the least like itself first\n"
    "  kubectl whorl explain vm/db-1        why it is judged and treated as it is\n"
    "  kubectl whorl ledger                 who lends what to whom on each node, and why\n"
    "  kubectl whorl accept vm/db-1         what it does now is usual\n"
    "  kubectl whorl reset vm/db-1          forget what is usual and learn it anew\n"
    "  kubectl whorl apply vm/db-1          give it the recommended size, by a live migration\n"
    "  kubectl whorl approve vm/db-1        do what is proposed about its deviation; reject: do not\n"
    "  kubectl whorl replay week.csv        what would have happened, before you turn it on\n\n"
    "Exit code: 0 done, 1 failed, 2 wrong usage, 3 not found.";

struct Flags {
  Access access;
  std::string ns;
  bool all_namespaces = false;
  bool watch = false;
  int interval = 2;
  std::string sort_by = "score";
  std::string output;
  std::string target;
  std::string node;
  std::string vm;
  bool closed = false;
  bool history = false;
  std::string whorl_namespace = "whorl-system";
  std::string shell;
  bool yes = false;
  bool dry_run = false;
  std::int32_t sockets = 0;
  std::string memory;
  std::string proposal;
  ReplayFlags replay;
};

// The grammar alone, so that the reference page can be made from it.
struct Grammar {
  explicit Grammar(Flags& flags) {
    app.get_formatter()->column_width(34);
    app.require_subcommand(1);
    app.fallthrough();
    app.add_option("-n,--namespace", flags.ns, "Namespace to look into; else the context's");
    app.add_option("--context", flags.access.context, "Context of the kubeconfig to use");
    app.add_option("--kubeconfig", flags.access.kubeconfig, "Kubeconfig file; else KUBECONFIG, else ~/.kube/config");

    top = Add("top", "All watched VMs in a table: state, score, nature, CPU, loans and the feature that deviates most");
    top->add_flag("-A,--all-namespaces", flags.all_namespaces, "VMs of every namespace");
    AddWatch(*top, flags);
    top->add_option("--sort-by", flags.sort_by, "score, name, cpu, predicted or state; numbers largest first")
        ->capture_default_str()
        ->check(CLI::IsMember({"score", "name", "cpu", "predicted", "state"}));
    top->add_option("-o,--output", flags.output, "wide: more columns; json: for programs")
        ->check(CLI::IsMember({"wide", "json"}));

    explain = Add("explain", "Why one VM is judged and treated as it is, and what to do next");
    explain->add_option("vm", flags.target, "vm/NAME")->required();

    ledger = Add("ledger", "Who lends what to whom on each node, why, what each has earned by it, and the sums");
    ledger->add_option("node", flags.node, "Name of a node; else all");
    ledger->add_option("--vm", flags.vm, "NAMESPACE/NAME, or NAME in the namespace: only what concerns this VM");
    ledger->add_flag("--closed", flags.closed, "Also the loans that ended last, and how");
    auto* history = ledger->add_flag(
        "--history", flags.history,
        "Instead: ended loans that the controllers remember, through the API server's proxy of their pods");
    ledger->add_option("--whorl-namespace", flags.whorl_namespace, "Where the controllers run, for --history")
        ->capture_default_str();
    AddWatch(*ledger, flags);
    ledger->get_option("--watch")->excludes(history);
    ledger->add_option("-o,--output", flags.output, "json: for programs")->check(CLI::IsMember({"json"}));

    reset = Add("reset", "Forget what is usual for one VM; it has no score until it is learnt anew");
    accept = Add("accept", "What one VM does now is usual: its alarm closes and its baseline follows");
    for (auto* verb : {reset, accept}) {
      verb->add_option("vm", flags.target, "vm/NAME")->required();
      verb->add_flag("-y,--yes", flags.yes, "Do not ask");
      verb->add_flag("--dry-run", flags.dry_run, "Let the API server judge it, change nothing");
    }

    apply = Add("apply", "Give one VM the size that is recommended for it, by one live migration");
    apply->add_option("vm", flags.target, "vm/NAME")->required();
    apply->add_option("--sockets", flags.sockets, "So many sockets instead of the recommended size")
        ->check(CLI::Range(1, 512));
    apply->add_option("--memory", flags.memory, "So much guest memory instead, such as 4Gi");
    apply->add_flag("-y,--yes", flags.yes, "Do not ask");
    apply->add_flag("--dry-run", flags.dry_run,
                    "Say what would be done and how many migrations it takes, change nothing");

    approve = Add("approve",
                  "Do what is proposed about one VM that goes on deviating: the next rung of its remediation ladder.\n"
                  "Shows what would be done and why, then asks. It ends by itself after the time in the policy.");
    reject = Add("reject",
                 "Do not do what is proposed about one VM; nothing more is proposed until its next alarm.\n"
                 "Without an answer nothing is done either, but it is proposed again.");
    for (auto* verb : {approve, reject}) {
      verb->add_option("vm", flags.target, "vm/NAME")->required();
      verb->add_option(
          "--id", flags.proposal,
          "Only if this proposal is still the open one, such as cap-6745c1f0; for scripts, so that none is\n"
          "answered unseen");
      verb->add_flag("-y,--yes", flags.yes, "Do not ask");
      verb->add_flag("--dry-run", flags.dry_run, "Show what is proposed, let the API server judge it, change nothing");
    }

    AddReplay(flags.replay, flags.output);

    for (auto* verb : {top, explain, ledger, reset, accept, apply, approve, reject}) {
      verb->footer("Also -n, --context and --kubeconfig, as for kubectl.");
    }

    completion = Add("completion", "Print the completion script of a shell");
    completion->add_option("shell", flags.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    version = Add("version", "Print the version of this program");
    reference = Add("reference", "Print docs/reference/plugin.md");
    reference->group("");
  }
  void AddReplay(ReplayFlags& flags, std::string& output) {
    replay =
        Add("replay",
            "What would have happened on your nodes: recorded hours lived through again under Whorl\n"
            "and under what people do without it. Reads files or a Prometheus, needs no cluster, changes nothing.");
    replay
        ->add_option(
            "source", flags.sources,
            "FILE.whorlrec of whorl-controller --record, or a table FILE.csv or FILE.csv.zst with the columns\n"
            "vm,ts,cores,cpu_pct and, if you have them, node,request_cores,limit_cores,node_cores;\n"
            "or the URL of a Prometheus that scrapes KubeVirt")
        ->required();
    replay
        ->add_option("--policy", flags.policies,
                     "A PartitionPolicy as YAML; twice compares two. Else the defaults, or a recording's own")
        ->expected(1)
        ->take_all();
    replay->add_option("--html", flags.html, "Also write a report with plots, one file that opens without a network");
    replay->add_option("-o,--output", output, "table, or json for programs")->check(CLI::IsMember({"table", "json"}));
    replay
        ->add_option("--from", flags.from,
                     "Of a Prometheus: 7d, 36h or 90m ago, a day, or a time as 2026-01-31T12:00:00Z")
        ->capture_default_str();
    replay->add_option("--to", flags.to, "Likewise, or now")->capture_default_str();
    replay->add_option("--step", flags.step, "Of a Prometheus: seconds of one period, at least two scrapes")
        ->capture_default_str()
        ->check(CLI::Range(10, 86'400));
    replay->add_option("--prometheus-token-file", flags.token_file, "Bearer token for it; https only");
    replay->add_option("--prometheus-ca-file", flags.ca_file,
                       "Authority of its certificate, PEM; else the machine's own");
    replay
        ->add_option("--capacity", flags.capacity,
                     "CPU of each node for these VMs, in cores, instead of what is recorded")
        ->check(CLI::Range(0.01, 1e6));
    replay->add_option("--vms-per-node", flags.vms_per_node, "Of VMs whose node nobody recorded, so many share one")
        ->capture_default_str()
        ->check(CLI::Range(1, 10'000));
    replay->footer(
        "Examples:\n"
        "  kubectl whorl replay week.csv --html week.html          a table of your own, report to read\n"
        "  kubectl whorl replay node-7-*.whorlrec                  are all decisions still the same?\n"
        "  kubectl whorl replay https://prometheus.example.org --from 14d --html weeks.html\n"
        "  kubectl whorl replay week.csv --policy a.yaml --policy b.yaml    which policy is better?\n\n"
        "A table for week.csv, one row per VM and 300 s:\n"
        "  vm,ts,node,cores,cpu_pct,request_cores\n"
        "  db-1,1767225600,node-7,4,37.5,2");
  }
  CLI::App* Add(const char* name, const char* about) {
    auto* verb = app.add_subcommand(name, about);
    verb->fallthrough();
    verb->get_formatter()->column_width(34);
    return verb;
  }

  static void AddWatch(CLI::App& verb, Flags& flags) {
    verb.add_flag("-w,--watch", flags.watch, "Show it again and again until interrupted");
    verb.add_option("--interval", flags.interval, "Seconds between two looks with --watch")
        ->capture_default_str()
        ->check(CLI::Range(1, 3600));
  }

  CLI::App app{kAbout, "kubectl whorl"};
  CLI::App *top, *explain, *ledger, *reset, *accept, *apply, *approve, *reject, *replay, *completion, *version,
      *reference;
};

int ExitOf(const Error& error) { return error.code == Code::kNotFound ? kMissing : kFailure; }

class Command {
 public:
  Command(const Flags& flags, Shell& shell) : flags_(flags), shell_(shell) {}

  int Top() {
    auto cluster = Open();
    if (!cluster) return Refuse(cluster.error());
    const std::string ns = flags_.all_namespaces ? std::string() : Namespace(**cluster);
    return Watch([&] { return (*cluster)->Fingerprints(ns); }, [&](const auto& objects) { Show(objects, ns); });
  }

  int Ledger() {
    auto cluster = Open();
    if (!cluster) return Refuse(cluster.error());
    LedgerOptions options;
    options.closed = flags_.closed;
    options.vm = flags_.vm;
    if (!options.vm.empty() && options.vm.find('/') == std::string::npos)
      options.vm = Namespace(**cluster) + "/" + options.vm;
    if (flags_.history) return History(**cluster, options);
    return Watch([&] { return (*cluster)->NodePartitions(flags_.node); },
                 [&](const auto& objects) { ShowLedger(objects, options); });
  }

  // A VM that is asked about, and what is known of it.
  struct Asked {
    std::unique_ptr<Cluster> cluster;
    std::string ns, name;
    nlohmann::json fingerprint;
  };
  // The exit code where there is none; why has been said.
  tl::expected<Asked, int> Ask() {
    auto cluster = Open();
    if (!cluster) return tl::unexpected(Refuse(cluster.error()));
    const auto name = Target();
    if (!name) return tl::unexpected(Misused(name.error()));
    const auto ns = Namespace(**cluster);
    auto fingerprint = (*cluster)->Fingerprint(ns, *name);
    if (!fingerprint) return tl::unexpected(Refuse(WhyNot(**cluster, ns, *name, fingerprint.error())));
    return Asked{std::move(*cluster), ns, *name, std::move(*fingerprint)};
  }

  int Explain() {
    const auto asked = Ask();
    if (!asked) return asked.error();
    shell_.out << RenderExplain(ToView(asked->fingerprint), {.colours = Colours(), .now = shell_.clock.Now()});
    return kOk;
  }

  // What a request would write on its VM, and what is said before and after.
  struct Wish {
    std::string consequence;
    std::string_view key;
    std::string text;
    std::string requested;  // "reset requested"
    std::string next;       // what happens then
  };
  // `wish` makes a Wish of the VM, or says what speaks against it.
  template <typename MakeWish>
  int Write(const MakeWish& wish) {
    const auto asked = Ask();
    if (!asked) return asked.error();
    auto uid = UidOf(*asked->cluster, asked->ns, asked->name);
    if (!uid) return Refuse(uid.error());
    const Result<Wish> made = wish(*asked);
    if (!made) return made.error().code == Code::kInvalid ? Misused(made.error()) : Refuse(made.error());
    shell_.out << made->consequence;
    if (const int code = Agree(); code != kOk) return code;
    auto done =
        asked->cluster->Annotate(asked->ns, asked->name, *uid, std::string(made->key), made->text, flags_.dry_run);
    if (!done) return Refuse(done.error());
    shell_.out << fmt::format("virtualmachine/{} {}{}\n", asked->name, made->requested,
                              flags_.dry_run ? " (server dry run)" : "");
    if (!flags_.dry_run) {
      shell_.out << fmt::format("{}: kubectl -n {} describe {} {}\n", made->next, asked->ns,
                                made->key == crd::kResizeKey ? "bfp" : "vm", asked->name);
    }
    return kOk;
  }

  int Request(crd::BaselineVerb verb) {
    return Write([&](const Asked& asked) -> Result<Wish> {
      return Wish{Consequence(verb, ToView(asked.fingerprint)), crd::kBaselineKey,
                  crd::BaselineRequestText(verb, shell_.clock.Now()),
                  verb == crd::BaselineVerb::kReset ? "reset requested" : "acceptance requested",
                  "The controller does it within seconds and says so in an Event"};
    });
  }

  int Apply() {
    return Write([&](const Asked& asked) -> Result<Wish> {
      SizeWish size;
      if (flags_.sockets > 0) size.sockets = flags_.sockets;
      if (!flags_.memory.empty()) size.memory = flags_.memory;
      const auto plan = PlanResize(asked.ns + "/" + asked.name, crd::ResizeStatusOf(asked.fingerprint), size);
      if (!plan) return Fail(plan.error());
      return Wish{plan->consequence, crd::kResizeKey, crd::ResizeRequestText(plan->request, shell_.clock.Now()),
                  "resize requested", "The controller tries it dry, then does it"};
    });
  }

  int Answer(Verdict verdict) {
    return Write([&](const Asked& asked) -> Result<Wish> {
      const auto plan = PlanAnswer(asked.ns + "/" + asked.name, crd::RemedyOf(asked.fingerprint), verdict,
                                   flags_.proposal, shell_.clock.Now());
      if (!plan) return Fail(plan.error());
      const bool approve = verdict == Verdict::kApprove;
      return Wish{plan->consequence, approve ? crd::kApproveKey : crd::kRejectKey, plan->id,
                  fmt::format("{} of {} requested", approve ? "approval" : "rejection", plan->id),
                  "The controller hears it within seconds; what comes of it is an Event"};
    });
  }

  int Replay() {
    ReplayFlags replay = flags_.replay;
    replay.json = flags_.output == "json";
    replay.colours = Colours();
    return plugin::Replay(replay, shell_);
  }

  int Refuse(const Error& error) {
    shell_.err << "error: " << error.message << "\n";
    return ExitOf(error);
  }
  int Misused(const Error& error) {
    shell_.err << "error: " << error.message << "\n";
    return kUsage;
  }

 private:
  Result<std::unique_ptr<Cluster>> Open() { return shell_.connect(flags_.access); }
  std::string Namespace(const Cluster& cluster) const {
    return flags_.ns.empty() ? cluster.default_namespace() : flags_.ns;
  }
  static Result<std::string> UidOf(Cluster& cluster, const std::string& ns, const std::string& name) {
    auto vm = cluster.VirtualMachine(ns, name);
    if (!vm) return Fail(vm.error());
    const auto* metadata = crd::FindMember(*vm, "metadata");
    const auto* uid = metadata == nullptr ? nullptr : crd::FindString(*metadata, "uid");
    if (uid == nullptr) return Fail(Code::kInvalid, "VM " + ns + "/" + name + " has no uid");
    return *uid;
  }
  // kOk: the user agrees, has agreed beforehand, or only wants to see.
  int Agree() {
    if (flags_.yes || flags_.dry_run) return kOk;
    if (!shell_.in_is_terminal) {
      return Misused({Code::kInvalid, "nobody can be asked here; pass --yes to do it, --dry-run to try it"});
    }
    shell_.out << "Go on? [y/N] " << std::flush;
    std::string answer;
    std::getline(shell_.in, answer);
    if (answer == "y" || answer == "Y" || answer == "yes") return kOk;
    shell_.out << "Nothing was done.\n";
    return kFailure;
  }
  // NO_COLOR: https://no-color.org; any value that is not empty.
  bool Colours() const {
    return shell_.out_is_terminal && shell_.environment("NO_COLOR").value_or("").empty() &&
           shell_.environment("TERM").value_or("") != "dumb";
  }

  // vm/NAME, or NAME alone.
  Result<std::string> Target() const {
    const auto slash = flags_.target.find('/');
    const auto kind = slash == std::string::npos ? std::string("vm") : flags_.target.substr(0, slash);
    auto name = slash == std::string::npos ? flags_.target : flags_.target.substr(slash + 1);
    for (const auto* known : {"vm", "vms", "virtualmachine", "virtualmachines", "bfp", "behaviorfingerprint"}) {
      if (kind == known && !name.empty() && name.find('/') == std::string::npos) return name;
    }
    return Fail(Code::kInvalid,
                "\"" + flags_.target + "\" names no VM; write vm/NAME, as in: kubectl whorl explain vm/db-1");
  }

  template <typename Look, typename Draw>
  int Watch(const Look& look, const Draw& draw) {
    while (true) {
      auto seen = look();
      if (!seen) {
        const int code = Refuse(seen.error());
        // One failed look ends nothing that is watched, but the first one does.
        if (!flags_.watch || !shown_) return code;
      } else {
        if (flags_.watch && shown_) shell_.out << (shell_.out_is_terminal ? "" : "\n");
        if (flags_.watch && shell_.out_is_terminal) shell_.out << "\033[H\033[2J";
        shown_ = true;
        draw(*seen);
      }
      if (!flags_.watch || !shell_.wait(Seconds{flags_.interval})) return kOk;
    }
  }

  int History(Cluster& cluster, LedgerOptions options) {
    const auto histories = cluster.LedgerHistories(flags_.whorl_namespace);
    if (!histories) return Refuse(histories.error());
    options.colours = Colours();
    options.now = shell_.clock.Now();
    const auto merged = MergeHistories(*histories, flags_.node, options.vm);
    shell_.out << (flags_.output == "json" ? merged.dump(2) + "\n" : RenderHistory(merged, options));
    return kOk;
  }

  void ShowLedger(const std::vector<nlohmann::json>& objects, LedgerOptions options) {
    options.colours = Colours();
    options.now = shell_.clock.Now();
    std::vector<BooksView> nodes;
    for (const auto& object : objects) {
      auto books = ToBooks(object);
      const auto here = [&](const AccountRow& account) { return account.vm == options.vm; };
      const auto concerned = [&](const LoanRow& loan) {
        return loan.lender == options.vm || loan.borrower == options.vm;
      };
      if (!options.vm.empty() && std::none_of(books.accounts.begin(), books.accounts.end(), here) &&
          std::none_of(books.closed.begin(), books.closed.end(), concerned)) {
        continue;
      }
      nodes.push_back(std::move(books));
    }
    std::sort(nodes.begin(), nodes.end(), [](const BooksView& a, const BooksView& b) { return a.node < b.node; });
    if (flags_.output == "json") {
      shell_.out << RenderLedgerJson(nodes, options) << std::flush;
      return;
    }
    if (nodes.empty()) {
      shell_.err << (options.vm.empty()
                         ? std::string("No node runs an agent of Whorl yet; kubectl -n whorl-system get "
                                       "pods -o wide")
                         : "No node has VM " + options.vm + " in its books; is it watched? kubectl whorl top -A")
                 << "\n";
      return;
    }
    shell_.out << RenderLedger(nodes, options) << std::flush;
  }

  void Show(const std::vector<nlohmann::json>& objects, const std::string& ns) {
    std::vector<VmView> vms;
    vms.reserve(objects.size());
    for (const auto& object : objects) vms.push_back(ToView(object));
    Sort(vms, ParseSortBy(flags_.sort_by).value_or(SortBy::kScore));
    if (flags_.output == "json") {
      shell_.out << RenderTopJson(vms) << std::flush;
      return;
    }
    if (vms.empty()) {
      shell_.err << (ns.empty() ? std::string("No VM is watched in this cluster")
                                : "No VM is watched in namespace " + ns)
                 << "; opt one in: kubectl annotate vm NAME whorl.dev/mode=observe\n";
      return;
    }
    shell_.out << RenderTop(vms, {.all_namespaces = flags_.all_namespaces,
                                  .wide = flags_.output == "wide",
                                  .colours = Colours(),
                                  .sort_by = SortBy::kScore})
               << std::flush;
  }

  // There is no fingerprint: is there no VM, is it not opted in, or is it too early?
  static Error WhyNot(Cluster& cluster, const std::string& ns, const std::string& name, const Error& error) {
    if (error.code != Code::kNotFound) return error;
    auto vm = cluster.VirtualMachine(ns, name);
    if (!vm) {
      if (vm.error().code != Code::kNotFound) return error;
      return {Code::kNotFound,
              fmt::format("there is no VM {} in namespace {}; kubectl get vm -A lists them, -n NAMESPACE "
                          "chooses another namespace",
                          name, ns)};
    }
    std::string mode;
    if (const auto* metadata = crd::FindMember(*vm, "metadata")) {
      if (const auto* annotations = crd::FindMember(*metadata, "annotations")) {
        if (const auto* text = crd::FindString(*annotations, crd::kModeKey)) mode = *text;
      }
    }
    if (mode.empty() || mode == "off") {
      return {Code::kNotFound,
              fmt::format("VM {}/{} is not watched: {} is {}; opt it in: kubectl -n {} annotate vm {} "
                          "{}=observe --overwrite",
                          ns, name, crd::kModeKey, mode.empty() ? "not set" : mode, ns, name, crd::kModeKey)};
    }
    return {Code::kNotFound, fmt::format("VM {}/{} has no BehaviorFingerprint yet although {} is {}; is the controller "
                                         "running? kubectl -n whorl-system get pods",
                                         ns, name, crd::kModeKey, mode)};
  }

  static std::string Consequence(crd::BaselineVerb verb, const VmView& vm) {
    if (verb == crd::BaselineVerb::kReset) {
      const auto seconds = vm.baseline.needed_seconds.value_or(0);
      return fmt::format("What is usual for {}/{} will be forgotten; it has no score until it is learnt anew{}.\n",
                         vm.ns, vm.name,
                         seconds > 0 ? fmt::format(", after at least {} min", (seconds + 59) / 60) : "");
    }
    const bool open = vm.episode && vm.episode->closed.empty();
    std::string what = open && !vm.features.empty()
                           ? fmt::format(": {} {} (usually {})", vm.features.front().name, vm.features.front().current,
                                         vm.features.front().usual)
                           : std::string();
    return fmt::format("What {}/{} does now will count as usual{}; {}.\n", vm.ns, vm.name, what,
                       open ? "its alarm closes" : "no alarm is open");
  }

  const Flags& flags_;
  Shell& shell_;
  bool shown_ = false;
};

// Names in the cluster that may stand where nothing fixed does.
std::vector<std::string> Names(Cluster& cluster, const HalfTyped& typed) {
  std::vector<std::string> names;
  if (typed.verb == "ledger") {
    const auto listed = cluster.NodePartitions({});
    if (!listed) return names;
    for (const auto& object : *listed) {
      const auto books = ToBooks(object);
      if (typed.previous != "--vm") names.push_back(books.node);
      for (const auto& account : books.accounts) {
        if (typed.previous == "--vm") names.push_back(account.vm);
      }
    }
    return names;
  }
  const auto listed = cluster.Fingerprints(typed.ns.empty() ? cluster.default_namespace() : typed.ns);
  if (!listed) return names;
  for (const auto& object : *listed) names.push_back("vm/" + ToView(object).name);
  return names;
}

int Complete(std::vector<std::string> words, Shell& shell) {
  const auto typed = ReadHalfTyped(words);
  auto found = FixedCompletions(typed);
  if (!found) {
    found.emplace();
    if (auto cluster = shell.connect({typed.kubeconfig, typed.context})) *found = Names(**cluster, typed);
    std::erase_if(*found, [&](const std::string& name) { return !name.starts_with(typed.word); });
  }
  for (const auto& word : *found) shell.out << word << "\n";
  shell.out << (WantsFile(typed) ? ":0\n" : ":4\n");  // kubectl's "complete file names" and "do not"
  return kOk;
}

}  // namespace

int Run(std::vector<std::string> arguments, Shell& shell) {
  if (!arguments.empty() && arguments.front() == "__complete") {
    arguments.erase(arguments.begin());
    return Complete(std::move(arguments), shell);
  }
  Flags flags;
  Grammar grammar(flags);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants a vector
  try {
    grammar.app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return grammar.app.exit(error, shell.out, shell.err) == 0 ? kOk : kUsage;
  }
  Command command(flags, shell);
  if (grammar.top->parsed()) return command.Top();
  if (grammar.explain->parsed()) return command.Explain();
  if (grammar.ledger->parsed()) return command.Ledger();
  if (grammar.reset->parsed()) return command.Request(crd::BaselineVerb::kReset);
  if (grammar.accept->parsed()) return command.Request(crd::BaselineVerb::kAccept);
  if (grammar.apply->parsed()) return command.Apply();
  if (grammar.approve->parsed()) return command.Answer(Verdict::kApprove);
  if (grammar.reject->parsed()) return command.Answer(Verdict::kReject);
  if (grammar.replay->parsed()) return command.Replay();
  if (grammar.completion->parsed()) {
    shell.out << CompletionScript(flags.shell).value_or("");
  } else if (grammar.reference->parsed()) {
    shell.out << ReferencePage();
  } else {
    shell.out << "kubectl-whorl " << kVersion << "\n";
  }
  return kOk;
}

std::string ReferencePage() {
  Flags flags;
  Grammar grammar(flags);
  std::string out =
      "<!-- Made by `kubectl-whorl reference`; change operator/plugin/cli.cc, then run it. -->\n"
      "# kubectl whorl\n\n"
      "One program, `kubectl-whorl`, on your `PATH`; kubectl finds it by its name. It uses your kubeconfig and your "
      "rights: `top` and\n"
      "`explain` need `get` and `list` on `behaviorfingerprints.whorl.dev`, `ledger` needs `list` on "
      "`nodepartitions.whorl.dev`\n(cluster-wide, because it names VMs of every namespace), `reset`, `accept`, "
      "`apply`, `approve` and `reject` also `get` and `patch` on\n"
      "`virtualmachines.kubevirt.io`. In the test world it is there already: `./dev kubectl whorl top`.\n\n"
      "    cmake --build build/release --target kubectl-whorl\n"
      "    install build/release/operator/plugin/kubectl-whorl operator/plugin/kubectl_complete-whorl "
      "/usr/local/bin/\n\n"
      "`kubectl_complete-whorl` lets kubectl complete names of VMs after `kubectl whorl explain`. Colours appear on a "
      "terminal only and\n"
      "not when `NO_COLOR` is set. Kubeconfigs that need an exec plugin, a proxy or `insecure-skip-tls-verify` are "
      "refused.\n\n"
      "| exit code | meaning |\n|---|---|\n"
      "| 0 | done |\n"
      "| 1 | failed: the API server, your rights, a source or policy that is wrong, a replay that came out otherwise, "
      "or you said no |\n"
      "| 2 | the command line is wrong |\n"
      "| 3 | no such VM, file or series, not watched, or Whorl is not installed |\n\n"
      "`apply` asks for another size, by the annotation `whorl.dev/resize` "
      "([how](../how-to/resize-recommendations.md)).\n"
      "`approve` and `reject` answer what the remediation ladder proposes, by the annotations `whorl.dev/approve` and "
      "`whorl.dev/reject`\n([how](../how-to/remediation.md)).\n"
      "`reset` and `accept` only ask, by the annotation `whorl.dev/baseline` ([annotations](annotations.md)); the "
      "controller does it and\n"
      "says so in an Event ([events](events.md)).\n";
  const auto section = [&out](const std::string& name, const CLI::App& app) {
    out += "\n## " + name + "\n\n```text\n" + app.help() + "```\n";
  };
  section("kubectl whorl", grammar.app);
  for (const auto* verb : {grammar.top, grammar.explain, grammar.ledger, grammar.reset, grammar.accept, grammar.apply,
                           grammar.approve, grammar.reject, grammar.replay, grammar.completion, grammar.version}) {
    section("kubectl whorl " + verb->get_name(), *verb);
  }
  return out;
}

}  // namespace whorl::plugin
