#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "operator/kube/config.h"
#include "tests/fake/fake_api_pki.h"
#include "tests/fake/temp_dir.h"

namespace whorl::fake {

// A real etcd and kube-apiserver on loopback ports of their own choosing, for
// the life of this object. Authenticates bearer tokens kAdmin (system:masters)
// and kNobody (no rights), client certificates of its authority, and
// service-account tokens. Not thread-safe.
class RealApiServer {
 public:
  static constexpr const char* kAdmin = "admin-token";
  static constexpr const char* kNobody = "nobody-token";

  // Folder with etcd and kube-apiserver: WHORL_TOOLS, else the newest complete
  // one in the cache that e2e fills; nullopt when there is none.
  static std::optional<std::string> FindTools();

  explicit RealApiServer(const std::string& tools);  // throws with etcd's or the server's last lines
  ~RealApiServer();
  RealApiServer(const RealApiServer&) = delete;
  RealApiServer& operator=(const RealApiServer&) = delete;

  std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  kube::ClusterConfig Config(const std::string& token = kAdmin) const;
  const Authority& authority() const { return authority_; }
  // A kubeconfig file for the admin.
  std::string KubeconfigFile() const;
  // A service-account token as the server would sign it, but of our making.
  std::string ServiceAccountToken(const std::string& ns, const std::string& name, const std::string& uid,
                                  long expires_in_seconds) const;

  void KillServer();   // as a crash does it; etcd stays
  void StartServer();  // again on the same port; waits for /readyz
  void Freeze();       // SIGSTOP: connections stay, nothing answers
  void Thaw();

 private:
  void StartEtcd();
  void WaitReady();

  const std::string tools_;
  TempDir dir_;
  Authority authority_{"real-api-ca"};
  RsaKey account_key_ = RsaKey::Make();
  int etcd_port_ = 0;
  int etcd_peer_port_ = 0;
  int port_ = 0;
  pid_t etcd_ = -1;
  pid_t server_ = -1;
};

}  // namespace whorl::fake
