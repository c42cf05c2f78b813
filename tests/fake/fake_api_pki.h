#pragma once

#include <memory>
#include <string>
#include <vector>

namespace whorl::fake {

// A certificate with its private key, both PEM.
struct Issued {
  std::string certificate;
  std::string key;
};

// A certificate authority made for one test.
class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();

  const std::string& certificate() const { return certificate_; }
  // `names` as in openssl's subjectAltName: "DNS:localhost", "IP:127.0.0.1".
  // Valid from one day before `until_seconds` from now, which may be negative.
  Issued Issue(const std::string& common_name, const std::string& organization, const std::vector<std::string>& names,
               long until_seconds = 3600) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string certificate_;
};

// An RSA key pair in PEM and JSON Web Tokens signed with it (RS256), as an API
// server signs service-account tokens.
struct RsaKey {
  std::string private_key;
  std::string public_key;
  static RsaKey Make();
  std::string SignJwt(const std::string& claims_json) const;
};

}  // namespace whorl::fake
