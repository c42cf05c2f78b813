#include "operator/agent/act/domain_text.h"

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <memory>
#include <utility>

namespace whorl::agent {
namespace {

constexpr std::uint64_t kPageKib = 4;
// What a number of libvirt's 64 bits and a JSON number can both say.
constexpr std::uint64_t kLargestKib = std::uint64_t{1} << 53;
constexpr std::string_view kGroup = "group_name";

struct Name {
  std::string_view ours;
  std::string_view libvirt;
};
constexpr std::array kFour = {Name{"read_bytes", "read_bytes_sec"}, Name{"write_bytes", "write_bytes_sec"},
                              Name{"read_iops", "read_iops_sec"}, Name{"write_iops", "write_iops_sec"}};

// Digits without a sign or a leading zero.
std::optional<std::uint64_t> Canonical(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (code != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  if (word.size() > 1 && word.front() == '0') return std::nullopt;
  return value;
}

bool IsFieldName(std::string_view name) {
  return !name.empty() && name.size() < 80 &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

std::string LibvirtName(std::string_view name) {
  const auto* four = std::find_if(kFour.begin(), kFour.end(), [&](const Name& n) { return n.ours == name; });
  return std::string(four == kFour.end() ? name : four->libvirt);
}

bool IsOneOfFour(std::string_view libvirt) {
  return std::any_of(kFour.begin(), kFour.end(), [&](const Name& n) { return n.libvirt == libvirt; });
}

std::uint64_t Of(const DiskThrottle& throttle, std::string_view field) {
  const auto found = throttle.numbers.find(std::string(field));
  return found == throttle.numbers.end() ? 0 : found->second;
}

struct FreeDoc {
  void operator()(xmlDoc* doc) const { xmlFreeDoc(doc); }
};
struct FreeText {
  void operator()(xmlChar* text) const { xmlFree(text); }
};

std::string_view NameOf(const xmlNode* node) {
  return node->type == XML_ELEMENT_NODE ? reinterpret_cast<const char*>(node->name) : std::string_view{};
}

const xmlNode* Child(const xmlNode* parent, std::string_view name) {
  for (const auto* node = parent->children; node != nullptr; node = node->next) {
    if (NameOf(node) == name) return node;
  }
  return nullptr;
}

std::string Attribute(const xmlNode* node, const char* name) {
  const std::unique_ptr<xmlChar, FreeText> text(xmlGetNoNsProp(node, reinterpret_cast<const xmlChar*>(name)));
  return text ? reinterpret_cast<const char*>(text.get()) : std::string{};
}

void AddDevice(const xmlNode* device, DomainFacts& facts) {
  const auto kind = NameOf(device);
  if (kind == "memballoon") {
    facts.balloon = Attribute(device, "model").starts_with("virtio");
  } else if (kind == "hostdev" && facts.pinned.empty()) {
    facts.pinned = "a device of the host (VFIO)";
  } else if (kind == "disk") {
    const auto* target = Child(device, "target");
    const auto what = Attribute(device, "device");
    if (target == nullptr || (!what.empty() && what != "disk" && what != "lun")) return;
    const auto name = Attribute(target, "dev");
    facts.disks.push_back(name);
    if (const auto* alias = Child(device, "alias")) facts.aliases[name] = Attribute(alias, "name");
  }
}

}  // namespace

Result<std::uint64_t> ParseBalloonKib(std::string_view text) {
  const auto kib = Canonical(text);
  if (!kib || *kib == 0 || *kib > kLargestKib || *kib % kPageKib != 0) {
    return Fail(Code::kInvalid, "balloon \"" + std::string(text.substr(0, 40)) +
                                    "\" must be the guest's memory in KiB, a multiple of 4 above 0");
  }
  return *kib;
}

std::string FormatDisk(const DiskThrottle& throttle) {
  std::string text;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!text.empty()) text += ' ';
    text.append(name).append("=").append(value);
  };
  for (const auto& four : kFour) add(four.ours, std::to_string(Of(throttle, four.libvirt)));
  for (const auto& [field, value] : throttle.numbers) {
    if (value != 0 && !IsOneOfFour(field)) add(field, std::to_string(value));
  }
  if (!throttle.group.empty()) add(kGroup, throttle.group);
  return text;
}

Result<DiskThrottle> ParseDisk(std::string_view text) {
  DiskThrottle throttle;
  const auto wrong = [](std::string_view word, std::string_view why) {
    return Fail(Code::kInvalid, "disk limit \"" + std::string(word.substr(0, 80)) + "\" " + std::string(why));
  };
  std::size_t start = 0;
  while (start <= text.size()) {
    const auto end = std::min(text.find(' ', start), text.size());
    const auto word = text.substr(start, end - start);
    start = end + 1;
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) return wrong(word, "must be name=value");
    const auto name = word.substr(0, equals);
    const auto value = word.substr(equals + 1);
    if (name == kGroup) {
      const bool printable = std::all_of(value.begin(), value.end(), [](char c) { return c > ' ' && c != 127; });
      if (value.empty() || !printable || !throttle.group.empty()) return wrong(word, "must name one group, once");
      throttle.group = value;
      continue;
    }
    const auto number = Canonical(value);
    if (!IsFieldName(name) || !number) return wrong(word, "must be name=value with a whole number");
    if (*number > kLargestRate) return wrong(word, "must not be above 1000000000000000");
    if (!throttle.numbers.emplace(LibvirtName(name), *number).second) return wrong(word, "stands there twice");
  }
  for (const auto& four : kFour) {
    if (!throttle.numbers.contains(std::string(four.libvirt))) return wrong(text, "must say " + std::string(four.ours));
  }
  std::erase_if(throttle.numbers, [](const auto& field) { return field.second == 0; });
  return throttle;
}

Result<std::string> LimitDisk(std::string_view found, const DiskLimits& limits) {
  auto throttle = ParseDisk(found);
  if (!throttle) return Fail(throttle.error());
  const std::array wanted = {limits.read_bytes, limits.write_bytes, limits.read_iops, limits.write_iops};
  for (std::size_t i = 0; i < kFour.size(); ++i) {
    if (!wanted.at(i)) continue;
    const auto& name = kFour.at(i);
    const auto rate = *wanted.at(i);
    if (rate == 0 || rate > kLargestRate) {
      return Fail(Code::kInvalid, std::string(name.ours) + " of " + std::to_string(rate) +
                                      " per second must be above 0 and at most 1000000000000000");
    }
    const std::string total = name.ours.ends_with("bytes") ? "total_bytes_sec" : "total_iops_sec";
    if (Of(*throttle, total) != 0 || Of(*throttle, total + "_max") != 0) {
      return Fail(Code::kRefused, "the disk has a " + total + " that is not ours, beside which QEMU takes no " +
                                      std::string(name.ours) +
                                      "; remove it by virsh blkdeviotune to let Whorl set one");
    }
    const std::string field(name.libvirt);
    const auto before = Of(*throttle, field);
    if (before != 0 && before <= rate) continue;
    throttle->numbers[field] = rate;
    throttle->numbers.erase(field + "_max");
    throttle->numbers.erase(field + "_max_length");
  }
  return FormatDisk(*throttle);
}

Result<DomainFacts> ParseDomainXml(const std::string& xml) {
  const std::string what = "the domain's XML";
  if (xml.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return Fail(Code::kInvalid, what);
  // Neither the network nor entities: the text comes out of a tenant's pod.
  const std::unique_ptr<xmlDoc, FreeDoc> doc(xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "domain.xml",
                                                           nullptr,
                                                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
  const auto* root = doc ? xmlDocGetRootElement(doc.get()) : nullptr;
  if (root == nullptr || NameOf(root) != "domain") return Fail(Code::kInvalid, what + " is not that of a domain");
  DomainFacts facts;
  if (const auto* backing = Child(root, "memoryBacking")) {
    if (Child(backing, "hugepages") != nullptr) facts.pinned = "huge pages";
    if (Child(backing, "locked") != nullptr) facts.pinned = "locked memory";
  }
  if (const auto* devices = Child(root, "devices")) {
    for (const auto* device = devices->children; device != nullptr; device = device->next) AddDevice(device, facts);
  }
  return facts;
}

bool IsOwnGroup(std::string_view group, std::string_view alias) {
  if (alias.empty()) return false;
  constexpr std::string_view kQom = "/machine/peripheral/";
  if (group.starts_with(kQom)) {
    group.remove_prefix(kQom.size());
    group = group.substr(0, group.find('/'));
  }
  constexpr std::string_view kDrive = "drive-";
  if (group.starts_with(kDrive)) group.remove_prefix(kDrive.size());
  return group == alias;
}

}  // namespace whorl::agent
