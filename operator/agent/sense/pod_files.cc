#include "operator/agent/sense/pod_files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace whorl::agent {

Result<Fd> OpenInPod(const std::string& proc_root, int pid, const char* path, PodEntry kind) {
  const std::string root = proc_root + "/" + std::to_string(pid) + "/root";
  const Fd pod(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!pod) return Fail(ErrorFromErrno(errno, root));
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | (kind == PodEntry::kFolder ? O_DIRECTORY : O_NOFOLLOW);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  Fd found(static_cast<int>(::syscall(SYS_openat2, pod.get(), path, &how, sizeof(how))));
  if (!found) return Fail(ErrorFromErrno(errno, path));
  struct stat info{};
  if (kind == PodEntry::kSocket && (::fstat(found.get(), &info) != 0 || !S_ISSOCK(info.st_mode))) {
    return Fail(Code::kNotFound, std::string(path) + " is no socket");
  }
  return found;
}

}  // namespace whorl::agent
