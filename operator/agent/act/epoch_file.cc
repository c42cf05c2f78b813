#include "operator/agent/act/epoch_file.h"

#include <cstdio>

#include "operator/agent/journal/journal.h"
#include "operator/agent/sense/parse.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

EpochFile EpochFile::Open(const std::string& state_dir, std::string& trouble) {
  EpochFile file(state_dir + "/epoch");
  const auto text = ReadSmallFile(file.path_);
  if (!text) {
    if (text.error().code != Code::kNotFound) trouble = text.error().message;
    return file;
  }
  const auto epoch = ParseKeyed(*text, "epoch");
  const auto sequence = ParseKeyed(*text, "sequence");
  if (epoch && sequence && text->ends_with("end\n")) {
    file.epoch_ = *epoch;
    file.sequence_ = *sequence;
    return file;
  }
  const auto aside = file.path_ + ".corrupt";
  trouble = file.path_ + " is damaged; set aside as " + aside + ", starting from epoch 0";
  if (std::rename(file.path_.c_str(), aside.c_str()) != 0) trouble = file.path_ + " is damaged and cannot be moved";
  return file;
}

Status EpochFile::Advance(std::uint64_t epoch, std::uint64_t sequence) {
  if (epoch == epoch_ && sequence == sequence_) return {};
  epoch_ = epoch;
  sequence_ = sequence;
  return ReplaceFile(path_, "epoch " + std::to_string(epoch) + "\nsequence " + std::to_string(sequence) + "\nend\n");
}

}  // namespace whorl::agent
