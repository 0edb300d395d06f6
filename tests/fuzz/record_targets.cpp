// What comes from the disk, one record at a time: the body under its seal, and the body of every kind of record.
#include <sys/mman.h>
#include <unistd.h>
#include <string>

#include "core/kv/write_batch.hpp"
#include "core/raft/raft_types.hpp"
#include "persistence/data_directory.hpp"
#include "persistence/raft_log_store.hpp"
#include "persistence/record.hpp"
#include "tests/fuzz/codec_check.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/fuzz/message_samples.hpp"

namespace kahuna::fuzz {

namespace {

using namespace persistence;

// Sealed, a body is read as it would be without; as it came, it is read only where its seal happens to be right.
template <class T>
void fuzz_record(std::string_view input) {
  static const std::string key = "key";
  const auto body = checked_decode<T>(input);
  std::string record(input);
  seal(key, record);
  const auto read = read_within(decoding_bound, record.size(), [&] { return decode_record<T>(key, record); });
  KAHUNA_CHECK(read.has_value() == body.has_value());
  KAHUNA_CHECK(!read || messages::encode(*read) == messages::encode(*body));
  KAHUNA_CHECK(!decode_record<T>("other key", record));
  KAHUNA_CHECK(!decode_record<T>(key, input) || unseal(key, input).has_value());
}

kv::version sample_version() { return {3, false, timestamp{999}, timestamp{1000}, 5000, "value"}; }
kv::client_window sample_window() { return {7, 3, timestamp{9}, {{4, true, 1, timestamp{8}}, {300, false, -1, timestamp{8}}}}; }
raft::hard_state sample_hard_state() { return {term_id{300}, node_id{2}}; }
identity sample_identity() { return {identity::format_version_now, node_id{2}, 5, sample_map(), true, false, sample_map()}; }
raft::configuration sample_members() { return {{node_id{1}, node_id{300}}, {node_id{2}}, {node_id{70'000}}, 9}; }
raft::log_start sample_start() { return {{log_index{9}, term_id{300}}, sample_members()}; }
raft::log_position sample_position() { return {log_index{9}, term_id{300}}; }
std::uint64_t sample_number() { return 300; }

kv::write_batch sample_batch() {
  kv::write_batch batch;
  batch.stamp = timestamp{1000};
  batch.mutations.push_back({"k", sample_version()});
  batch.mutations.push_back({"gone", {2, true, timestamp{1000}, timestamp{1000}, 0, ""}});
  batch.windows.push_back({7, 1, {{9, true, 3, timestamp{1000}}}});
  batch.removals.push_back({"old", 1, true});
  batch.collected_below_ms = 300;
  const txn::transaction_id id{timestamp{900}, 7, 2};
  kv::intended_write intended{kv::durability::persistent, "k", {3, false, timestamp{999}, timestamp{1000}, 0, "v"}, true};
  batch.transactions.prepared.push_back({id, term_id{6}, partition_id{4}, timestamp{990}, 5000, 6000, {"read"}, {"bucket"}, {intended}});
  batch.transactions.resolved.push_back(id);
  batch.transactions.decided.push_back({id, term_id{6}, timestamp{1000}, {partition_id{1}, partition_id{300}}});
  batch.transactions.forgotten.push_back(id);
  return batch;
}

raft::log_entry sample_entry() {
  return {term_id{300}, log_index{9}, raft::entry_kind::command, messages::encode(sample_batch())};
}

template <auto sample>
std::vector<std::string> encoded_sample() {
  return {messages::encode(sample()), messages::encode(decltype(sample()){})};
}

// --- an entry that says who belongs to the group ------------------------------------------------------------------------

void fuzz_configuration(std::string_view input) {
  const auto members = raft::decode_configuration(input);
  if (!members) return;
  KAHUNA_CHECK(members->is_valid());
  const auto again = raft::encode_configuration(*members);
  // As older builds wrote it, it comes back in today's form.
  KAHUNA_CHECK(input.front() == 1 ? raft::decode_configuration(again.view()) == members : again.view() == input);
}

std::vector<std::string> configuration_seeds() {
  return {raft::encode_configuration(sample_members()).str(), raft::encode_configuration({{node_id{1}}, {}, {}}).str()};
}

// --- log.synced ---------------------------------------------------------------------------------------------------

// A file in memory, by a name that can be opened.
class memory_file {
 public:
  explicit memory_file(std::string_view content) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    KAHUNA_CHECK(descriptor_ >= 0 &&
                 ::write(descriptor_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  ~memory_file() { ::close(descriptor_); }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// A file that is read at all goes on as a good one.
void fuzz_synced_mark(std::string_view input) {
  const memory_file file(input);
  const auto opened = synced_mark::open(file.path(), false);
  if (!opened) {
    KAHUNA_CHECK(opened.error().code == errc::data_corrupted, opened.error().message);
    return;
  }
  const auto number = (*opened)->number();
  if (number == ~std::uint64_t{0}) return;
  (*opened)->set(number + 1);
  const auto again = synced_mark::open(file.path(), false);
  KAHUNA_CHECK(again.has_value() && (*again)->number() == number + 1, number);
}

std::vector<std::string> synced_mark_seeds() {
  std::vector<std::string> seeds;
  for (const std::uint64_t number : {0u, 1u, 300u}) {
    std::string slots;
    for (const auto n : {number + number % 2, number + 1 - number % 2}) {
      std::string slot;
      append_be64(slot, n);
      append_be32(slot, crc32c(slot));
      slots += slot;
    }
    seeds.push_back(slots);
    seeds.push_back(slots.substr(0, 12));
  }
  return seeds;
}

}  // namespace

std::vector<fuzz_target> record_targets() {
  return {{"version", fuzz_record<kv::version>, encoded_sample<sample_version>},
          {"client_window", fuzz_record<kv::client_window>, encoded_sample<sample_window>},
          {"write_batch", fuzz_record<kv::write_batch>, encoded_sample<sample_batch>},
          {"log_entry", fuzz_record<raft::log_entry>, encoded_sample<sample_entry>},
          {"hard_state", fuzz_record<raft::hard_state>, encoded_sample<sample_hard_state>},
          {"log_start", fuzz_record<raft::log_start>, encoded_sample<sample_start>},
          {"log_position", fuzz_record<raft::log_position>, encoded_sample<sample_position>},
          {"configuration", fuzz_configuration, configuration_seeds},
          {"identity", fuzz_record<identity>, encoded_sample<sample_identity>},
          {"number", fuzz_record<std::uint64_t>, encoded_sample<sample_number>},
          {"synced_mark", fuzz_synced_mark, synced_mark_seeds}};
}

}  // namespace kahuna::fuzz
