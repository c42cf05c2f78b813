// The only file that includes OpenSSL.
#include "operator/agent/identity.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <vector>

namespace whorl::agent {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using File = std::unique_ptr<FILE, Freer<std::fclose>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Store = std::unique_ptr<X509_STORE, Freer<X509_STORE_free>>;
using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, Freer<X509_STORE_CTX_free>>;

Result<File> OpenFile(const std::string& path) {
  File file(std::fopen(path.c_str(), "re"));
  if (!file) {
    return Fail(Code::kUnauthorized, path + " cannot be read; mount the agent's certificate there or pass --tls-dir");
  }
  return file;
}

// All certificates of a file, at least one: a chain, or old and new roots while
// an authority is being replaced.
Result<std::vector<Certificate>> ReadCertificates(const std::string& path) {
  auto file = OpenFile(path);
  if (!file) return Fail(file.error());
  std::vector<Certificate> certificates;
  while (auto* next = PEM_read_X509(file->get(), nullptr, nullptr, nullptr)) certificates.emplace_back(next);
  ERR_clear_error();
  if (certificates.empty()) return Fail(Code::kUnauthorized, path + " holds no PEM certificate");
  return certificates;
}

std::string NamesOf(X509* certificate) {
  std::string names;
  auto* alternatives =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
    const auto* name = sk_GENERAL_NAME_value(alternatives, i);
    if (name->type != GEN_DNS) continue;
    const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
    names +=
        (names.empty() ? "" : ", ") + std::string(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
  }
  GENERAL_NAMES_free(alternatives);
  return names.empty() ? "no name" : names;
}

}  // namespace

std::string AgentName(const std::string& node_name) { return "agent." + node_name + ".whorl"; }

TlsFiles TlsFilesIn(const std::string& dir) { return {dir + "/tls.crt", dir + "/tls.key", dir + "/ca.crt"}; }

Status CheckIdentity(const TlsFiles& files, const std::string& node_name) {
  const auto chain = ReadCertificates(files.certificate);
  if (!chain) return Fail(chain.error());
  X509* const own = chain->front().get();
  const auto roots = ReadCertificates(files.roots);
  if (!roots) return Fail(roots.error());
  auto key_file = OpenFile(files.key);
  if (!key_file) return Fail(key_file.error());
  const Key key(PEM_read_PrivateKey(key_file->get(), nullptr, nullptr, nullptr));
  if (!key) return Fail(Code::kUnauthorized, files.key + " holds no PEM private key");
  if (X509_check_private_key(own, key.get()) != 1) {
    ERR_clear_error();
    return Fail(Code::kUnauthorized, files.key + " does not belong to " + files.certificate);
  }
  const auto name = AgentName(node_name);
  if (X509_check_host(own, name.c_str(), name.size(), X509_CHECK_FLAG_NO_WILDCARDS, nullptr) != 1) {
    return Fail(Code::kUnauthorized,
                files.certificate + " is for " + NamesOf(own) + ", not for " + name +
                    "; issue this node's agent a certificate with that DNS name, or correct --node-name");
  }
  const Store store(X509_STORE_new());
  const Stack between(sk_X509_new_null());
  const StoreContext context(X509_STORE_CTX_new());
  bool prepared = store && between && context;
  for (const auto& root : *roots) prepared = prepared && X509_STORE_add_cert(store.get(), root.get()) == 1;
  for (const auto& link : *chain) prepared = prepared && sk_X509_push(between.get(), link.get()) > 0;
  if (!prepared || X509_STORE_CTX_init(context.get(), store.get(), own, between.get()) != 1) {
    return Fail(Code::kInternal, "OpenSSL could not prepare the check of " + files.certificate);
  }
  if (X509_verify_cert(context.get()) != 1) {
    const char* why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
    ERR_clear_error();
    return Fail(Code::kUnauthorized, files.certificate + " is not valid under " + files.roots + ": " + why);
  }
  return {};
}

}  // namespace whorl::agent
