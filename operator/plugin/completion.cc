#include "operator/plugin/completion.h"

#include <algorithm>

namespace whorl::plugin {
namespace {

constexpr const char* kBash = R"sh(# bash completion for kubectl-whorl: source <(kubectl-whorl completion bash)
# `kubectl whorl` itself completes through kubectl_complete-whorl on PATH.
__kubectl_whorl() {
  local found
  found=$(kubectl-whorl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [[ $found == *:0 ]] && compopt -o default
  COMPREPLY=($(compgen -W "$(grep -v '^:' <<<"$found")" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F __kubectl_whorl kubectl-whorl
)sh";

constexpr const char* kZsh = R"sh(#compdef kubectl-whorl
# zsh completion for kubectl-whorl: source <(kubectl-whorl completion zsh)
# `kubectl whorl` itself completes through kubectl_complete-whorl on PATH.
_kubectl_whorl() {
  local -a found
  found=(${(f)"$(kubectl-whorl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  [[ ${found[-1]} == :0 ]] && _files
  found=(${found:#:*})
  compadd -a found
}
compdef _kubectl_whorl kubectl-whorl
)sh";

constexpr const char* kFish = R"sh(# fish completion for kubectl-whorl: kubectl-whorl completion fish | source
# `kubectl whorl` itself completes through kubectl_complete-whorl on PATH.
complete -c kubectl-whorl -n 'not contains replay (commandline -opc)' -f
complete -c kubectl-whorl -a '(kubectl-whorl __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null | string match -v ":*")'
)sh";

bool TakesValue(const std::string& option) {
  for (const auto* name : {"-n",
                           "--namespace",
                           "--context",
                           "--kubeconfig",
                           "-o",
                           "--output",
                           "--sort-by",
                           "--interval",
                           "--policy",
                           "--html",
                           "--capacity",
                           "--vms-per-node",
                           "--vm",
                           "--whorl-namespace",
                           "--from",
                           "--to",
                           "--step",
                           "--prometheus-token-file",
                           "--prometheus-ca-file",
                           "--sockets",
                           "--memory",
                           "--id"}) {
    if (option == name) return true;
  }
  return false;
}

bool WritesOnVm(const std::string& verb) {
  return verb == "reset" || verb == "accept" || verb == "apply" || verb == "approve" || verb == "reject";
}

}  // namespace

std::optional<std::string> CompletionScript(std::string_view shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return std::nullopt;
}

HalfTyped ReadHalfTyped(const std::vector<std::string>& words) {
  HalfTyped typed;
  if (words.empty()) return typed;
  typed.word = words.back();
  if (words.size() > 1) typed.previous = words[words.size() - 2];
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const auto& word = words[i];
    if (TakesValue(word)) {
      if (i + 2 >= words.size()) break;  // its value is being typed
      const auto& value = words[++i];
      if (word == "-n" || word == "--namespace") typed.ns = value;
      if (word == "--context") typed.context = value;
      if (word == "--kubeconfig") typed.kubeconfig = value;
    } else if (word.starts_with("-")) {
      continue;
    } else if (typed.verb.empty()) {
      typed.verb = word;
    } else {
      typed.has_target = true;
    }
  }
  return typed;
}

bool WantsFile(const HalfTyped& typed) {
  if (typed.previous == "--policy" || typed.previous == "--html" || typed.previous == "--kubeconfig" ||
      typed.previous == "--prometheus-token-file" || typed.previous == "--prometheus-ca-file")
    return true;
  return typed.verb == "replay" && !TakesValue(typed.previous) && !typed.word.starts_with("-");
}

std::optional<std::vector<std::string>> FixedCompletions(const HalfTyped& typed) {
  const bool value = TakesValue(typed.previous);
  std::vector<std::string> all;
  if (typed.previous == "-o" || typed.previous == "--output") {
    all = typed.verb == "replay" ? std::vector<std::string>{"table", "json"} : std::vector<std::string>{"wide", "json"};
    if (typed.verb == "ledger") all = {"json"};
  } else if (typed.previous == "--sort-by") {
    all = {"score", "name", "cpu", "predicted", "state"};
  } else if (typed.previous == "--vm") {
    return std::nullopt;
  } else if (value) {
    return all;
  } else if (typed.word.starts_with("-")) {
    all = {"--namespace", "--context", "--kubeconfig", "--help"};
    if (typed.verb == "top") {
      for (const auto* flag : {"--all-namespaces", "--watch", "--interval", "--sort-by", "--output"}) {
        all.emplace_back(flag);
      }
    }
    if (typed.verb == "replay") {
      for (const auto* flag : {"--policy", "--html", "--output", "--from", "--to", "--step", "--prometheus-token-file",
                               "--prometheus-ca-file", "--capacity", "--vms-per-node"})
        all.emplace_back(flag);
    }
    if (typed.verb == "ledger") {
      for (const auto* flag : {"--vm", "--closed", "--history", "--watch", "--interval", "--output"})
        all.emplace_back(flag);
    }
    if (WritesOnVm(typed.verb)) all.insert(all.end(), {"--yes", "--dry-run"});
    if (typed.verb == "approve" || typed.verb == "reject") all.emplace_back("--id");
    if (typed.verb == "apply") all.insert(all.end(), {"--sockets", "--memory"});
  } else if (typed.verb.empty()) {
    all = {"top",     "explain", "ledger", "reset",      "accept", "apply",
           "approve", "reject",  "replay", "completion", "version"};
  } else if (typed.verb == "completion" && !typed.has_target) {
    all = {"bash", "zsh", "fish"};
  } else if ((typed.verb == "explain" || typed.verb == "ledger" || WritesOnVm(typed.verb)) && !typed.has_target) {
    return std::nullopt;
  }
  std::erase_if(all, [&](const std::string& word) { return !word.starts_with(typed.word); });
  return all;
}

}  // namespace whorl::plugin
