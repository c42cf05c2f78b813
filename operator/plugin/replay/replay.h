#pragma once

#include <string>
#include <vector>

#include "operator/plugin/cli.h"

namespace whorl::plugin {

struct ReplayFlags {
  std::vector<std::string> sources;
  std::vector<std::string> policies;  // files; none: the defaults, or what a recording was made under
  std::string html;                   // file to write; empty: none
  bool json = false;
  bool colours = false;
  std::string from = "7d", to = "now";  // of a Prometheus: ParseWhen
  int step = 300;                       // s
  std::string token_file, ca_file;
  double capacity = 0;  // cores of each node; 0: what the sources say
  int vms_per_node = 16;
};

// Reads, replays, prints, writes. Gives the exit code.
int Replay(const ReplayFlags& flags, Shell& shell);

}  // namespace whorl::plugin
