#include "tests/fake/fake_api_pki.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <stdexcept>

namespace whorl::fake {

namespace {

void Check(bool ok, const char* what) {
  if (!ok) throw std::runtime_error(std::string("test PKI: ") + what);
}

struct Free {
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Free>;
using Certificate = std::unique_ptr<X509, Free>;

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

template <typename Write>
std::string Pem(const Write& write) {
  const std::unique_ptr<BIO, Free> bio(BIO_new(BIO_s_mem()));
  Check(write(bio.get()) == 1, "cannot write PEM");
  return Text(bio.get());
}

std::string PrivatePem(EVP_PKEY* key) {
  return Pem([&](BIO* b) { return PEM_write_bio_PrivateKey(b, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

Certificate NewCertificate(EVP_PKEY* key, const std::string& common_name, const std::string& organization, long until) {
  static std::atomic<long> serial{1};
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), until - 24 * 3600 - 7200);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
  X509_set_pubkey(certificate.get(), key);
  auto* subject = X509_get_subject_name(certificate.get());
  const auto add = [&](const char* field, const std::string& value) {
    if (value.empty()) return;
    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.c_str()), -1,
                               -1, 0);
  };
  add("O", organization);
  add("CN", common_name);
  return certificate;
}

void Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Check(extension != nullptr, "cannot make an extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

std::string Base64Url(const std::string& data) {
  std::string out((data.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(data.data()), static_cast<int>(data.size()));
  out.resize(static_cast<std::size_t>(size));
  while (!out.empty() && out.back() == '=') out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

}  // namespace

struct Authority::Impl {
  Key key{EVP_EC_gen("P-256")};
  Certificate certificate;
};

Authority::Authority(const std::string& name) : impl_(std::make_unique<Impl>()) {
  impl_->certificate = NewCertificate(impl_->key.get(), name, "", 30L * 24 * 3600);
  auto* own = impl_->certificate.get();
  // Valid since before anything it issues, expired things too.
  X509_gmtime_adj(X509_getm_notBefore(own), -30L * 24 * 3600);
  X509_set_issuer_name(own, X509_get_subject_name(own));
  Extend(own, own, NID_basic_constraints, "critical,CA:TRUE");
  Extend(own, own, NID_subject_key_identifier, "hash");
  Check(X509_sign(own, impl_->key.get(), EVP_sha256()) != 0, "cannot sign");
  certificate_ = Pem([&](BIO* b) { return PEM_write_bio_X509(b, own); });
}

Authority::~Authority() = default;

Issued Authority::Issue(const std::string& common_name, const std::string& organization,
                        const std::vector<std::string>& names, long until_seconds) const {
  const Key key(EVP_EC_gen("P-256"));
  const auto certificate = NewCertificate(key.get(), common_name, organization, until_seconds);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(impl_->certificate.get()));
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ",") + name;
  if (!list.empty()) Extend(certificate.get(), impl_->certificate.get(), NID_subject_alt_name, list);
  Extend(certificate.get(), impl_->certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  Check(X509_sign(certificate.get(), impl_->key.get(), EVP_sha256()) != 0, "cannot sign");
  return {Pem([&](BIO* b) { return PEM_write_bio_X509(b, certificate.get()); }), PrivatePem(key.get())};
}

RsaKey RsaKey::Make() {
  const Key key(EVP_RSA_gen(2048));
  return {PrivatePem(key.get()), Pem([&](BIO* b) { return PEM_write_bio_PUBKEY(b, key.get()); })};
}

std::string RsaKey::SignJwt(const std::string& claims_json) const {
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(private_key.data(), static_cast<int>(private_key.size())));
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  Check(key != nullptr, "cannot read the key");
  const auto text = Base64Url(R"({"alg":"RS256","typ":"JWT"})") + "." + Base64Url(claims_json);
  const std::unique_ptr<EVP_MD_CTX, Free> context(EVP_MD_CTX_new());
  std::size_t size = 0;
  Check(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1, "cannot sign");
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  Check(EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1, "cannot sign");
  std::string signature(size, '\0');
  Check(
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, text.size()) == 1,
      "cannot sign");
  signature.resize(size);
  return text + "." + Base64Url(signature);
}

}  // namespace whorl::fake
