#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace whorl::plugin {

// The script that a shell sources; nullopt for a shell we do not know.
std::optional<std::string> CompletionScript(std::string_view shell);

// A command line as far as it has been typed; the last word is the one to
// complete and may be empty.
struct HalfTyped {
  std::string verb;  // empty: still to come
  std::string word;
  std::string previous;  // the word before, for values of options
  std::string ns, context, kubeconfig;
  bool has_target = false;  // explain vm/db-1 ...
};
HalfTyped ReadHalfTyped(const std::vector<std::string>& words);

// What may stand there that needs no cluster; nullopt: names of VMs or nodes.
std::optional<std::vector<std::string>> FixedCompletions(const HalfTyped& typed);

// Whether a file may stand there besides.
bool WantsFile(const HalfTyped& typed);

}  // namespace whorl::plugin
