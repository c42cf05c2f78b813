#include "operator/controller/ingest/checkpoint_seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace whorl::controller {
namespace {

// Layout: magic with the version, milliseconds since 1970 (little endian, 8
// bytes), 1 when it is learnt else 0, the blob, the MAC.
constexpr std::string_view kMagic = "WHSEAL1\n";
constexpr std::size_t kTimeBytes = 8;
constexpr std::size_t kHeadBytes = kMagic.size() + kTimeBytes + 1;
constexpr std::size_t kMacBytes = 32;
constexpr std::size_t kLeastKey = 32;

}  // namespace

Result<CheckpointSeal> CheckpointSeal::FromFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Fail(Code::kNotFound, path +
                                     " cannot be read; it must hold the key checkpoints are sealed with (the chart "
                                     "mounts it from the secret whorl-checkpoint-key)");
  }
  std::ostringstream text;
  text << in.rdbuf();
  std::string key = text.str();
  key.resize(key.find_last_not_of(" \t\r\n") + 1);
  if (key.size() < kLeastKey) {
    return Fail(Code::kInvalid, path + " holds " + std::to_string(key.size()) +
                                    " bytes; a key must have at least 32: openssl rand -base64 32");
  }
  return CheckpointSeal(std::move(key));
}

std::string CheckpointSeal::Mac(std::string_view vm_uid, std::string_view body) const {
  // The uid's length goes first, so that no uid and body read as another pair.
  std::string text = std::to_string(vm_uid.size()) + ":";
  text.append(vm_uid).append(body);
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), reinterpret_cast<const unsigned char*>(text.data()),
       text.size(), mac.data(), &size);
  return {reinterpret_cast<const char*>(mac.data()), size};
}

std::string CheckpointSeal::Seal(std::string_view vm_uid, const SavedBaseline& saved) const {
  std::string out(kMagic);
  const auto millis = static_cast<std::uint64_t>(ToUnixMillis(saved.saved));
  for (std::size_t i = 0; i < kTimeBytes; ++i) out += static_cast<char>((millis >> (8 * i)) & 0xffu);
  out += static_cast<char>(saved.learnt ? 1 : 0);
  out += saved.blob;
  return out + Mac(vm_uid, out);
}

Result<SavedBaseline> CheckpointSeal::Open(std::string_view vm_uid, std::string_view sealed) const {
  const auto magic = sealed.substr(0, kMagic.size());
  if (magic != kMagic && magic.starts_with("WHSEAL")) {
    return Fail(Code::kUnsupported, "it was sealed by another version of Whorl");
  }
  if (magic != kMagic || sealed.size() < kHeadBytes + kMacBytes) {
    return Fail(Code::kCorrupt, "it is damaged");
  }
  const auto body = sealed.substr(0, sealed.size() - kMacBytes);
  const auto mac = Mac(vm_uid, body);
  if (mac.size() != kMacBytes || CRYPTO_memcmp(mac.data(), sealed.data() + body.size(), kMacBytes) != 0) {
    return Fail(Code::kCorrupt,
                "its seal is not ours: it was changed on the node, or the secret whorl-checkpoint-key is another one");
  }
  std::uint64_t millis = 0;
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    millis |= static_cast<std::uint64_t>(static_cast<unsigned char>(body[kMagic.size() + i])) << (8 * i);
  }
  return SavedBaseline{std::string(body.substr(kHeadBytes)), FromUnixMillis(static_cast<std::int64_t>(millis)),
                       body[kHeadBytes - 1] == 1};
}

}  // namespace whorl::controller
