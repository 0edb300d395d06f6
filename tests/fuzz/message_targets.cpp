// What comes from the network: frames, the handshake, and the body of every kind of frame.
#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "core/base/prng.hpp"
#include "core/kv/operation_routing.hpp"
#include "messages/connection/frame.hpp"
#include "messages/connection/handshake.hpp"
#include "tests/fuzz/byte_source.hpp"
#include "tests/fuzz/codec_check.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/fuzz/message_samples.hpp"

namespace kahuna::fuzz {

namespace {

using namespace messages;

// --- bodies -------------------------------------------------------------------------------------------------------

template <class Body>
void fuzz_body(std::string_view input) {
  static_cast<void>(checked_decode<Body>(input));
}

// What a gateway asks of a request before a partition judges it.
void look_at(const client_request& request) {
  static const auto map = sample_map();
  const auto partition = kv::partition_of(map, request.op);
  KAHUNA_CHECK(!partition || partition->value < map.partitions);
  static_cast<void>(kv::payload_bytes(request.op) + (kv::is_write(request.op) ? 1 : 0) +
                    static_cast<std::size_t>(kv::space_of(request.op)));
}

void fuzz_client_requests(std::string_view input) {
  const auto body = checked_decode<client_requests>(input);
  if (!body) return;
  for (const auto& request : body->requests) look_at(request);
}

void fuzz_forwarded_requests(std::string_view input) {
  const auto body = checked_decode<forwarded_requests>(input);
  if (!body) return;
  for (const auto& forwarded : body->requests) look_at(forwarded.request);
}

template <auto sample>
std::vector<std::string> encoded_sample() {
  return {encode(sample()), encode(decltype(sample()){})};
}

ping sample_ping() { return {300}; }
pong sample_pong() { return {300, timestamp{5}}; }
cluster_request sample_cluster_request() { return {300, partition_id{5}}; }
transfer_leader sample_transfer_leader() { return {partition_id{5}, node_id{2}}; }

// --- frames -------------------------------------------------------------------------------------------------------

using cut_frame = std::pair<frame_kind, std::string>;

struct cut_bytes {
  std::vector<cut_frame> frames;
  bool is_malformed = false;
  bool has_rest = false;
};

cut_bytes cut_whole(std::string_view bytes, std::uint32_t bound) {
  static constexpr std::uint8_t kinds[] = {1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24};
  cut_bytes cut;
  while (bytes.size() >= 4) {
    std::uint64_t length = 0;
    for (std::size_t i = 4; i-- > 0;) length = length * 256 + static_cast<std::uint8_t>(bytes[i]);
    cut.is_malformed = length == 0 || length > bound ||
                       (bytes.size() > 4 &&
                        std::find(std::begin(kinds), std::end(kinds), static_cast<std::uint8_t>(bytes[4])) == std::end(kinds));
    if (cut.is_malformed || bytes.size() < 4 + length) break;
    cut.frames.emplace_back(static_cast<frame_kind>(bytes[4]), bytes.substr(5, length - 1));
    bytes.remove_prefix(4 + length);
  }
  cut.has_rest = !bytes.empty();
  return cut;
}

// The first two bytes say how the rest arrives. The reader finds what a glance at the whole finds.
void fuzz_frames(std::string_view input) {
  byte_source source(input);
  prng dice(source.take_byte());
  const std::size_t part_bytes_max = 1 + source.take_byte();
  const auto bytes = source.rest();
  const auto expected = cut_whole(bytes, handshake_frame_bytes_max);

  // A buffer that doubles, and the text of an error.
  constexpr allocation_bound reading_bound{4, 1024};
  std::vector<std::string_view> parts;
  for (auto rest = bytes; !rest.empty(); rest.remove_prefix(parts.back().size()))
    parts.push_back(rest.substr(0, dice.between(1, part_bytes_max)));
  std::size_t count = 0;
  const auto reader = read_within(reading_bound, bytes.size(), [&] {
    frame_reader reading(handshake_frame_bytes_max);
    for (const auto part : parts) {
      reading.feed(part.data(), part.size());
      while (const auto frame = reading.next()) {
        KAHUNA_CHECK(count < expected.frames.size() && frame->kind == expected.frames[count].first &&
                         frame->body == expected.frames[count].second,
                     count);
        ++count;
      }
    }
    return reading;
  });
  KAHUNA_CHECK(count == expected.frames.size(), count, expected.frames.size());
  KAHUNA_CHECK(reader.failure().has_value() == expected.is_malformed);
  KAHUNA_CHECK(expected.is_malformed || reader.has_partial_frame() == expected.has_rest);
}

std::vector<std::string> frame_seeds() {
  std::string conversation;
  append_frame(conversation, frame_kind::hello, sample_client_hello());
  append_frame(conversation, frame_kind::client_requests, sample_requests());
  append_frame(conversation, frame_kind::ping, sample_ping());
  append_frame(conversation, frame_kind::cluster_request, sample_cluster_request());
  append_frame(conversation, frame_kind::transfer_leader, sample_transfer_leader());
  std::vector<std::string> seeds;
  for (const auto* split : {"\x01\x01", "\x02\x07", "\x03\xff"}) seeds.push_back(split + conversation);
  return seeds;
}

// --- the handshake ------------------------------------------------------------------------------------------------

// The first frame of a connection, as either side takes it.
void fuzz_handshake(std::string_view input) {
  frame_reader reader(handshake_frame_bytes_max);
  reader.feed(input.data(), input.size());
  const auto first = reader.next();
  if (!first) return;
  if (first->kind == frame_kind::welcome) {
    if (const auto said = checked_decode<welcome>(first->body)) {
      const auto complaint = check_welcome(*said);
      KAHUNA_CHECK(!complaint || !complaint->empty());
    }
    return;
  }
  if (first->kind != frame_kind::hello) return;
  const auto said = checked_decode<hello>(first->body);
  if (!said) return;
  static const auto map = sample_map();
  const auto verdict = check_hello(*said, {map, node_id{1}, 300});
  if (const auto* refused = std::get_if<refusal>(&verdict)) {
    KAHUNA_CHECK(refused->is_final && !refused->reason.message.empty());
    return;
  }
  const auto version = std::get<std::uint16_t>(verdict);
  KAHUNA_CHECK(version >= std::max(protocol_version_min, said->version_min) &&
                   version <= std::min(protocol_version_max, said->version_max),
               version);
  KAHUNA_CHECK(said->magic == hello::magic_value);
  if (said->role == connection_role::client)
    KAHUNA_CHECK(said->client_id != 0 && (said->cluster_id == 0 || said->cluster_id == map.cluster_id));
  else
    KAHUNA_CHECK(
        said->cluster_id == map.cluster_id && said->node >= node_id{2} && said->incarnation != 0 && said->zone.size() <= zone_bytes_max,
        said->node);
}

std::vector<std::string> handshake_seeds() {
  std::vector<std::string> seeds(4);
  append_frame(seeds[0], frame_kind::hello, sample_client_hello());
  append_frame(seeds[1], frame_kind::hello, sample_node_hello());
  append_frame(seeds[2], frame_kind::welcome, sample_welcome());
  append_frame(seeds[3], frame_kind::refusal, sample_refusal());
  return seeds;
}

}  // namespace

std::vector<fuzz_target> message_targets() {
  return {{"frames", fuzz_frames, frame_seeds},
          {"handshake", fuzz_handshake, handshake_seeds},
          {"hello", fuzz_body<hello>, encoded_sample<sample_node_hello>},
          {"welcome", fuzz_body<welcome>, encoded_sample<sample_welcome>},
          {"refusal", fuzz_body<refusal>, encoded_sample<sample_refusal>},
          {"ping", fuzz_body<ping>, encoded_sample<sample_ping>},
          {"pong", fuzz_body<pong>, encoded_sample<sample_pong>},
          {"client_requests", fuzz_client_requests, encoded_sample<sample_requests>},
          {"client_replies", fuzz_body<client_replies>, encoded_sample<sample_replies>},
          {"leaders", fuzz_body<leaders>, encoded_sample<sample_leaders>},
          {"cluster_request", fuzz_body<cluster_request>, encoded_sample<sample_cluster_request>},
          {"transfer_leader", fuzz_body<transfer_leader>, encoded_sample<sample_transfer_leader>},
          {"membership_request", fuzz_body<membership_request>, encoded_sample<sample_membership_request>},
          {"membership_reply", fuzz_body<membership_reply>, encoded_sample<sample_membership_reply>},
          {"map_news", fuzz_body<map_news>, encoded_sample<sample_map_news>},
          {"group_order", fuzz_body<group_order>, encoded_sample<sample_group_order>},
          {"group_report", fuzz_body<group_report>, encoded_sample<sample_group_report>},
          {"cluster_reply", fuzz_body<cluster_reply>, encoded_sample<sample_cluster_reply>},
          {"peer_messages", fuzz_body<peer_messages>, encoded_sample<sample_peer_messages>},
          {"forwarded_requests", fuzz_forwarded_requests, encoded_sample<sample_forwarded_requests>},
          {"forwarded_replies", fuzz_body<forwarded_replies>, encoded_sample<sample_forwarded_replies>}};
}

}  // namespace kahuna::fuzz
