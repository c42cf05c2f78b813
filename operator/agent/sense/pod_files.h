#pragma once

#include <string>

#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

enum class PodEntry { kFolder, kSocket };

// Opens (O_PATH) something in the file system of a process's container without
// ever following a link out of it: an image's absolute /var/run -> /run would
// lead to the host's /run. kNotFound when it is not there or is something else.
Result<Fd> OpenInPod(const std::string& proc_root, int pid, const char* path, PodEntry kind);

}  // namespace whorl::agent
