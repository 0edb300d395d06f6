// The two stores over whatever stands under their keys: they answer, or say what is damaged, and they come to an end.
//
//   input  := applied:u8 record*             applied: the log's applied index; 255 is the largest there is
//   record := shape:u8 key:block body:block  shape: bits 0-1 the family, bit 2 the body is sealed, bit 3 the key is given
//                                            its form (partition, and what stands behind it), bits 4-7 of that form
#include <string>

#include "core/base/check.hpp"
#include "persistence/data_store.hpp"
#include "persistence/memory_store.hpp"
#include "persistence/raft_log_store.hpp"
#include "persistence/record.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace kahuna::fuzz {

namespace {

using namespace persistence;

constexpr std::uint8_t sealed = 4;
constexpr std::uint8_t formed = 8;

// Thrown by the handler of what may not be survived.
struct gave_up {};

fatal_handler give_up() {
  return [](const error& e) {
    KAHUNA_CHECK(!e.message.empty());
    throw gave_up();
  };
}

struct filled_store {
  std::shared_ptr<memory_store> store = std::make_shared<memory_store>();
  std::size_t records = 0;
};

// `form` makes a key from a record's family, the high bits of its shape and its key.
template <class Form>
filled_store fill(byte_source& source, Form form) {
  filled_store filled;
  const auto batch = filled.store->make_batch();
  for (; !source.is_empty() && filled.records < 64; ++filled.records) {
    const auto shape = source.take_byte();
    const auto f = static_cast<family>(shape % 4 % 3);
    std::string key(source.take_block());
    std::string body(source.take_block());
    if ((shape & formed) != 0) key = form(f, shape >> 4, key);
    if ((shape & sealed) != 0) seal(key, body);
    batch->put(f, key, body);
  }
  static_cast<void>(filled.store->write(*batch, sync::yes));
  return filled;
}

std::string record_of(std::uint8_t shape, std::string_view key, std::string_view body) {
  return std::string(1, static_cast<char>(shape)) + block_of(key) + block_of(body);
}

// --- data ---------------------------------------------------------------------------------------------------------

std::string data_key(family f, int form, const std::string& name) {
  std::string key;
  append_be32(key, 0);
  if (f == family::window) append_be64(key, name.size());
  if (f != family::main) return key;
  key += name + '\0';
  append_be64(key, ~static_cast<std::uint64_t>(form / 2));
  key.push_back(static_cast<char>(form % 2));
  return key;
}

void fuzz_data_store(std::string_view input) {
  byte_source source(input);
  source.take_byte();
  const auto filled = fill(source, data_key);
  const auto opened = data_store::open(filled.store, partition_id{0}, give_up());
  if (!opened) {
    KAHUNA_CHECK(opened.error().code == errc::data_corrupted);
    return;
  }
  const auto& data = **opened;
  for (const auto* key : {"a", "b", ""}) {
    if (const auto found = data.latest(key); !found) KAHUNA_CHECK(found.error().code == errc::data_corrupted);
    if (const auto found = data.at_revision(key, 1); !found) KAHUNA_CHECK(found.error().code == errc::data_corrupted);
  }
  // Keys come in order, each once, however far ahead the walk is told to skip.
  using step = kv::version_reader::step;
  using walk = kv::version_reader::walk;
  for (const bool is_skipping : {false, true}) {
    std::string last;
    std::size_t visits = 0;
    const auto failure = data.walk_keys("", "", timestamp{~std::uint64_t{0}}, [&](std::string_view key, const kv::version*) {
      KAHUNA_CHECK(visits == 0 || last < key, printable(last), printable(key));
      KAHUNA_CHECK(++visits <= filled.records);
      last = key;
      return is_skipping ? step{walk::skip_to, last + "\x01"} : step{};
    });
    KAHUNA_CHECK(!failure || failure->code == errc::data_corrupted);
  }
  std::size_t visits = 0;
  const auto failure = data.walk_versions(kv::version_position{"a", 1, false}, [&](std::string_view, const kv::version&) {
    KAHUNA_CHECK(++visits <= filled.records);
    return true;
  });
  KAHUNA_CHECK(!failure || failure->code == errc::data_corrupted);
  const auto windows = data.load_windows();
  KAHUNA_CHECK(windows ? windows->size() <= filled.records : windows.error().code == errc::data_corrupted);
}

std::vector<std::string> data_store_seeds() {
  const auto version = messages::encode(kv::version{1, false, timestamp{9}, timestamp{9}, 0, "value"});
  const auto window = messages::encode(kv::client_window{7, 3, timestamp{9}, {{4, true, 1, timestamp{8}}}});
  const std::string applied("\0\7\11\0\0\0\0\0", 8);  // index, stamp, nothing collected, the first place, no snapshot
  std::string whole(1, '\0');
  whole += record_of(2 | sealed | formed, "", applied) + record_of(1 | sealed | formed, "7", window);
  for (const int form : {0, 1, 2, 3, 4})
    whole += record_of(static_cast<std::uint8_t>(sealed | formed | form << 4), "a", version);
  whole += record_of(sealed | formed, "b", version) + record_of(sealed | formed, "b/c", version);
  std::string short_keys(1, '\0');
  for (char c = 1; c <= 12; ++c) short_keys += record_of(sealed, std::string(4, '\0') + c, version);
  return {whole, short_keys, std::string(1, '\0')};
}

// --- log ----------------------------------------------------------------------------------------------------------

std::string log_key(family, int form, const std::string& name) {
  std::string key;
  append_be32(key, form < 8 ? 0 : 0xFFFFFFFF);
  key.push_back("EEEEEEHHBBNNPPPP"[form]);
  if (key.back() == 'E') append_be64(key, form == 0 ? ~std::uint64_t{0} - name.size() : name.size());
  if (key.back() == 'P') append_be32(key, 1);
  if (key.back() == 'N') append_be32(key, static_cast<std::uint32_t>(name.size()));
  return key;
}

void fuzz_raft_log_store(std::string_view input) {
  byte_source source(input);
  const auto byte = source.take_byte();
  const log_index applied{byte == 255 ? ~std::uint64_t{0} : byte};
  const auto filled = fill(source, log_key);
  try {
    const auto opened = raft_log_store::open(filled.store, nullptr, give_up());
    if (!opened) {
      KAHUNA_CHECK(opened.error().code == errc::data_corrupted);
      return;
    }
    static_cast<void>((*opened)->incarnation_of(node_id{1}));
    const auto found = (*opened)->load(partition_id{0}, applied);
    if (!found) {
      KAHUNA_CHECK(found.error().code == errc::data_corrupted);
      return;
    }
    KAHUNA_CHECK(found->last_index >= applied, found->last_index, applied);
    // What load() let pass is there to be read.
    const auto reader = (*opened)->reader(partition_id{0});
    if (found->last_index > applied) {
      const auto entries = reader->read(applied + 1, found->last_index + 1, 1 << 20);
      KAHUNA_CHECK(!entries.empty() && entries.front().index == applied + 1, entries.size());
      KAHUNA_CHECK(reader->term_at(entries.front().index) == entries.front().term);
    }
    static_cast<void>(reader->read(log_index{0}, log_index{~std::uint64_t{0}}, 1 << 20));
  } catch (const gave_up&) {
  }
}

std::vector<std::string> raft_log_store_seeds() {
  std::string whole(1, '\1');
  whole += record_of(sealed | formed | 6 << 4, "", messages::encode(raft::hard_state{term_id{3}, node_id{2}}));
  whole += record_of(sealed | formed | 8 << 4, "", messages::encode(std::uint64_t{5}));
  for (std::size_t i = 6; i <= 7; ++i) whole += record_of(sealed | formed | 10 << 4, std::string(i, 'i'), messages::encode(std::uint64_t{i}));
  whole += record_of(sealed | formed | 12 << 4, "", messages::encode(std::uint64_t{77}));
  for (std::size_t i = 1; i <= 3; ++i)
    whole += record_of(sealed | formed | 1 << 4, std::string(i, 'i'),
                       messages::encode(raft::log_entry{term_id{2}, log_index{i}, raft::entry_kind::command, "payload"}));
  std::string at_the_end(1, '\xff');
  at_the_end += record_of(sealed | formed | 6 << 4, "", messages::encode(raft::hard_state{term_id{3}, node_id{2}}));
  at_the_end +=
      record_of(sealed | formed, "",
                messages::encode(raft::log_entry{term_id{2}, log_index{~std::uint64_t{0}}, raft::entry_kind::command, "x"}));
  return {whole, at_the_end, std::string(1, '\0')};
}

}  // namespace

std::vector<fuzz_target> store_targets() {
  return {{"data_store", fuzz_data_store, data_store_seeds}, {"raft_log_store", fuzz_raft_log_store, raft_log_store_seeds}};
}

}  // namespace kahuna::fuzz
