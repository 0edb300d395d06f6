// raftload - load for raftfloor (tiny binary protocol), same framework as etcdload.  build: g++ -O2 -std=c++17 -o raftload
// raftload.cc ops: put get(read-index) lget(lease) range mix(--wfrac) load(--total)
#include "loadlib.h"
using namespace ll;
struct Rl {
  const Opts& o;
  Values vals;
  std::string op;
  uint64_t keys;
  double wfrac;
  uint64_t seq = 0;
  Runner<Rl>* R = nullptr;
  bool lease;
  Rl(const Opts& o)
      : o(o), op(o.s("op", "put")), keys(uint64_t(o.l("keys", 100000))), wfrac(o.d("wfrac", .5)), lease(o.l("lease", 0)) {}
  const char* default_ep() { return "127.0.0.1:24791"; }
  void hello(Conn& c) { c.ready = true; }
  void abandon(Conn&, Slot&) { _exit(3); }
  void issue(Conn& c, Slot& s) {
    char t = op == "put" || op == "load" ? 1
             : op == "get"               ? 2
             : op == "lget"              ? 3
             : op == "range"             ? 4
             : s.rng.unit() < wfrac      ? 1
             : lease                     ? 3
                                         : 2;
    s.kind = op == "mix" && t != 1;
    char kb[16];
    fmt_key(kb, op == "load" ? seq++ : s.rng.below(t == 4 ? keys - 100 : keys));
    uint32_t l = 9 + 12 + (t == 1 ? 100 : 0);
    uint64_t id = uint64_t(s.id);
    c.out.append((char*)&l, 4);
    c.out += t;
    c.out.append((char*)&id, 8);
    c.out.append(kb, 12);
    if (t == 1) vals.put(c.out, s.rng, 100);
  }
  size_t parse(Conn& c, Runner<Rl>& r) {
    size_t p = 0;
    while (c.inlen - p >= 4) {
      uint32_t l;
      memcpy(&l, &c.in[p], 4);
      if (c.inlen - p < 4 + l) break;
      uint64_t id;
      memcpy(&id, &c.in[p + 4], 8);
      p += 4 + l;
      r.complete(r.slots[size_t(id)], OK_DONE);
    }
    return p;
  }
};
int main(int c, char** v) {
  Opts o(c, v);
  Rl e(o);
  Runner<Rl> r(o, e);
  e.R = &r;
  return r.run();
}
